"""Bottleneck adapters after each layer of a frozen language model (Houlsby et al., ICML 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import layers_of, learning_rates, set_gradient_checkpointing


class Bottleneck(nn.Module):
    """`h + up(gelu(down(h)))` of token vectors float32[...,D] through `width` dimensions; at first the identity."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(size, width), nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        changed: Tensor = self.up(functional.gelu(self.down(hidden)))
        return hidden + changed


def apply_adapter(layer: nn.Module, _: Any, output: Any) -> Any:
    """Send a layer's output through the adapter it holds: a forward hook, so that the layer stays what it is."""
    adapter = layer.get_submodule("adapter")
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


@dataclass(frozen=True, kw_only=True)
class Adapters(AbstractFinetuning):
    """One adapter of `width` after each layer, at `lr` (None: the optimizer's); all else is frozen.

    Source: Houlsby et al. (ICML 2019, section 2.1); one adapter a layer, after its second block, as Pfeiffer et al.
    (EACL 2021, section 3.2.1) found to do as well. Theirs has its skip connection before the layer norm.
    """

    width: Annotated[int, Field(gt=0)] = 64
    lr: Rate | None = 1e-4
    gradient_checkpointing: bool = False

    def apply(self, backbone: nn.Module) -> nn.Module:
        backbone.requires_grad_(False)
        set_gradient_checkpointing(backbone, self.gradient_checkpointing)
        size: int = backbone.config.hidden_size  # type: ignore[union-attr, assignment]
        for layer in layers_of(backbone)[1]:
            layer.add_module("adapter", Bottleneck(size, self.width))
            layer.register_forward_hook(apply_adapter)
        return backbone

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr)
