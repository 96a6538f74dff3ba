"""The terminal of all verbs: checks overrides, prints results, tables and failures."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Literal

from causalrec.errors import CausalRecError, RequestError
from causalrec.limits import MAX_PROCESSES
from causalrec.plain_streams import print_note

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.reporting.estimation import EstimationConfig
    from causalrec.reporting.score_table import ScoreTable
    from causalrec.reporting.text_table import TextTable

Form = Literal["text", "csv", "latex", "markdown"]
PIPED_WIDTH = 100  # characters of a line that no terminal shows


def check_overrides(overrides: list[str]) -> list[str]:
    """Return overrides as given; raise RequestError on a text that is none, and on two values for one key."""
    given: dict[str, str] = {}
    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals and not text.startswith("~"):
            raise RequestError(f"{text}: not an override; write key=value")
        if equals and (earlier := given.setdefault(key.lstrip("+"), text)) is not text:
            raise RequestError(f"{text}: {key} is given before, as {earlier}; leave one")
    return list(overrides)


def check_processes(jobs: int) -> None:
    """Raise RequestError where `--jobs` asks for no process, or for more than one launcher starts."""
    if not 1 <= jobs <= MAX_PROCESSES:
        raise RequestError(f"--jobs {jobs}: at {'least 1' if jobs < 1 else f'most {MAX_PROCESSES}'}")


def describe_failure(config: ExperimentConfig | EstimationConfig, error: Exception | str) -> str:
    """Return one line on a job that failed: its name, seed and error."""
    kind = "" if isinstance(error, CausalRecError | str) else f"{type(error).__name__}: "
    return f"{config.run.name} seed {config.run.seed}: {kind}{' '.join(str(error).split())}"


def print_json(value: object) -> None:
    """Print a value as JSON, in which a number that is not finite is null."""
    from causalrec.records.json_records import json_text

    print(json_text(value), end="")


def log(text: str) -> None:
    """Print a line on stderr, so that stdout holds results alone; line ends within it are written out."""
    print_note(f"causalrec: {text}")


def width() -> int:
    """Return how many characters a line may have: COLUMNS, the terminal's, or 100 where there is none."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def print_text_table(table: TextTable) -> None:
    """Print a table as wide as the terminal is, and an empty line."""
    print(table.render(width()) + "\n")


def print_tables(
    tables: list[ScoreTable], as_json: bool = False, *, form: Form = "text", intervals: bool = True
) -> None:
    """Print tables on the terminal, as one JSON list, or in another form.

    Args:
        tables: what is printed.
        as_json: as one JSON list, whatever the form.
        form: of each.
        intervals: whether they are shown.
    """
    if as_json:
        print_json([table.as_json() for table in tables])
        return
    from causalrec.reporting import score_table, table_text

    if form == "csv":
        print(table_text.csv_text(tables), end="")
    for table in tables if form != "csv" else ():
        if form == "text":
            print_text_table(table_text.text_table(table, intervals=intervals))
        else:
            write = score_table.markdown if form == "markdown" else table_text.latex
            print(write(table, intervals=intervals))
