"""`causalrec refute RUN`: try to break the average effect that a run estimated."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from causalrec.commands.reopened import reopened
from causalrec.commands.shared import document, say
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.config import TrainSpec
    from causalrec.evaluation.refute.base import Problem, Verdict
    from causalrec.graph.causal_graph import CausalGraph


def refute(options: argparse.Namespace) -> int:
    """`causalrec refute RUN [--jobs N] [--repeats R] [--negative-control NAME]`: verdicts, as a table and as files."""
    for name, least in (("jobs", 1), ("repeats", 3)):
        if getattr(options, name) < least:
            raise RequestError(f"--{name} {getattr(options, name)}: at least {least}")
    spec, _ = reopened(options.run_folder, options.config_dir)
    found = refute_run(spec, options.jobs, options.seed, options.negative_control, options.repeats)
    document(found) if options.json else _show(found)
    return 0


def refute_run(
    spec: TrainSpec, jobs: int = 1, seed: int = 0, controls: list[str] | None = None, repeats: int = 20
) -> dict[str, Any]:
    """Refute a finished run and leave `refute.json` and `refute.png` in its folder; return what the former holds."""
    from rich.console import Console
    from rich.progress import Progress

    from causalrec.data.files import replacing, write_text
    from causalrec.evaluation.refute.every import REFUTERS, refuted
    from causalrec.reporting.refute_figure import refute_figure

    problem, estimator = _problem(spec, seed, controls or [], repeats)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("refuting", total=len(REFUTERS))
        verdicts = refuted(problem, jobs, lambda: bar.update(line, advance=1))
    about = {"run": spec.spine.name, "notice": spec.leaves["dataset"].build().card.notice, "estimator": estimator}
    found = {**about, **_original(problem), "verdicts": _plain(verdicts)}
    write_text(spec.folder / "refute.json", json.dumps(found, indent=1))
    with replacing(spec.folder / "refute.png") as temporary:
        refute_figure(found).savefig(temporary, format="png", dpi=120)
    say(f"refuted: {spec.folder / 'refute.json'}, {spec.folder / 'refute.png'}")
    return found


def _problem(spec: TrainSpec, seed: int, controls: list[str], repeats: int) -> tuple[Problem, str]:
    """Return the effect to refute, and how it is estimated, in words."""
    from causalrec.evaluation.refute.base import Problem
    from causalrec.evaluation.refute.refit import LINEAR, Refit
    from causalrec.predictor import Table
    from causalrec.prepare import plan, ready_for

    planned = plan(spec)
    if planned.adjustment.estimand != "effect":
        raise RequestError(
            f"{spec.folder}: estimates a mean outcome under exposure, not an effect; its overlap and baselines are in "
            f"the record. Runs of `causalrec effect` can be refuted"
        )
    if not (training := planned.adjustment.training).adjusts:
        raise RequestError(
            f"{spec.folder}: its effect is identified by {training.strategy}; the refuters try effects that are "
            f"adjusted for columns"
        )
    _check_controls(controls, planned.adjustment.training.columns, spec.leaves["graph"].build())
    ready, choice = ready_for(spec, planned), spec.spine.choices["effect"]
    card = ready.dataset.card
    table = Table.of(spec, planned, ready)
    log = ready.train.joined(ready.validation)
    rows = table.rows(log, len(card.arms), card.outcome == "click")
    learner = None if spec.trains_network else spec.leaves["effect"].build()
    estimate, original = Refit.of(learner, spec.spine.evaluation.level, rows, seed)
    told = choice
    if estimate.learner is None:
        why = "no network refits" if spec.trains_network else f"{choice} tells no error of its average"
        told = f"cross-fitted doubly robust scores of linear models ({why})"
    problem = Problem(
        rows=rows,
        estimate=estimate,
        original=original,
        chances=LINEAR.nuisances(rows, seed)[1],
        controls={name: table.column(ready.dataset, name, log) for name in controls},
        seen=_randomised(ready.dataset.randomised, len(card.arms), card.randomised_training),
        repeats=repeats,
        seed=seed,
    )
    return problem, told


def _check_controls(controls: list[str], adjusted: tuple[str, ...], graph: CausalGraph) -> None:
    """Raise RequestError on a column that is related to exposure whatever is hidden: a cause of it or its effect."""
    from networkx import descendants

    for name in controls:
        if name in adjusted or name in descendants(graph.digraph, graph.exposure):
            why = "the effect is adjusted for it" if name in adjusted else f"{graph.exposure} causes it"
            raise RequestError(
                f"--negative-control {name}: {why}; name a column that neither causes {graph.exposure} nor follows it"
            )


def _randomised(log: Any, arms: int, training: bool) -> Any:
    """Return treatment and outcome of randomised rows beside an observational log, where all arms have some."""
    if log is None or training or len(set(log.treatment.tolist())) <= arms:
        return None
    return log.treatment, log.outcome


def _original(problem: Problem) -> dict[str, Any]:
    original = problem.original
    ends = {"value": original.value, "low": original.low, "high": original.high}
    return {name: [float(value) for value in end] for name, end in ends.items()}


def _plain(verdicts: list[Verdict]) -> list[dict[str, Any]]:
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
        "refuter", "arm", "verdict", "value", "rule", "blind to", title=f"{found['run']}: {'; '.join(values)}"
    )
    for one in found["verdicts"]:
        value = "" if one["value"] is None else f"{one['value']:.3f}"
        if one["low"] is not None and one["high"] is not None:
            value += f" [{one['low']:.3f}, {one['high']:.3f}]"
        table.add_row(one["refuter"], str(one["arm"]), one["verdict"], value, one["rule"], one["blind_to"])
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    print(f"estimated by {found['estimator']}")
    if found["notice"] is not None:
        print(found["notice"])
