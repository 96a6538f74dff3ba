"""One fit to be made, and all that determines it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytorch_lightning.loggers import Logger

from causalrec.data.log import InteractionLog, PairColumn
from causalrec.data.sampling import Sampler
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.features.views import FeatureMatrix
from causalrec.models import CausalModel
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit import Fit
from causalrec.training.module import CausalRecModule, Criterion
from causalrec.training.optimizer import AbstractOptimizer
from causalrec.training.trainer import TrainerSettings, seeded
from causalrec.types import Space


@dataclass(frozen=True, kw_only=True)
class Task:
    """Fit a fresh `model()` on `train`, judged on `validation` by `criterion` with propensities clipped at `clip`.

    `judged`: the space of validation rows; `chance`: the propensity of any pair, for objectives that read it;
    `epochs`: how many, without stopping early (a refit on all rows). The best weights stay in `folder`; `prefix` tells
    the job's fits apart in its `logger`, `label` on the screen.
    """

    model: Callable[[], CausalModel]
    objective: AbstractObjective
    optimizer: AbstractOptimizer
    trainer: TrainerSettings
    sampler: Sampler
    features: FeatureMatrix
    train: InteractionLog
    validation: InteractionLog
    seed: int
    criterion: Criterion
    clip: float
    judged: Space
    chance: PairColumn | None
    logger: Logger | None
    folder: Path
    label: str
    prefix: str
    epochs: int | None = None

    def fit(self) -> Fit:
        """Fit alone, by Lightning."""
        model = self.fresh_model()
        module = CausalRecModule(model, self.objective, self.optimizer, self.criterion, self.clip, self.prefix)
        data = LogDataModule(
            self.train,
            self.validation,
            self.features,
            self.sampler,
            self.objective.space,
            self.seed,
            self.judged,
            self.chance,
            model.reads_time,
            model.rows_at_once,
        )
        return self.trainer.fit(module, data, self.logger, self.folder, self.label, self.epochs)

    def fresh_model(self) -> CausalModel:
        """Return the model as the seed draws it."""
        seeded(self.seed)
        return self.model()
