"""What penalties of invariance share: which environment each row is of, and the objective's risk in each."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.estimators.reduction import batch_sum
from causalrec.features.batch_columns import batch_column
from causalrec.types import OUTCOME, Batch, Outputs, Term

TIME: Final = "time"
MAX_ENVIRONMENTS: Final = 100
RISK, ROWS = "risk", "rows"  # what a ratio is of, before the number of its environment
Groups = Annotated[int, Field(ge=2, le=MAX_ENVIRONMENTS)]


@dataclass(frozen=True, kw_only=True)
class AbstractEnvironmentPenalty(AbstractPenalty):
    """A penalty on how training rows differ between environments, named by a column or by periods of time.

    Args:
        environment: A category of users, items or rows, whose levels are the environments; a number of theirs, or
            `time`, which is cut into `groups` of as many training rows.
        groups: K, of a number or of time.
        weight: What the penalty is multiplied by.
    """

    environment: str
    groups: Groups = 3
    _count: int = field(default=0, init=False, repr=False, compare=False)
    _edges: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def reads_time(self) -> bool:
        return self.environment == TIME

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.reads_time else (self.environment,)

    def bind(self, dataset: CausalDataset) -> Self:
        """Return the penalty with its environments; RequestError where the training rows are all of one."""
        bound, codes = copy(self), self._values(dataset)
        if not np.isfinite(codes).all():
            raise RequestError(
                f"penalty: environment={self.environment}: has missing numbers; fill them, or name another"
            )
        if codes.dtype.kind == "i" and not self.reads_time:
            count, met = int(codes.max(initial=0)) + 1, len(np.unique(codes))
        else:
            edges = np.unique(np.quantile(codes, np.arange(1, self.groups) / self.groups, method="lower"))
            edges = edges[edges < codes.max(initial=-np.inf)]
            if not len(edges) and codes.min(initial=np.inf) < codes.max(initial=-np.inf):
                edges = np.array([codes[codes < codes.max()].max()])  # most rows have the largest number
            object.__setattr__(bound, "_edges", torch.from_numpy(edges.astype(np.float64)))
            count = met = len(edges) + 1
        if met < 2:
            raise RequestError(
                f"penalty: environment={self.environment}: all training rows are of one environment, and two or more "
                f"are compared; name another column"
            )
        if count > MAX_ENVIRONMENTS:
            raise RequestError(
                f"penalty: environment={self.environment}: has {count:,} levels, and at most {MAX_ENVIRONMENTS} are "
                f"compared; name another column"
            )
        object.__setattr__(bound, "_count", count)
        return bound

    def _values(self, dataset: CausalDataset) -> np.ndarray:
        """Return the level code, number or time of each training row."""
        log = dataset.logged
        if not self.reads_time:
            column = batch_column(dataset, self.environment, "penalty")
            user = np.zeros(len(log), np.int64) if log.user is None else log.user
            return column.read(log, user, log.item, np.arange(len(log)))
        if log.time is None:
            raise RequestError("penalty: environment=time: the log has no times; name a column")
        return log.time.astype(np.float64)

    def environment_of(self, batch: Batch) -> Tensor:
        """Return the number of each row's environment, int64 `[B]`."""
        values = batch.time if self.reads_time else batch.columns[self.environment]
        assert values is not None, "the loader reads times for it"
        if self._edges is None:
            return values
        return torch.searchsorted(self._edges.to(values.device), values.to(self._edges.dtype).contiguous(), right=False)

    def risk_ratios(self, batch: Batch, outputs: Outputs) -> dict[str, Term]:
        """Return the objective's risk of the outcome in each environment, and the share of rows that are of it."""
        environment, rows = self.environment_of(batch), torch.ones_like(batch.weight)
        terms = {}
        for k in range(self._count):
            mask = (environment == k).to(batch.weight.dtype)
            terms[f"{ROWS}_{k}"] = Term(mask, OUTCOME, normaliser=rows)
            for name, term in outputs.terms.items():
                if term.trains == OUTCOME and not term.squared:
                    count = mask if term.normaliser is None else mask * term.normaliser.detach()
                    some = batch_sum(batch.weight * count) > 0
                    terms[f"{RISK}_{k}_{name}"] = Term(
                        mask * term.value, OUTCOME, normaliser=torch.where(some, count, rows)
                    )
        return terms

    def risks(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the risk of each environment and whether the batch has rows of it, `[K]` (of a stack `[K,R]`)."""
        risks, present = [], []
        for k in range(self._count):
            of_terms = [value for name, value in values.items() if name.startswith(f"{RISK}_{k}_")]
            risks.append(torch.stack(of_terms).sum(0))
            present.append(values[f"{ROWS}_{k}"] > 0)
        return torch.stack(risks), torch.stack(present)


def pair_vectors(outputs: Outputs) -> Tensor:
    """Return `u * v` of each row, `[B,D]`: what the score sums up."""
    user, item = outputs.vectors[OUTCOME]
    return user * item
