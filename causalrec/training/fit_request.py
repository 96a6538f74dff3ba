"""One fit to be made, and all that determines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytorch_lightning.loggers import Logger

from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn, scale_propensity
from causalrec.data.sampler.base import AbstractSampler
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.features.batch_columns import BatchColumn
from causalrec.features.views import FeatureMatrix
from causalrec.models import CausalModel
from causalrec.training.datamodule import ArmPropensities, LogDataModule
from causalrec.training.epoch_rows import hold_out
from causalrec.training.fit_result import FitResult
from causalrec.training.fit_store import UnusableCheckpoint
from causalrec.training.module import CausalRecModule, CriterionWeighting
from causalrec.training.optimizer import AbstractOptimizer
from causalrec.training.scheduler import AbstractScheduler, ConstantRate
from causalrec.training.trainer import TrainerSettings, seed_everything
from causalrec.training.unseen_ids import TrainedIds, trained_ids
from causalrec.types import Space


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """Fit a fresh `model()` on `train`, judged on `validation` by `criterion`.

    Attributes:
        model: builds a fresh model.
        objective: what is minimised.
        optimizer: of the weights.
        trainer: how to train.
        sampler: of the training batches.
        features: of pairs and rows.
        train: the training rows.
        validation: the rows held out.
        seed: of the weights and the batches.
        criterion: `ips` or `naive`, by which the best epoch is chosen.
        clip: least propensity that the criterion divides by.
        validation_space: kind of the validation rows.
        pair_propensity: the propensity of any pair, for objectives that read it.
        logger: of the job; None logs nothing.
        folder: where the best weights stay.
        label: tells the job's fits apart on the screen.
        prefix: tells the job's fits apart in its logger.
        epochs: how many, without stopping early (a refit on all rows); None: to the best epoch.
        penalties: terms added to the objective's, by name.
        columns: what else batches hold, by name.
        scheduler: of the learning rates.
        arm_propensities: of each treatment, for objectives that read them.
        held_out: training rows that no step meets, on which the objective fits between epochs; None: there are none.
        bind_penalties: the penalties as they read of some training rows (a fold's); None: they read of none.
    """

    model: Callable[[], CausalModel]
    objective: AbstractObjective
    optimizer: AbstractOptimizer
    trainer: TrainerSettings
    sampler: AbstractSampler
    features: FeatureMatrix
    train: InteractionLog
    validation: InteractionLog
    seed: int
    criterion: CriterionWeighting
    clip: float
    validation_space: Space
    pair_propensity: PairColumn | None
    logger: Logger | None
    folder: Path
    label: str
    prefix: str
    epochs: int | None = None
    penalties: Mapping[str, AbstractPenalty] = field(default_factory=dict)
    columns: Mapping[str, BatchColumn] = field(default_factory=dict)
    scheduler: AbstractScheduler = field(default_factory=ConstantRate)
    arm_propensities: ArmPropensities | None = None
    held_out: InteractionLog | None = None
    bind_penalties: Callable[[InteractionLog], Mapping[str, AbstractPenalty]] | None = None

    def with_rows(self, train: InteractionLog, validation: InteractionLog) -> FitRequest:
        """Return the request on other rows, whose penalties read of these training rows alone."""
        penalties = self.penalties if self.bind_penalties is None else self.bind_penalties(train)
        return replace(self, train=train, validation=validation, penalties=penalties)

    def with_held_out(self, choice: str = "objective") -> FitRequest:
        """Return the request with the rows held out that its objective fits on between epochs; itself where none.

        Propensities, and what they are clipped at, are scaled to the rows that are left. Raises RequestError where one
        of the parts would be empty.

        Args:
            choice: of the objective, in messages.
        """
        share = self.objective.held_out
        if not share:
            return self
        train, held_out = hold_out(self.train, share, choice)
        left = 1 - share if self.train.propensity_follows_share else 1.0
        return replace(
            self,
            train=train,
            held_out=held_out,
            pair_propensity=scale_propensity(self.pair_propensity, left),
            objective=self.objective.with_clip(self.objective.clip * left),
        )

    @property
    def rows_an_epoch(self) -> int:
        """Logged rows that an epoch meets."""
        limit = self.trainer.limit_batches
        return len(self.train) if limit is None else min(len(self.train), limit * self.sampler.batch_size)

    def fit(self) -> FitResult:
        """Fit alone, by Lightning; once more from its beginning where its checkpoint cannot be gone on from."""
        try:
            return self._fit()
        except UnusableCheckpoint:
            return self._fit()

    def _fit(self) -> FitResult:
        model = self.fresh_model()
        module = CausalRecModule(
            model,
            self.objective,
            self.optimizer,
            self.criterion,
            self.clip,
            self.prefix,
            self.penalties,
            self.scheduler,
            self.trained_ids,
            self.seed,
        )
        data = LogDataModule(
            self.train,
            self.validation,
            self.features,
            self.sampler,
            self.objective.space,
            self.seed,
            self.validation_space,
            self.pair_propensity,
            model.reads_time or any(penalty.reads_time for penalty in self.penalties.values()),
            model.rows_at_once,
            self.columns,
            {name: penalty.rows for name, penalty in self.penalties.items() if penalty.rows is not None},
            self.arm_propensities,
            self.held_out,
            self.objective.epoch_rows is not None,
        )
        return self.trainer.fit(module, data, self.logger, self.folder, self.label, self.epochs)

    @property
    def trained_ids(self) -> TrainedIds:
        """Which ids have a training row, where others are read at their mean."""
        return trained_ids(self.train, self.objective.space)

    def fresh_model(self) -> CausalModel:
        """Return the model as the seed draws it."""
        seed_everything(self.seed)
        return self.model()
