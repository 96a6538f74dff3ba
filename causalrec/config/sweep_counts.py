"""How many jobs overrides ask for, by multiplication, before one is expanded; and which overrides are too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalrec.errors import RequestError
from causalrec.limits import (
    MAX_JOBS,
    MAX_OVERRIDE_CHARACTERS,
    MAX_OVERRIDE_VALUES,
    MAX_YAML_DEPTH,
    plural,
)

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override, RangeSweep

SHOWN = 60  # characters of an override that is too long to repeat


def check_size(text: str) -> None:
    """Raise RequestError at an override that is too long or nested too deep for Hydra's parser."""
    if (values := text.count(",") + 1) > MAX_OVERRIDE_VALUES:
        raise RequestError(
            f"{text[:SHOWN]}...: has {values:,} values, above {MAX_OVERRIDE_VALUES:,}; write range(START,STOP), or a "
            f"YAML file of --config-dir"
        )
    if len(text) > MAX_OVERRIDE_CHARACTERS:
        raise RequestError(
            f"{text[:SHOWN]}...: has {len(text):,} characters, above {MAX_OVERRIDE_CHARACTERS:,}; write it in a YAML "
            f"file of --config-dir"
        )
    if _depth(text) > MAX_YAML_DEPTH:
        raise RequestError(f"{text[:SHOWN]}...: is nested too deep, above {MAX_YAML_DEPTH} brackets; flatten it")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "[{(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]})":
            depth -= 1
    return deepest


def check_job_count(parsed: Sequence[Override], max_jobs: int = MAX_JOBS) -> None:
    """Raise RequestError where sweeps ask for more than `max_jobs` jobs, or for none."""
    counts = {override.input_line or override.get_key_element(): count_values(override) for override in parsed}
    sweeps = {text: count for text, count in counts.items() if count != 1}
    if empty := next((text for text, count in sweeps.items() if count == 0), None):
        raise RequestError(f"{empty.lstrip('+')}: holds no value, so that there is no job; give at least one")
    refuse_too_many(math.prod(counts.values()), max_jobs, " ".join(text.lstrip("+")[:SHOWN] for text in sweeps))


def refuse_too_many(jobs: float, max_jobs: int, source: str) -> None:
    """Raise RequestError where more jobs are asked for than `max_jobs`, by what `source` names."""
    if jobs > max_jobs:
        yes = f"--max-jobs {jobs} allows them" if jobs < math.inf else "give the range an end"
        count = plural(jobs, "job") if jobs < math.inf else "endless jobs"
        raise RequestError(f"{source}: asks for {count}, above the {max_jobs:,} of one launch; ask for fewer, or {yes}")


def count_values(override: Override) -> float:
    """Return how many values an override stands for, nothing of it expanded; infinity for a range without an end."""
    from hydra.core.override_parser.types import ChoiceSweep, RangeSweep

    value = override.value()
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    return count_range(override.input_line or "", value) if isinstance(value, RangeSweep) else 1


def count_range(text: str, sweep: RangeSweep) -> float:
    """Return how many numbers a range holds; raise RequestError where its step leads nowhere."""
    start, stop, step = sweep.start, sweep.stop, sweep.step
    assert start is not None and stop is not None
    if not step or any(map(math.isnan, (start, stop, step))):
        raise RequestError(
            f"{text.lstrip('+')}: a range needs numbers and a step other than 0; write range(START,STOP,STEP)"
        )
    if all(isinstance(number, int) for number in (start, stop, step)):
        return max(0, -((start - stop) // step))  # exact, where a division of floats is not
    steps = (stop - start) / step
    return max(0, math.ceil(steps)) if math.isfinite(steps) else (math.inf if steps > 0 else 0)
