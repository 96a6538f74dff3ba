"""From token vectors to one unit vector per text."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from causalrec.encoders.language.model import LanguageModel
from causalrec.errors import RequestError

Fixed = Literal["cls", "mean", "last"]
Pooling = Literal["cls", "mean", "last", "attention"]


def pool_tokens(hidden: Tensor, mask: Tensor, pooling: Fixed) -> Tensor:
    """Pool token vectors float32[B,L,D] under the mask[B,L], padded on either side, into unit vectors [B,D].

    `cls` and `last`: the vector of the first and of the last token that is not padding; `mean`: of all of them.

    >>> hidden, mask = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]])
    >>> [pool_tokens(hidden, mask, how).tolist() for how in ("cls", "last")]
    [[[0.6000000238418579, 0.800000011920929]], [[0.0, 1.0]]]
    """
    seen = mask.bool()
    if pooling == "mean":
        total = hidden.masked_fill(~seen.unsqueeze(-1), 0).sum(1)  # not times the mask: padding may hold nan
        return functional.normalize(total / seen.sum(1, keepdim=True).clamp_min(1), dim=-1)
    first = seen.int().argmax(1)
    positions = first if pooling == "cls" else seen.shape[1] - 1 - seen.flip(1).int().argmax(1)
    return functional.normalize(hidden[torch.arange(len(hidden), device=hidden.device), positions], dim=-1)


class AttentionPooling(nn.Module):
    """Average of token vectors, weighted by softmax of `query . h / sqrt(D)` over the tokens; at first their mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool float32[B,L,D] under the mask[B,L] into unit vectors [B,D]."""
        seen = mask.bool()
        hidden = hidden.masked_fill(~seen.unsqueeze(-1), 0)
        scores = hidden @ self.query / hidden.shape[-1] ** 0.5
        weight = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(1)
        return functional.normalize((weight.unsqueeze(1) @ hidden).squeeze(1), dim=-1)


class TextPooling(nn.Module):
    """Any pooling, of half-precision states in float32."""

    def __init__(self, pooling: Pooling, width: int) -> None:
        super().__init__()
        self.pooling = pooling
        self.attention = AttentionPooling(width) if pooling == "attention" else None

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool float[B,L,D] under the mask[B,L] into unit vectors [B,D]."""
        if hidden.dtype in (torch.bfloat16, torch.float16):
            hidden = hidden.float()
        if self.attention is not None:
            vector: Tensor = self.attention(hidden, mask)
            return vector
        return pool_tokens(hidden, mask, self.pooling)  # type: ignore[arg-type]


def check_pooling(language: LanguageModel, pooling: Pooling) -> None:
    """Raise RequestError for `cls` of a decoder, whose first token has seen nothing of the text."""
    if pooling == "cls" and language.causal:
        raise RequestError(
            "encoder.pooling=cls: a decoder's first token sees none of the others; take last, mean or attention"
        )
