"""Low-rank adaptation of a frozen language model (LoRA: Hu et al., ICLR 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import nn

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import learning_rates
from causalrec.encoders.finetuning.peft_adapter import inject_adapter


@dataclass(frozen=True, kw_only=True)
class LoRA(AbstractFinetuning):
    """Adds `alpha / rank * B A x`, B zero at first, to linear modules.

    Source: Hu et al. (ICLR 2022, section 4.1). Raises RequestError without `peft`.

    Attributes:
        rank: rank of B A.
        alpha: scale of the added term.
        dropout: share of the inputs that training drops.
        targets: last names of the modules that are adapted; None: query and value, or the joint module.
        dora: a trained magnitude for each output too (Liu et al., ICML 2024).
        rslora: `alpha / sqrt(rank)` in place of `alpha / rank` (Kalajdzievski, 2023).
        lr: learning rate; None: the optimizer's.
        gradient_checkpointing: layers are computed again in the backward pass.
    """

    rank: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    targets: tuple[str, ...] | None = None
    dora: bool = False
    rslora: bool = False
    lr: Rate | None = 4e-4
    gradient_checkpointing: bool = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        settings = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        flags = {"use_dora": self.dora, "use_rslora": self.rslora}
        targets = None if self.targets is None else list(self.targets)
        return inject_adapter(
            backbone, "LoraConfig", self.gradient_checkpointing, target_modules=targets, **settings, **flags
        )[0]

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr)
