"""The rows of a decoder's output layer that belong to a few tokens."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from causalrec.encoders.language.model import LanguageModel
from causalrec.errors import DataError, RequestError

NAMES = ("lm_head", "embed_out")  # of output layers that are not the embeddings


class OutputLayer(nn.Module):
    """Logits of some tokens from the last hidden state; the other tokens' are never computed.

    Where the model's output layer is its embedding table, the rows are read from the table as it is now; a layer of its
    own is read from the files, and stays as it was pretrained.

    Args:
        language: the model without its head.
        folder: of its files.
        tokens: ids whose logits are given.
    """

    def __init__(self, language: LanguageModel, folder: Path, tokens: list[int]) -> None:
        super().__init__()
        if not language.causal:
            raise RequestError(
                f"encoder.model={folder}: reads both ways, as BERT, and has no next token; name a decoder (GPT, Llama)"
            )
        vars(self)["language"] = language  # its parameters are those of the encoder
        config = language.backbone.config
        rows = _stored_rows(folder, tokens)
        if rows is None and not config.tie_word_embeddings:
            raise RequestError(
                f"encoder.model={folder}: its files hold no output layer (saved without its head), so that it cannot "
                f"answer; save the whole model: AutoModelForCausalLM.from_pretrained(NAME).save_pretrained(FOLDER)"
            )
        dtype = next(language.backbone.parameters()).dtype
        weight, bias = (None, None) if rows is None else rows
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        self.register_buffer("weight", None if weight is None else weight.to(dtype), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.to(dtype), persistent=False)
        self.cap = getattr(config, "final_logit_softcapping", None)
        self.factor = float(getattr(config, "logit_scale", None) or 1) / float(
            getattr(config, "logits_scaling", None) or 1
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return float32[B,T] from the last hidden states `[B,D]`."""
        weight = self.weight
        if weight is None:
            language: LanguageModel = vars(self)["language"]
            weight = cast(nn.Embedding, language.backbone.get_input_embeddings()).weight[self.get_buffer("tokens")]
        logits = nn.functional.linear(hidden, weight, self.bias).float() * self.factor
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    weight: Tensor | None
    bias: Tensor | None


def _stored_rows(folder: Path, tokens: list[int]) -> tuple[Tensor, Tensor | None] | None:
    """Return the rows and the bias of an output layer of its own, None where the files hold none."""
    from safetensors import safe_open

    stored: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                layer, _, kind = name.rpartition(".")
                if layer.rpartition(".")[2] in NAMES and kind in ("weight", "bias"):
                    stored[kind] = _rows(folder, file.get_tensor(name), tokens)
    return (stored["weight"], stored.get("bias")) if "weight" in stored else None


def _rows(folder: Path, stored: Tensor, tokens: list[int]) -> Tensor:
    if max(tokens) >= len(stored):
        raise DataError(
            f"encoder.model={folder}: its output layer has {len(stored)} rows, fewer than its tokenizer has tokens; "
            f"not a pair"
        )
    return stored[tokens]
