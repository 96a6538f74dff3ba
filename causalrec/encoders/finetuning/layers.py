"""The layers of a transformer, and learning rates by depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from causalrec.errors import RequestError


def layers_of(backbone: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the stack of layers of a transformers model and its name there (`encoder.layer`, `layers`, `h`).

    Raises RequestError for an architecture whose layers are no such stack (ALBERT shares one).
    """
    config: Any = backbone.config
    for name, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers:
            return name, module
    raise RequestError(
        f"finetuning: {config.model_type} has no stack of layers of its own; choose finetuning=full or lora"
    )


def depths(backbone: nn.Module) -> Mapping[str, int]:
    """Return each parameter's depth by name: 0 = embeddings, 1.. = layers, that of the last one = the final norm."""
    stack, layers = layers_of(backbone)
    depth_of, depth = {}, 0
    for name, _ in backbone.named_parameters():  # in the order of the forward pass
        inside = name.startswith(f"{stack}.")
        depth = int(name[len(stack) + 1 :].split(".")[0]) + 1 if inside else (len(layers) if depth else 0)
        depth_of[name] = depth
    return depth_of


def learning_rates(backbone: nn.Module, lr: float | None, layer_decay: float = 1.0) -> dict[str, float]:
    """Return `lr * layer_decay^(depth of the last layer - depth)` by name of each trained parameter; {} without `lr`.

    Source: discriminative fine-tuning, Howard & Ruder (ACL 2018, section 3.2), with their 1 / 2.6 as `layer_decay`.
    """
    trained = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    if lr is None or not trained:
        return {}
    if layer_decay == 1.0:
        return dict.fromkeys(trained, lr)
    depth = depths(backbone)
    last = max(depth.values())
    return {name: lr * layer_decay ** (last - depth[name]) for name in trained}


def set_gradient_checkpointing(backbone: Any, gradient_checkpointing: bool) -> None:
    """Compute each layer again in the backward pass if so set: less memory, about a third more time."""
    if gradient_checkpointing:
        newer = getattr(backbone, "activation_checkpointing_enable", None)  # its name from transformers 6 on
        try:
            (newer or backbone.gradient_checkpointing_enable)({"use_reentrant": False})
        except ValueError as error:
            raise RequestError(f"finetuning.gradient_checkpointing=true: {error}; set it to false") from error
        backbone.disable_input_require_grads()  # else gradients would run down to the embeddings for nobody
