"""A language model under fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from causalrec.encoders.finetuning.base import AbstractFinetuning
from causalrec.encoders.language.model import LanguageModel


class FineTunedModel(nn.Module):
    """Token vectors of a language model, as much of which is trained as the finetuning says.

    Frozen parameters are not in a state dict, so that checkpoints hold only what a fit has changed: they are loaded
    again from the model's folder, and `stamp` (in the repr, which identifies a fit) says which model that was. A model
    that is not trained stays in evaluation mode, without a graph. `size`: parameters of the model, adapters left out.
    """

    def __init__(self, language: LanguageModel, finetuning: AbstractFinetuning, stamp: str = "") -> None:
        super().__init__()
        self.language, self.finetuning, self.stamp = language, finetuning, stamp
        self.size = sum(parameter.numel() for parameter in language.backbone.parameters())
        language.backbone.config.use_cache = False  # of decoding, which never happens here
        self.model = finetuning.apply(language.backbone)
        self._frozen = frozenset(name for name, parameter in self.named_parameters() if not parameter.requires_grad)
        self.register_state_dict_post_hook(_drop_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_restore_frozen)  # type: ignore[no-untyped-call]
        self.train(self.training)

    def train(self, mode: bool = True) -> FineTunedModel:
        return super().train(mode and self.finetuning.trains)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """Return float32[B,L,width] of tokens `ids[B,L]` under their `mask[B,L]`; `types[B,L]`: 1 in a second text."""
        segments = {} if types is None else {"token_type_ids": types}
        with nullcontext() if self.finetuning.trains else torch.no_grad():
            hidden: Tensor = self.model(input_ids=ids, attention_mask=mask, **segments).last_hidden_state
        return hidden

    def rates(self) -> Mapping[str, float]:
        """Return learning rates by parameter name, of those that do not take the optimizer's."""
        return {f"model.{name}": rate for name, rate in self.finetuning.rates(self.model).items()}

    def after_optimizer_step(self) -> None:
        """Called after each step of the optimizer."""
        self.finetuning.after_optimizer_step(self.model)

    def extra_repr(self) -> str:
        return f"{self.finetuning}, {self.stamp}"


def _drop_frozen(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    assert isinstance(module, FineTunedModel)
    for name in module._frozen:
        state.pop(prefix + name, None)


def _restore_frozen(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(module, FineTunedModel)
    for name in module._frozen:
        state.setdefault(prefix + name, module.get_parameter(name).detach())
