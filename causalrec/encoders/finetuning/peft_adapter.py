"""The only door to `peft`, which is imported when a finetuning asks for it and not before: it takes seconds."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from causalrec.encoders.finetuning.layers import set_gradient_checkpointing
from causalrec.errors import RequestError

NAME = "default"  # peft's, of an adapter: `...query.lora_A.default.weight`


def inject_adapter(backbone: Any, kind: str, gradient_checkpointing: bool, **settings: Any) -> tuple[nn.Module, Any]:
    """Freeze a transformers model and put `peft`'s adapters of `kind` (the class of their settings) into it.

    Return the model, changed in place, and the settings. Raises RequestError without `peft`, and where the model has
    no modules of the names asked for.
    """
    try:
        import peft
    except ImportError as error:
        raise RequestError(
            f"finetuning: needs peft, which is not installed ({error}); pip install causalrec[peft]"
        ) from error
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    set_gradient_checkpointing(backbone, gradient_checkpointing)
    backbone.requires_grad_(False)
    config = getattr(peft, kind)(**settings)
    targets = settings.get("target_modules")
    if targets is None and backbone.config.model_type not in KNOWN:
        raise RequestError(
            f"finetuning.targets: peft has no default for {backbone.config.model_type}; name linear modules of the "
            f"model, for example {', '.join(linear_names(backbone)[:4])}"
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # set right by peft itself
            return peft.inject_adapter_in_model(config, backbone, NAME), config
    except ValueError as error:
        raise RequestError(
            f"finetuning.targets={targets}: peft's {kind.removesuffix('Config')} does not fit "
            f"{backbone.config.model_type}, whose linear modules are {', '.join(linear_names(backbone))} "
            f"({' '.join(str(error).split())[:160]})"
        ) from error


def linear_names(backbone: nn.Module) -> list[str]:
    """Return the last names of all linear modules (GPT-2 calls them Conv1D), sorted."""
    kinds = ("Linear", "Conv1D")
    return sorted({name.split(".")[-1] for name, module in backbone.named_modules() if type(module).__name__ in kinds})
