"""Partial fine-tuning: the last layers of the language model are trained, what is below them is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import nn

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import depths, layers_of, learning_rates, set_gradient_checkpointing
from causalrec.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class LastLayers(AbstractFinetuning):
    """The last `count` layers and a decoder's final norm are trained, with learning rates as in `Full`.

    No gradient flows below them. Raises RequestError for more layers than the model has.

    Attributes:
        count: number of trained layers.
        lr: learning rate of the last layer; None: the optimizer's.
        layer_decay: factor of the learning rate with each layer further down.
        gradient_checkpointing: layers are computed again in the backward pass.
    """

    count: Annotated[int, Field(gt=0)] = 2
    lr: Rate | None = 2e-5
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    gradient_checkpointing: bool = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        there = len(layers_of(backbone)[1])
        if self.count > there:
            raise RequestError(f"finetuning.count={self.count}: the model has {there} layers; train fewer")
        set_gradient_checkpointing(backbone, self.gradient_checkpointing)
        depth = depths(backbone)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(depth[name] > there - self.count)
        return backbone

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr, self.layer_decay)
