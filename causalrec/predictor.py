"""What a run has learnt, as something that predicts: a trained network, or a learner of effects from a table."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from causalrec.config import TrainSpec
from causalrec.data.log import CausalDataset, InteractionLog
from causalrec.encoders.representation import TextReader, represented
from causalrec.errors import RequestError, nearest
from causalrec.estimators.effect.base import AbstractEffect, AbstractFittedEffect, EffectRows
from causalrec.estimators.effect.strength import first_stage_f
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.evaluation.effect_slices import named
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slices import Slice
from causalrec.features.views import FeatureMatrix, feature_matrix
from causalrec.leaf import Leaf
from causalrec.models import CausalModel
from causalrec.prepare import Plan, Ready
from causalrec.types import Doubles, Floats, Ints

WEAK = 10  # a first-stage F below it: Staiger & Stock (Econometrica 1997)
NOTES = logging.getLogger(__name__)


class AbstractPredictor(ABC):
    """Predicts the rows of a slice, and says what else there is to score of it."""

    @abstractmethod
    def __call__(self, part: Slice) -> Floats:
        """Return float32[N] mean outcomes, float32[N,C] chances of classes, or float32[N,A] effects."""

    @abstractmethod
    def averages(self, part: Slice, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return scores of a slice of effects that are no metric of single predictions: averages and their coverage."""

    def of_training(self, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return scores of what was learnt from the training rows as a whole."""
        return ()

    def by_arm(self, part: Slice) -> Floats | None:
        """Return mean outcomes under each treatment, float32[N,A+1], where they are told."""
        return None

    def interval(self, part: Slice, level: float) -> tuple[Doubles, Doubles] | None:
        """Return the ends of pointwise intervals of effects, float64[N,A] each, where they are valid."""
        return None

    @property
    @abstractmethod
    def sizes(self) -> dict[str, dict[str, int]]:
        """`parameters`, `trainable` and `language_model`, each by role."""


class NetworkPredictor(AbstractPredictor):
    """A trained network under its objective; each slice is predicted once."""

    def __init__(self, model: CausalModel, features: FeatureMatrix, objective: AbstractObjective) -> None:
        self.model, self.features, self.objective = model, features, objective
        self._known: dict[str, Floats] = {}

    def __call__(self, part: Slice) -> Floats:
        if part.name not in self._known:
            self._known[part.name] = self._told(part)
        return self._known[part.name]

    def averages(self, part: Slice, evaluator: Evaluator, name: str) -> Iterable[Score]:
        by_arm = self.by_arm(part) if part.kind == "uplift" else None
        if by_arm is not None:
            yield evaluator.average_effect(part, by_arm, name)

    def by_arm(self, part: Slice) -> Floats | None:
        return self._told(part, self.objective.means) if self.objective.asks else None

    @property
    def sizes(self) -> dict[str, dict[str, int]]:
        found = {str(role): self.model.sizes(role) for role in self.objective.needs}
        kinds = ("parameters", "trainable", "language_model")
        return {kind: {role: sizes[kind] for role, sizes in found.items()} for kind in kinds}

    def _told(self, part: Slice, tell: Any = None) -> Floats:
        return self.model.predict(part.user, part.item, self.features, self.objective, part.time, tell)


@dataclass(frozen=True)
class Table:
    """The columns a learner reads: X and W of (user, item) pairs, and its instruments or mediator, float64."""

    modifiers: FeatureMatrix
    controls: FeatureMatrix
    beside: FeatureMatrix

    @classmethod
    def of(cls, spec: TrainSpec, planned: Plan, ready: Ready) -> Table:
        """Expand the graph's modifiers and controls, texts and vectors as components."""
        views, fitted = planned.features, ready.train.joined(ready.validation)
        beside = (*views.instruments, *views.mediators)
        names, components = sorted({*views.modifiers, *views.controls}), spec.spine.representation.components
        read = represented(ready.dataset, names, _reader(spec), components, fitted)
        return cls(*(feature_matrix(ready.dataset, view, read) for view in (views.modifiers, views.controls, beside)))

    def columns(self, user: Ints, item: Ints) -> tuple[Doubles, Doubles]:
        """Return X float64[N,Dx] and W float64[N,Dw]."""
        return self.modifiers(user, item).astype(np.float64), self.controls(user, item).astype(np.float64)

    @staticmethod
    def column(dataset: CausalDataset, name: str, log: InteractionLog) -> Doubles:
        """Return one numeric column of logged rows, float64[N]; RequestError where it is none."""
        known = {column.name for column in dataset.card.columns if column.kind == "numeric"}
        if name not in known:
            raise RequestError(f"{name}: no numeric column of {dataset.card.name}; {nearest(name, known)}")
        return feature_matrix(dataset, (name,))(log.users, log.item)[:, 0].astype(np.float64)

    def rows(self, log: InteractionLog, arms: int, binary: bool) -> EffectRows:
        """Return logged rows as a learner reads them."""
        repeated = log.user is not None and len(np.unique(log.user)) < len(log)
        beside = self.beside(log.users, log.item).astype(np.float64)
        return EffectRows(
            *self.columns(log.users, log.item),
            treatment=log.treatment,
            outcome=log.outcome.astype(np.float64),
            arms=arms,
            binary=binary,
            groups=log.user if repeated else None,
            modifier_names=self.modifiers.names,
            control_names=self.controls.names,
            beside=beside if self.beside.names else None,
        )


def _reader(spec: TrainSpec) -> TextReader | None:
    """Return how the chosen encoder reads texts, None where it reads none."""
    encoder, paths = spec.leaves["encoder"], spec.spine.paths
    if not encoder.target.tunes:
        return None
    told, model = encoder.resolved(), encoder.arguments["model"]
    settings = {key: told[key] for key in ("pooling", "max_tokens", "layers", "precision")}
    source = model.build() if isinstance(model, Leaf) else model
    return TextReader(source, **settings, data=paths.data, cache=paths.cache)


def as_replicates(value: float, standard_error: float, count: int) -> Doubles:
    """Return evenly spaced quantiles of a normal estimate, float64[count], in the place of bootstrap replicates; those
    of seeds are averaged as if they erred together.
    """
    quantiles = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
    return value + standard_error * np.array(quantiles)


class LearnerPredictor(AbstractPredictor):
    """A learner fitted on training and validation rows (it chooses nothing by the latter), and the columns it reads."""

    def __init__(self, learner: AbstractEffect, ready: Ready, table: Table, seed: int) -> None:
        card, self.table = ready.dataset.card, table
        log = ready.train.joined(ready.validation)
        self.design = learner.design
        self.rows = table.rows(log, len(card.arms), card.outcome == "click")
        self.fitted: AbstractFittedEffect = learner.fit(self.rows, seed)

    def __call__(self, part: Slice) -> Floats:
        return self.fitted.effects(*self.table.columns(part.user, part.item)).astype(np.float32)

    def of_training(self, evaluator: Evaluator, name: str) -> Iterable[Score]:
        columns = self.rows.modifiers, self.rows.controls
        for arm in range(1, self.rows.arms + 1):
            place = named("training", arm)
            yield from self._average(columns, arm, place, evaluator, name)
            if self.design == "instrument":
                yield self._strength(arm, place, evaluator, name)

    def _strength(self, arm: int, place: str, evaluator: Evaluator, name: str) -> Score:
        strength = first_stage_f(self.rows, arm)
        if strength < WEAK:
            NOTES.warning("%s: instruments are weak, first-stage F %.1f: its interval is not valid", name, strength)
        nothing = np.full(evaluator.replicates, np.nan)
        return Score("first_stage_f", place, strength, np.nan, np.nan, len(self.rows), name, nothing)

    def _average(
        self, columns: tuple[Doubles, Doubles], arm: int, place: str, evaluator: Evaluator, name: str
    ) -> Iterable[Score]:
        average = self.fitted.average(*columns, evaluator.level)
        if average is not None:
            value, low, high = (float(end[arm - 1]) for end in (average.value, average.low, average.high))
            told = as_replicates(value, float(average.standard_error[arm - 1]), evaluator.replicates)
            yield Score("average_effect", place, value, low, high, len(columns[0]), name, told)

    def averages(self, part: Slice, evaluator: Evaluator, name: str) -> Iterable[Score]:
        yield from self._average(self.table.columns(part.user, part.item), part.arm, part.name, evaluator, name)
        interval = self.interval(part, evaluator.level) if part.kind == "effect" else None
        if interval is not None:
            lower, upper = (bound[:, part.arm - 1] for bound in interval)
            yield evaluator.share(part, (lower <= part.label) & (part.label <= upper), "coverage", name)

    def interval(self, part: Slice, level: float) -> tuple[Doubles, Doubles] | None:
        return self.fitted.interval(*self.table.columns(part.user, part.item), level)

    @property
    def sizes(self) -> dict[str, dict[str, int]]:
        return {"parameters": {}, "trainable": {}, "language_model": {}}
