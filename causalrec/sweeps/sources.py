"""A run trained anew: as it is, without a source of its data, and with shares of it destroyed; a ledger of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.config.component import ComponentConfig
from causalrec.config.run_config import Placebo
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError, DataError
from causalrec.estimators.score_contrasts import ScoreContrasts
from causalrec.evaluation.refuter.sources import Retraining, SourceProblem
from causalrec.ids import score_key
from causalrec.records.names import column_of, parse_column
from causalrec.records.run_folder import PLACEBOS, RunFolder
from causalrec.records.run_record import RECORD, RunRecord
from causalrec.reporting.compare import is_usable
from causalrec.running.prepare import plan_run
from causalrec.sweeps.driver import run_configs
from causalrec.sweeps.job import JobResult
from causalrec.sweeps.launch import Job, Log
from causalrec.sweeps.packed_launcher import PackedLauncher
from causalrec.sweeps.submodels import overrides_of
from causalrec.tracking.loggers import NoLogger
from causalrec.types import Doubles, ModelSource

LEAST_REPLICATES = 10


@dataclass(frozen=True, kw_only=True)
class SourceRuns:
    """What shows what the sources of a finished run are good for.

    Attributes:
        config: request of the run.
        without: request of the same without each source.
        columns: `metric@slice` that can be compared: whether the higher is better.
        slices: by the name of test rows, the slice of the run that yields them.
        log: prints one line.
    """

    config: ExperimentConfig
    without: Mapping[ModelSource, ExperimentConfig]
    columns: Mapping[str, bool]
    slices: Mapping[str, str]
    log: Log

    @classmethod
    def from_record(
        cls, config: ExperimentConfig, record: RunRecord, slices: Mapping[str, str], log: Log
    ) -> SourceRuns:
        """Plan the runs of a finished one.

        Args:
            config: its request.
            record: its record.
            slices: by the name of test rows, the slice of it that yields them.
            log: prints one line.
        """
        learner = config.components.learner
        without = {} if learner is None else learner.without_sources(config, plan_run(config).views)
        columns = {
            column_of(score): score.higher_is_better
            for score in record.scores
            if score.higher_is_better is not None and score.value is not None and score.slice in slices
        }
        return cls(config=config, without=without, columns=columns, slices=slices, log=log)

    @property
    def problem(self) -> SourceProblem:
        """What refuters are asked."""
        return SourceProblem(sources=tuple(self.without), columns=self.columns, retrain=self.retrain)

    def retrain(self, retraining: Retraining) -> ScoreContrasts:
        """Train what is not trained yet, seed by seed; return the scores, the more the better."""
        rows = [self._jobs(job, retraining) for job in self._models(retraining)]
        jobs = [job for row in rows for job in row]
        command = f"causalrec refute {self.config.folder}"
        results = run_configs(jobs, [job.overrides for job in jobs], command, _train_packed, self.log)
        for result in results:
            if result.status == "failed":
                raise CausalRecError(f"{result.label}: {result.reason}")
        folders = [[RunFolder.load(job.folder / RECORD) for job in row] for row in rows]
        return score_contrasts(folders, retraining.column, higher_is_better=self.columns[retraining.column])

    def _models(self, retraining: Retraining) -> list[ExperimentConfig]:
        """Return the run, the same without the source, and with each share of it destroyed."""
        source, name = retraining.source, self.config.run.name
        placebos = [
            _replace_run(
                self.config,
                name=f"{name}-{source}_{share:.0%}".rstrip("%"),
                placebo=Placebo(source=source, share=share),
            )
            for share in retraining.shares
        ]
        return [self.config, self.without[source], *placebos]

    def _jobs(self, model: ExperimentConfig, retraining: Retraining) -> list[ExperimentConfig]:
        """Return a model's job of each seed, scored on the rows that are compared alone, below the run's folder."""
        run, slice_name = self.config.run, self.slices[parse_column(retraining.column)[1]]
        paths = run.paths.model_copy(update={"runs": self.config.folder})
        evaluation = run.evaluation.model_copy(update={"submodels": False})
        job = _replace_run(model, paths=paths, sweep=PLACEBOS, evaluation=evaluation, refute=False).replace(
            slice={slice_name: self.config.slice[slice_name]},
            refuter={},
            logger=ComponentConfig(NoLogger, {}),
            moved_to=None,
        )
        seeds = range(run.seed, run.seed + retraining.seeds)
        seeded = [_replace_run(job, seed=seed) for seed in seeds]
        return [each.replace(overrides=self._overrides(each)) for each in seeded]

    def _overrides(self, job: ExperimentConfig) -> tuple[str, ...]:
        """Return what asks for a job, as far as words do: the run's own, its encoder, seed and placebo."""
        placebo = job.run.placebo
        words = overrides_of(self.config, job, self.config.overrides)
        words += [f"placebo.source={placebo.source}", f"placebo.share={placebo.share:g}"] if placebo.source else []
        words += ["placebo.uniform=true"] if placebo.uniform else []
        left = [word for word in words if not word.lstrip("+").startswith(("seed=", "refute=", "refuter"))]
        return (*left, f"seed={job.run.seed}")


def score_contrasts(rows: Sequence[Sequence[RunFolder]], column: str, *, higher_is_better: bool) -> ScoreContrasts:
    """Return the scores of models in a column, the more the better, with how they vary over seeds and test rows.

    By leave-groups-out values of users, items and rows where every run has them, else by bootstrap replicates. Raises
    DataError where a run has no value there.

    Args:
        rows: the runs of each model, seed by seed.
        column: `metric@slice`.
        higher_is_better: whether the metric's better end is the higher.
    """
    sign = 1.0 if higher_is_better else -1.0
    values = sign * np.array([[_value(run, column) for run in row] for row in rows])
    groups = [[_array(run.jackknife, run, column) for run in row] for row in rows]
    if all(is_usable(array) for row in groups for array in row):
        return ScoreContrasts.from_groups(values, sign * np.array(groups).mean(1))
    replicates = np.array([[_array(run.replicates, run, column) for run in row] for row in rows]).mean(1)
    if np.isfinite(replicates).all(0).sum() < LEAST_REPLICATES:
        raise DataError(
            f"{column}: is not defined on enough resamples of its rows to say how it varies with them; name another "
            f"metric or slice, or raise evaluation.replicates"
        )
    return ScoreContrasts.from_replicates(values, sign * replicates)


def _array(arrays: Mapping[str, Doubles], run: RunFolder, column: str) -> Doubles:
    """Return what lies beside a record of a score; nothing where it has none."""
    metric, slice_name = parse_column(column)
    return arrays.get(score_key(run.record.name, slice_name, metric), np.empty(0))


def _value(run: RunFolder, column: str) -> float:
    for score in run.record.scores:
        if column_of(score) == column and score.value is not None:
            return score.value
    raise DataError(f"{run.folder}: {column} has no value there, so that nothing can be compared; name another metric")


def _replace_run(config: ExperimentConfig, **changes: object) -> ExperimentConfig:
    return config.replace(run=config.run.model_copy(update=changes))


def _train_packed(left: list[Job]) -> list[JobResult]:
    return PackedLauncher().train_jobs([job.config for job in left], [job.overrides for job in left])
