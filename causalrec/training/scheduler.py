"""Learning-rate schedules, stepped once an epoch: thin typed constructors in front of torch's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from causalrec.types import Count


class AbstractScheduler(ABC):
    """Moves the learning rates of one role's optimizer between epochs."""

    @abstractmethod
    def build(self, optimizer: torch.optim.Optimizer, epochs: int) -> LRScheduler | None:
        """Return torch's schedule over an optimizer, None where rates stay; `epochs`: the most that are trained."""


@dataclass(frozen=True, kw_only=True)
class ConstantRate(AbstractScheduler):
    """Every epoch at the optimizer's own rates."""

    def build(self, optimizer: torch.optim.Optimizer, epochs: int) -> LRScheduler | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Cosine(AbstractScheduler):
    """From the optimizer's rates down to `least_lr` by half a cosine over the epochs (Loshchilov & Hutter, ICLR 2017).

    Early stopping may end the fit before the rate has come down: the half cosine is that of `trainer.max_epochs`.
    """

    least_lr: Annotated[float, Field(ge=0)] = 0.0

    def build(self, optimizer: torch.optim.Optimizer, epochs: int) -> LRScheduler | None:
        return CosineAnnealingLR(optimizer, T_max=epochs, eta_min=self.least_lr)


@dataclass(frozen=True, kw_only=True)
class LinearWarmup(AbstractScheduler):
    """From `first_share` of the optimizer's rates up to all of them over `warmup_epochs` (Goyal et al., 2017)."""

    warmup_epochs: Count = 3
    first_share: Annotated[float, Field(gt=0, le=1)] = 0.1

    def build(self, optimizer: torch.optim.Optimizer, epochs: int) -> LRScheduler | None:
        return LinearLR(optimizer, start_factor=self.first_share, total_iters=self.warmup_epochs)
