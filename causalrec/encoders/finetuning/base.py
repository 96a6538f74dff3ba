"""The contract of finetuning: which of a language model's parameters are trained, and how fast."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

Rate = Annotated[float, Field(gt=0)]


class AbstractFinetuning(ABC):
    """How much of a pretrained language model is trained. Constructor keywords are its YAML keys.

    `trains`: whether any of its parameters are; where none are, texts are embedded once and kept on disk.
    """

    trains: ClassVar[bool] = True

    @abstractmethod
    def apply(self, backbone: nn.Module) -> nn.Module:
        """Freeze, unfreeze or wrap a transformers model in place; return the module to call in its stead."""

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        """Return learning rates by name of the tuned `backbone`'s parameters; others take the optimizer's."""
        return {}

    def after_optimizer_step(self, backbone: nn.Module) -> None:
        """Called on the tuned `backbone` after each step of its optimizer, gradients still in place."""
        return
