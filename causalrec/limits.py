"""How much one request may ask for, counted before anything is expanded, read or trained: every bound by its name.

`docs/sweeps.md` lists them, and what raises each.
"""

from __future__ import annotations

MAX_JOBS = 10_000  # of a launch or a study; `--max-jobs N` raises it
MAX_FITS = 10_000  # of one job: candidates times folds
MAX_REPEATS = 10_000  # of what `refute` draws
MAX_PROCESSES = 256  # of one launcher
MAX_YAML_BYTES = 16 << 20  # of one file
MAX_YAML_VALUES = 1_000_000  # of one file, with what its aliases repeat; and of what interpolations repeat
MAX_YAML_DEPTH = 64  # lists and mappings inside one another, in a file or an override
MAX_OVERRIDE_CHARACTERS = 32_768  # of one override: Hydra's parser takes seconds for more
MAX_OVERRIDE_VALUES = 4_000  # of one override, for the same reason
MAX_COLUMNS = 1_000  # nodes of a causal graph beside exposure and outcome
MAX_EDGES = 1_000_000  # of a causal graph, `a, b -> c, d` and patterns written out
MAX_INDEPENDENCES = 5_000  # that `graph check` tests, each some tenths of a second, and again on permuted graphs
MAX_DRAWN_EDGES = 2_000  # of a drawing, each counted once for every column of the drawing that it crosses


def plural(count: float, what: str) -> str:
    """Write a count and what is counted.

    >>> plural(1, "job"), plural(2000000, "job")
    ('1 job', '2,000,000 jobs')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"
