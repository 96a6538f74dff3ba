"""Marks, in what loggers show, the jobs that lose to a special case of theirs: known once all of a launch are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError
from causalrec.records.names import column_of
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RECORD
from causalrec.reporting.submodels import losses
from causalrec.running.job_log import logged_job
from causalrec.tracking.guarded_logger import one_line


def mark_losses(configs: Sequence[ExperimentConfig]) -> Iterator[str]:
    """Mark the finished jobs of a launch that lose to a special case; yield a line for each logger that failed.

    Args:
        configs: all jobs of the launch, special cases among them.
    """
    if not any(config.components.logger.marks_losses for config in configs):
        return
    paths = {config.key: config.folder / RECORD for config in configs}
    folders: dict[str, RunFolder] = {}
    for key, path in paths.items():
        try:
            folders |= {key: RunFolder.load(path)} if path.exists() else {}
        except CausalRecError as error:  # the others are marked all the same
            yield str(error)
    marked = [c for c in configs if c.key in folders and folders[c.key].record.submodels]
    rows: dict[tuple[str, str], list[ExperimentConfig]] = {}
    for config in marked:
        rows.setdefault((config.run.sweep, config.run.name), []).append(config)
    for (_, name), members in rows.items():
        runs = [folders[config.key] for config in members]
        better = _better_cases(name, runs, list(folders.values()))
        for config, run in zip(members, runs, strict=True) if better else ():
            try:
                config.components.logger.mark_losses(logged_job(config), run.record, better)
            except Exception as error:
                yield f"{name} seed {config.run.seed}: its logger's table stays unmarked: {one_line(error)}"


def _better_cases(name: str, runs: Sequence[RunFolder], every: Sequence[RunFolder]) -> Mapping[str, str]:
    columns = list(dict.fromkeys(column_of(score) for run in runs for score in run.record.scores))
    by_cell = losses({name: runs}, every, columns)
    return {column: ", ".join(loss.submodel for loss in of_cell) for (_, column), of_cell in by_cell.items()}
