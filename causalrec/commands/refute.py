"""`causalrec refute RUN`: try to break what a run learnt: the average effect, or what its sources are good for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalrec.commands.refute_sources import print_sources, refute_sources
from causalrec.commands.terminal import check_processes, log, print_json, print_text_table
from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_REPEATS
from causalrec.progress import progress
from causalrec.running.cache import PreparedCache

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict
    from causalrec.records.json_records import Json
    from causalrec.records.run_record import RunRecord


def refute(options: argparse.Namespace) -> int:
    """`causalrec refute RUN [--jobs N] [--repeats R] [--negative-control NAME]`: verdicts, as a table and as files."""
    check_processes(options.jobs)
    if not 3 <= options.repeats <= MAX_REPEATS:
        raise RequestError(f"--repeats {options.repeats}: from 3 to {MAX_REPEATS:,}")
    if not 0 <= options.seed < 2**32:
        raise RequestError(f"--seed {options.seed}: from 0 to {2**32 - 1:,}")
    from causalrec.running.reopen import read_record, reopen_run

    record = read_record(options.run_folder)
    if record.done and not record.setting("refuter"):  # no wait for the data
        raise _without_refuters(options.run_folder, record.task.estimand)
    _check_controls(options.negative_control or (), record)
    config, _ = reopen_run(options.run_folder)
    refutation = refute_run(config, options.jobs, options.seed, options.negative_control or (), options.repeats)
    print_json(refutation) if options.json else _print_refutation(refutation)
    return 0


def refute_run(
    config: ExperimentConfig,
    jobs: int = 1,
    seed: int = 0,
    controls: Sequence[str] = (),
    repeats: int = 20,
    cache: PreparedCache | None = None,
) -> dict[str, Any]:
    """Refute a finished run and write `refute.json` and `refute.png` to its folder; return what the former holds.

    Args:
        config: request of the run.
        jobs: processes.
        seed: seed of what is random.
        controls: names of columns that exposure cannot change (negative controls).
        repeats: repetitions of what is random.
        cache: prepared data of this process; None prepares them.

    Raises:
        RequestError: the run has no refuters.
    """
    from causalrec.data.files import write_text
    from causalrec.data.read_only import read_only
    from causalrec.evaluation.refuter.base import AbstractEffectRefuter
    from causalrec.evaluation.refuter.sources import AbstractSourceRefuter
    from causalrec.records.run_record import RECORD, RunRecord
    from causalrec.running.prepare import plan_run
    from causalrec.running.reopen import check_same_files, check_same_rows

    with read_only():
        prepared = (cache or PreparedCache()).prepare(config, plan_run(config))
        record = RunRecord.load(config.folder / RECORD)
        check_same_files(record, prepared.dataset)
        check_same_rows(record, prepared.audit)
    refuters = [refuter.build() for refuter in config.refuter.values()]
    if not refuters:
        raise _without_refuters(config.folder, config.components.task.estimand)
    of_effects = [refuter for refuter in refuters if isinstance(refuter, AbstractEffectRefuter)]
    of_sources = [refuter for refuter in refuters if isinstance(refuter, AbstractSourceRefuter)]
    refutation: Json = {"run": config.run.name, "caveat": prepared.dataset.card.caveat}
    if of_effects:
        with read_only():
            task = config.components.task
            problem, estimator = task.problem(config, prepared, seed=seed, controls=controls, repeats=repeats)
        refutation |= _refute_effect(config.folder, refutation, problem, estimator, of_effects, jobs)
    if of_sources:
        refutation["sources"] = refute_sources(config, record, prepared, of_sources)
    write_text(config.folder / "refute.json", json.dumps(refutation, indent=1))
    log(f"refuted: {config.folder / 'refute.json'}")
    return refutation


def _refute_effect(
    folder: Path,
    about: Json,
    problem: RefutationProblem,
    estimator: str,
    refuters: Sequence[AbstractEffectRefuter],
    jobs: int,
) -> Json:
    """Return the average effect and what refuters make of it, drawn in the run's folder."""
    from causalrec.data.files import replace_atomically
    from causalrec.data.read_only import read_only
    from causalrec.evaluation.refuter.run_refuters import run_refuters
    from causalrec.reporting.refute_figure import refute_figure

    with read_only(), progress("refuting", len(refuters), "refuters") as step:
        verdicts = run_refuters(refuters, problem, jobs, step.advance)
    effect: Json = {"estimator": estimator, "level": problem.level, **_original_estimate(problem)}
    effect["verdicts"] = _verdict_rows(verdicts)
    with replace_atomically(folder / "refute.png") as temporary:
        refute_figure({**about, **effect}).savefig(temporary, format="png", dpi=120)
    log(f"drawn: {folder / 'refute.png'}")
    return effect


def _check_controls(controls: Sequence[str], record: RunRecord) -> None:
    """Raise RequestError at a negative control that is no numeric column of the run's data; no file is read."""
    from causalrec.config.compose import validate_group

    if not controls:
        return
    card = validate_group(record.config, "dataset").build().card
    numeric = [column.name for column in card.columns if column.kind == "numeric"]
    for name in controls:
        if name not in numeric:
            raise RequestError(f"{name}: no numeric column of {card.name}; {did_you_mean(name, numeric)}")


def _without_refuters(folder: Path, estimand: str) -> RequestError:
    return RequestError(
        f"{folder}: estimates {estimand} and has no refuters; runs of task=effect can be refuted (they have defaults; "
        f"refuter=[..] chooses), and networks that were trained with refuter=[placebo_source]"
    )


def _original_estimate(problem: RefutationProblem) -> dict[str, list[float | None]]:
    """Return the run's estimate and its interval; of an arm that may have none, the least effect that would show."""
    from causalrec.estimators.effect.detectable import detectable_effect

    original, arms = problem.original, range(problem.rows.arms)
    ends = {"value": original.value, "low": original.low, "high": original.high, "error": original.standard_error}
    columns = {name: [_finite(float(value)) for value in end] for name, end in ends.items()}
    least = detectable_effect(problem.half_widths, problem.level)
    return {**columns, "detectable": [_finite(float(least[a])) if problem.is_null(a + 1) else None for a in arms]}


def _verdict_rows(verdicts: list[RefuterVerdict]) -> list[dict[str, object]]:
    """Return verdicts as JSON holds them: a number that is none, or is infinite, is null."""
    return [_row(asdict(verdict)) for verdict in verdicts]


def _row(fields: dict[str, object]) -> dict[str, object]:
    return {key: _json_value(value) for key, value in fields.items()}


def _json_value(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_row(inner) for inner in value]
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _print_refutation(refutation: dict[str, Any]) -> None:
    if "verdicts" in refutation:
        _print_effect(refutation)
    if "sources" in refutation:
        print_sources(refutation["run"], refutation["sources"], refutation["caveat"])


def _print_effect(refutation: dict[str, Any]) -> None:
    from causalrec.reporting.refutation_table import scenario_table, verdict_table

    print_text_table(verdict_table(refutation))
    scenarios = scenario_table(refutation)
    if scenarios is not None:
        print_text_table(scenarios)
