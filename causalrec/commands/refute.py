"""`causalrec refute RUN`: try to break the average effect that a run estimated."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from causalrec.commands.reopened import reopened
from causalrec.commands.shared import log, print_json
from causalrec.errors import RequestError
from causalrec.running.cache import PreparedCache

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.evaluation.refuter.base import RefutationProblem, RefuterVerdict


def refute(options: argparse.Namespace) -> int:
    """`causalrec refute RUN [--jobs N] [--repeats R] [--negative-control NAME]`: verdicts, as a table and as files."""
    for name, least in (("jobs", 1), ("repeats", 3)):
        if getattr(options, name) < least:
            raise RequestError(f"--{name} {getattr(options, name)}: at least {least}")
    spec, _ = reopened(options.run_folder, options.config_dir)
    found = refute_run(spec, options.jobs, options.seed, options.negative_control or (), options.repeats)
    print_json(found) if options.json else _show(found)
    return 0


def refute_run(
    config: ExperimentConfig,
    jobs: int = 1,
    seed: int = 0,
    controls: Sequence[str] = (),
    repeats: int = 20,
    cache: PreparedCache | None = None,
) -> dict[str, Any]:
    """Refute a finished run and leave `refute.json` and `refute.png` in its folder; return what the former holds."""
    from rich.console import Console
    from rich.progress import Progress

    from causalrec.data.files import replacing, write_text
    from causalrec.evaluation.refuter.run_refuters import run_refuters
    from causalrec.reporting.refute_figure import refute_figure
    from causalrec.running.prepare import plan_run

    prepared = (cache or PreparedCache()).prepare(config, plan_run(config))
    task = config.components.task
    problem, estimator = task.problem(config, prepared, seed=seed, controls=controls, repeats=repeats)
    refuters = [refuter.build() for refuter in config.refuter.values()]
    if not refuters:
        raise RequestError(f"{config.folder}: has no refuters; run it with refuter=[..] (task=effect has defaults)")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("refuting", total=len(refuters))
        verdicts = run_refuters(refuters, problem, jobs, lambda: bar.update(line, advance=1))
    about = {"run": config.run.name, "caveat": prepared.dataset.card.caveat, "estimator": estimator}
    found = {**about, **_original(problem), "verdicts": _plain(verdicts)}
    write_text(config.folder / "refute.json", json.dumps(found, indent=1))
    with replacing(config.folder / "refute.png") as temporary:
        refute_figure(found).savefig(temporary, format="png", dpi=120)
    log(f"refuted: {config.folder / 'refute.json'}, {config.folder / 'refute.png'}")
    return found


def _original(problem: RefutationProblem) -> dict[str, list[float]]:
    original = problem.original
    ends = {"value": original.value, "low": original.low, "high": original.high}
    return {name: [float(value) for value in end] for name, end in ends.items()}


def _plain(verdicts: list[RefuterVerdict]) -> list[dict[str, object]]:
    """Return verdicts as JSON holds them: a number that is none, or is infinite, is null."""
    rows = [asdict(one) for one in verdicts]
    return [{k: None if isinstance(v, float) and not isfinite(v) else v for k, v in row.items()} for row in rows]


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    values = [
        f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in zip(found["value"], found["low"], found["high"], strict=True)
    ]
    table = Table(
        "refuter", "arm", "verdict", "value", "rule", "limitation", title=f"{found['run']}: {'; '.join(values)}"
    )
    for one in found["verdicts"]:
        value = "" if one["value"] is None else f"{one['value']:.3f}"
        if one["low"] is not None and one["high"] is not None:
            value += f" [{one['low']:.3f}, {one['high']:.3f}]"
        table.add_row(one["refuter"], str(one["arm"]), one["verdict"], value, one["rule"], one["limitation"])
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    print(f"estimated by {found['estimator']}")
    if found["caveat"] is not None:
        print(found["caveat"])
