"""Distributionally robust optimisation over groups: the worst environment counts most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.penalty.environments import AbstractEnvironmentPenalty
from causalrec.types import Batch, Outputs, Term

LOG_SHARES = "log_shares"


@dataclass(frozen=True, kw_only=True)
class GroupDRO(AbstractEnvironmentPenalty):
    """`sum_e q_e R_e`, the risks of environments by weights that each step multiplies by `exp(step_size R_e)`.

    Beside the objective's own loss: at a large weight it is the worst environment's that is learnt. The weights q sum
    to 1, start equal, and stand in checkpoints; an environment without a row in the batch keeps its own. Source: Sagawa
    et al. (ICLR 2020, algorithm 1).

    Args:
        environment: A category of users, items or rows, whose levels are the environments; a number of theirs, or
            `time`, which is cut into `groups` of as many training rows.
        groups: K, of a number or of time.
        step_size: eta (.01 in the paper).
        weight: What the sum is multiplied by.
    """

    reads_terms: ClassVar[bool] = True

    step_size: Annotated[float, Field(gt=0)] = 0.01

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.risk_ratios(batch, outputs)

    def start_state(self) -> Mapping[str, Tensor]:
        return {LOG_SHARES: torch.zeros(self._count)}

    def next_state(self, state: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        risks, present = self.risks(values)
        moved = state[LOG_SHARES] + self.step_size * risks * present
        return {LOG_SHARES: torch.log_softmax(moved, 0)}

    def combine_with_state(self, values: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        risks, present = self.risks(values)
        share = state[LOG_SHARES].softmax(0) * present
        return (share * risks).sum(0) / share.sum(0).clamp_min(1e-12)
