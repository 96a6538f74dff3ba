"""Frozen: the language model stays as it was pretrained."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from causalrec.encoders.finetuning.base import AbstractFinetuning


@dataclass(frozen=True, kw_only=True)
class Frozen(AbstractFinetuning):
    """No parameter of the language model is trained."""

    trains: ClassVar[bool] = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        return backbone.requires_grad_(False).eval()
