"""The terminal of all verbs: checks overrides, prints results, tables and failures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from causalrec.errors import CausalRecError, RequestError

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.reporting.estimation import EstimationConfig
    from causalrec.reporting.table import ScoreTable


def check_overrides(overrides: list[str]) -> list[str]:
    """Return overrides as given; raise RequestError on a text that is none."""
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise RequestError(f"{text}: not an override; write key=value")
    return list(overrides)


def describe_failure(config: ExperimentConfig | EstimationConfig, error: Exception | str) -> str:
    """Return one line on a job that failed: its name, seed and error."""
    kind = "" if isinstance(error, CausalRecError | str) else f"{type(error).__name__}: "
    return f"{config.run.name} seed {config.run.seed}: {kind}{' '.join(str(error).split())}"


def print_json(value: object) -> None:
    """Print a value as JSON, in which a number that is not finite is null."""
    from causalrec.records.json_records import json_text

    print(json_text(value), end="")


def print_pairs(pairs: dict[str, object]) -> None:
    """Print `key: value`, a line each."""
    print("\n".join(f"{key}: {value}" for key, value in pairs.items()))


def log(text: str) -> None:
    """Print a line on stderr, so that stdout holds results alone."""
    print(f"causalrec: {text}", file=sys.stderr)


def print_tables(tables: list[ScoreTable], as_json: bool) -> None:
    """Print tables on the terminal, or as one JSON list."""
    from rich.console import Console

    from causalrec.reporting.table import print_table

    if as_json:
        print_json([table.as_json() for table in tables])
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables:
        print_table(table, console)
