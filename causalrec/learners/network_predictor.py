"""A trained network under its objective, as something that predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.evaluation.catalogue_predictions import CatalogueScorer, pair_scorer
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.features.views import FeatureMatrix
from causalrec.learners.catalogue_scorer import tower_scorer
from causalrec.learners.predictor import AbstractPredictor, Sizes
from causalrec.models import CausalModel, inference_batch
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Doubles, Floats, Outputs, Role

JUDGED = (OUTCOME, IMPUTATION)
WARNED_PAIRS = 1000  # drawn uniformly
MOST_KEPT = 1 << 24  # numbers that are predicted once


class NetworkPredictor(AbstractPredictor):
    """A trained network under its objective; the same rows are predicted once.

    Args:
        model: trained.
        features: the numbers of the outcome view.
        objective: what it was trained by.
        log: the training rows, whose users and items the objective's warnings of a fit are about; None: it has none.
        buffer_warnings: of what the objective has fitted between epochs.
        buffers: what that is, for the weights of the model; empty where it fits nothing, or that was not kept.
    """

    def __init__(
        self,
        model: CausalModel,
        features: FeatureMatrix,
        objective: AbstractObjective,
        log: InteractionLog | None = None,
        buffer_warnings: tuple[str, ...] = (),
        buffers: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model, self.features, self.objective, self.log = model, features, objective, log
        self.buffer_warnings = buffer_warnings
        self.buffers = {k: v.float() if v.is_floating_point() else v for k, v in (buffers or {}).items()}  # as weights
        self.only_ranks = not objective.required_head_outputs
        self._predicted: dict[str, Floats] = {}

    def __call__(self, rows: SliceData) -> Floats:
        key = rows.rows_key
        if key not in self._predicted:
            if sum(each.size for each in self._predicted.values()) > MOST_KEPT:  # of blocks of a stream, each read once
                self._predicted.clear()
            self._predicted[key] = self._predict(rows)
        return self._predicted[key]

    def potential_outcomes(self, rows: SliceData) -> Floats | None:
        return self._predict(rows, self.objective.potential_outcomes) if self.objective.required_head_outputs else None

    def imputation_misses(self, rows: InteractionLog) -> Doubles | None:
        if not self._asks(JUDGED):
            return None
        imputed_label = self.objective.imputed_label
        raw = torch.from_numpy(
            self._read(rows, lambda outputs: torch.stack([outputs[OUTCOME], imputed_label(outputs)], -1), JUDGED)
        )
        outcome, label, link = raw[..., 0].double(), torch.from_numpy(rows.outcome).double(), self.model.link
        imputed = pointwise_error(outcome, raw[..., 1].double(), link)
        return (pointwise_error(outcome, label, link) - imputed).numpy()

    def learned_propensity(self, pairs: InteractionLog) -> Floats | None:
        if not self._asks((PROPENSITY,)):
            return None
        return self._read(pairs, self.objective.learned_propensity, (PROPENSITY,))

    def _asks(self, roles: Sequence[Role]) -> bool:
        """Whether there are these networks, each of one output, as the objective reads it, and they need not read each
        pair anew to answer. What is fitted between epochs may change what it reads: without it there is no answer.
        """
        return (
            set(roles) <= set(self.objective.roles)
            and (self.objective.epoch_rows is None or bool(self.buffers))
            and not self.objective.required_head_outputs
            and not any(self.model.reads_pairs(role) for role in roles)
        )

    def _read(self, rows: InteractionLog, read: Callable[[Outputs], Tensor], roles: Sequence[Role]) -> Floats:
        block = self.features.row_block(rows)

        def read_with_buffers(outputs: Outputs) -> Tensor:
            return read(replace(outputs, buffers=self.buffers))

        return self.model.predict(
            rows.users, rows.item, self.features, self.objective, rows.time, read_with_buffers, block, roles=roles
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        warns = type(self.objective).fit_warnings is not AbstractObjective.fit_warnings
        of_fit = self._fit_warnings if warns and self.log is not None else ()
        return (*self.buffer_warnings, *of_fit, *self.model.encoder_warnings)

    @cached_property
    def _fit_warnings(self) -> tuple[str, ...]:
        assert self.log is not None
        rng = np.random.default_rng(0)
        user, item = (rng.choice(ids, WARNED_PAIRS) for ids in (self.log.pool_users, self.log.pool_items))
        self.model.eval()
        device = next(self.model.parameters()).device
        batch = inference_batch(user, item, self.features).to(device)
        with torch.no_grad():
            return self.objective.fit_warnings(batch, self.model(batch))

    def catalogue_scorer(self, data: CatalogueData, pairs_at_once: int) -> CatalogueScorer:
        """Return what predicts all items of users: by products of towers, where the head is one."""
        towers = tower_scorer(self.model, self.features, self.objective, data)
        return pair_scorer(self._predict, data, pairs_at_once) if towers is None else towers

    @property
    def sizes(self) -> Sizes:
        by_role = {str(role): self.model.sizes(role) for role in self.objective.roles}
        kinds = ("parameters", "trainable", "language_model")
        return {kind: {role: sizes[kind] for role, sizes in by_role.items()} for kind in kinds}

    def _predict(self, rows: SliceData, read: Callable[[Outputs], Tensor] | None = None) -> Floats:
        row = self.features.row_block(rows)
        return self.model.predict(rows.user, rows.item, self.features, self.objective, rows.time, read, row)
