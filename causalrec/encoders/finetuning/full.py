"""Full fine-tuning: every parameter of the language model is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import nn

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import learning_rates, set_gradient_checkpointing


@dataclass(frozen=True, kw_only=True)
class Full(AbstractFinetuning):
    """All parameters at `lr` (None: the optimizer's), `layer_decay` times less with each layer further down.

    Source: `lr`, Devlin et al. (NAACL 2019, appendix A.3); `layer_decay`, Howard & Ruder (ACL 2018, section 3.2).
    """

    lr: Rate | None = 2e-5
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    gradient_checkpointing: bool = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        set_gradient_checkpointing(backbone, self.gradient_checkpointing)
        return backbone.requires_grad_(True)

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr, self.layer_decay)
