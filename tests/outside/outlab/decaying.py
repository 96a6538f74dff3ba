"""A schedule: the rates fall by a factor each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from causalrec.training.scheduler import AbstractScheduler


@dataclass(frozen=True, kw_only=True)
class Decaying(AbstractScheduler):
    """Multiplies the rates by `factor` each epoch."""

    factor: float = 0.5

    def build(self, optimizer: torch.optim.Optimizer, epochs: int) -> LRScheduler:
        return ExponentialLR(optimizer, self.factor)
