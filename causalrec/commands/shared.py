"""What the verbs share: overrides checked, results and failures told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from causalrec.errors import CausalRecError, RequestError

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.reporting.estimation import EstimateSpec
    from causalrec.reporting.table import Table


def check_overrides(overrides: list[str]) -> list[str]:
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise RequestError(f"{text}: not an override; write key=value")
    return list(overrides)


def failure_of(spec: ExperimentConfig | EstimateSpec, error: Exception | str) -> str:
    kind = "" if isinstance(error, CausalRecError | str) else f"{type(error).__name__}: "
    return f"{spec.run.name} seed {spec.run.seed}: {kind}{' '.join(str(error).split())}"


def print_json(value: object) -> None:
    """Print a value as JSON, in which a number that is not finite is null."""
    from causalrec.records.plain import json_text

    print(json_text(value), end="")


def print_pairs(found: dict[str, object]) -> None:
    print("\n".join(f"{key}: {value}" for key, value in found.items()))


def log(text: str) -> None:
    print(f"causalrec: {text}", file=sys.stderr)


def show_tables(shown: list[Table], as_json: bool) -> None:
    from rich.console import Console

    from causalrec.reporting.table import print_table

    if as_json:
        print_json([one.as_json() for one in shown])
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    for one in shown:
        print_table(one, console)
