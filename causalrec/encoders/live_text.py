"""Texts read by a language model in each step, every distinct one once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.language.batching import batches
from causalrec.encoders.language.pooling import Pooling, TextPooling

TOKENS_AT_ONCE = 1 << 14  # padding included
WORTH = {"cpu": 64}  # padded tokens that cost as much as one more pass through the layers
WORTH_ELSEWHERE = 1 << 12


class LiveText(nn.Module):
    """Vectors float32[n,width] of distinct texts, kept as tokens `rows` in ascending order of length.

    Those `ahead` are read together with a call's own and kept for the next call. Without gradients and dropout a text
    is read once until a parameter changes or `forget` is called. `owns`: whether `tuned` is part of this module.
    """

    tuned: FineTunedModel

    def __init__(
        self, tuned: FineTunedModel, rows: Sequence[Sequence[int]], pooling: Pooling, owns: bool = True
    ) -> None:
        super().__init__()
        if owns:
            self.tuned = tuned
        else:
            vars(self)["tuned"] = tuned  # no part of this module: it is another's, and written once
        self.width, self.size = tuned.language.width, tuned.size
        self.pool = TextPooling(pooling, self.width)
        self.lengths = [len(row) for row in rows]
        starts = np.cumsum([0, *self.lengths[:-1]]).astype(np.int64)
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        self.register_buffer("tokens", torch.tensor([token for row in rows for token in row]), persistent=False)
        self._ahead: tuple[Any, Tensor, Tensor] | None = None  # state of the parameters, places, vectors
        self._known: tuple[Any, Tensor, Tensor] | None = None  # state of the parameters, which are read, vectors

    def forward(self, distinct: Tensor, ahead: Tensor | None = None) -> Tensor:
        """Return float32[n,width] of places, distinct and sorted."""
        if not torch.is_grad_enabled() and not self.training:
            return self._looked_up(distinct)
        kept, self._ahead = self._ahead, None
        if kept is not None and kept[0] == self._state() and bool(torch.isin(distinct, kept[1]).all()):
            return kept[2][torch.searchsorted(kept[1], distinct)]
        if ahead is None:
            return self._read(distinct)
        together = torch.unique(torch.cat([distinct, ahead.flatten()]))
        vectors = self._read(together)
        self._ahead = (self._state(), together, vectors)
        return vectors[torch.searchsorted(together, distinct)]

    def train(self, mode: bool = True) -> LiveText:
        if mode or self.training:
            self.forget()
        return super().train(mode)

    def forget(self) -> None:
        """Drop what was read: fused optimizers change parameters without a sign that `_state` could see."""
        self._ahead = self._known = None

    def _state(self) -> tuple[tuple[int, int], ...]:
        return tuple((part.data_ptr(), part._version) for part in chain(self.parameters(), self.tuned.parameters()))

    @torch.inference_mode(False)
    @torch.no_grad()
    def _looked_up(self, distinct: Tensor) -> Tensor:
        distinct, state, count = distinct.clone(), self._state(), len(self.lengths)
        if self._known is None or self._known[0] != state or self._known[1].device != distinct.device:
            known = torch.zeros(count, dtype=torch.bool, device=distinct.device)
            self._known = (state, known, torch.zeros(count, self.width, device=distinct.device))
        _, known, vectors = self._known
        if len(new := distinct[~known[distinct]]):
            read = self._read(new)
            vectors = vectors.to(read.dtype).index_copy_(0, new, read)
            self._known = (state, known.index_fill_(0, new, True), vectors)
        return vectors[distinct]

    def _read(self, distinct: Tensor) -> Tensor:
        """Read texts in batches of like length."""
        if not len(distinct):
            return torch.zeros(0, self.width, device=distinct.device)
        lengths = [self.lengths[place] for place in distinct.tolist()]
        return torch.cat([self._pooled(distinct[part], lengths[part]) for part in alike(lengths, distinct.device)])

    def _pooled(self, distinct: Tensor, lengths: Sequence[int]) -> Tensor:
        spread = torch.arange(lengths[-1], device=distinct.device)
        mask = spread < torch.tensor(lengths, device=distinct.device)[:, None]
        places = (self.get_buffer("starts")[distinct][:, None] + spread) * mask
        ids = torch.where(mask, self.get_buffer("tokens")[places], self.tuned.language.pad)
        vector: Tensor = self.pool(self.tuned(ids, mask.long()), mask)
        return vector


def alike(lengths: Sequence[int], device: torch.device) -> Iterator[slice]:
    """Cut ascending lengths into batches as it pays on a device."""
    return batches(lengths, TOKENS_AT_ONCE, WORTH.get(device.type, WORTH_ELSEWHERE))
