"""What the heads of treatments share: layers that also run on stacked parameters, an output for each arm."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead
from causalrec.types import ARMS, Role


class AbstractTreatmentHead(AbstractHead):
    """A head that predicts a row's outcome under each treatment, `arms[B,A+1]`, from `join_inputs(..)`, `[B,D+F]`.

    `outcome_heads`: the networks `MLP` whose outputs are raw outcomes.
    """

    vectorizable: ClassVar[bool] = True
    reads_width: ClassVar[bool] = True
    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS})
    outcome_heads: nn.ModuleList

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        for network in self.outcome_heads:
            network.maps[-1].bias.copy_(raw)  # type: ignore[index, union-attr]
