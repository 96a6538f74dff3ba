"""Learned scales of activations in a frozen language model ((IA)3: Liu et al., NeurIPS 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import learning_rates
from causalrec.encoders.finetuning.peft_adapter import inject_adapter


@dataclass(frozen=True, kw_only=True)
class IA3(AbstractFinetuning):
    """Multiplies keys, values and what feed-forward layers hold inside by trained vectors, ones at first.

    `lr` None: the optimizer's. Source: Liu et al. (NeurIPS 2022, section 3.3). Raises RequestError without `peft`.
    """

    lr: Rate | None = 3e-3
    gradient_checkpointing: bool = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        return inject_adapter(backbone, "IA3Config", self.gradient_checkpointing)[0]

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr)
