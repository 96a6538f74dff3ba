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
PADDING_PER_BATCH = {"cpu": 64}  # padded tokens that cost as much as one more pass through the layers
PADDING_PER_BATCH_ELSEWHERE = 1 << 12


class TrainableText(nn.Module):
    """Vectors float32[n,width] of distinct texts, read by a language model in each call.

    The texts of `prefetch_ids` are read together with those of a call, and stored for the next call. Without gradients
    and dropout a text is read once until a parameter changes or `clear_cache` is called.

    Args:
        tuned: the language model.
        rows: token ids of each distinct text, in ascending order of length.
        pooling: how the states of the tokens become one vector.
        register_tuned: `tuned` is a submodule of this one; else it is another module's, and is written once.
    """

    tuned: FineTunedModel

    def __init__(
        self, tuned: FineTunedModel, rows: Sequence[Sequence[int]], pooling: Pooling, register_tuned: bool = True
    ) -> None:
        super().__init__()
        if register_tuned:
            self.tuned = tuned
        else:
            vars(self)["tuned"] = tuned  # no part of this module: it is another's, and written once
        self.width, self.size = tuned.language.width, tuned.size
        self.pool = TextPooling(pooling, self.width)
        self.lengths = [len(row) for row in rows]
        starts = np.cumsum([0, *self.lengths[:-1]]).astype(np.int64)
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        self.register_buffer("tokens", torch.tensor([token for row in rows for token in row]), persistent=False)
        self._prefetched: tuple[Any, Tensor, Tensor] | None = None  # state of the parameters, text ids, vectors
        self._lookup_cache: tuple[Any, Tensor, Tensor] | None = None  # state of the parameters, which are read, vectors

    def forward(self, distinct: Tensor, prefetch_ids: Tensor | None = None) -> Tensor:
        """Return float32[n,width] of indices of texts, distinct and sorted."""
        if not torch.is_grad_enabled() and not self.training:
            return self._look_up(distinct)
        prefetched, self._prefetched = self._prefetched, None
        if (
            prefetched is not None
            and prefetched[0] == self._state()
            and bool(torch.isin(distinct, prefetched[1]).all())
        ):
            return prefetched[2][torch.searchsorted(prefetched[1], distinct)]
        if prefetch_ids is None:
            return self._read(distinct)
        together = torch.unique(torch.cat([distinct, prefetch_ids.flatten()]))
        vectors = self._read(together)
        self._prefetched = (self._state(), together, vectors)
        return vectors[torch.searchsorted(together, distinct)]

    def train(self, mode: bool = True) -> TrainableText:
        if mode or self.training:
            self.clear_cache()
        return super().train(mode)

    def clear_cache(self) -> None:
        """Drop what was read: fused optimizers change parameters without a sign that `_state` could see."""
        self._prefetched = self._lookup_cache = None

    def _state(self) -> tuple[tuple[int, int], ...]:
        return tuple(
            (parameter.data_ptr(), parameter._version)
            for parameter in chain(self.parameters(), self.tuned.parameters())
        )

    @torch.inference_mode(False)
    @torch.no_grad()
    def _look_up(self, distinct: Tensor) -> Tensor:
        distinct, state, count = distinct.clone(), self._state(), len(self.lengths)
        if (
            self._lookup_cache is None
            or self._lookup_cache[0] != state
            or self._lookup_cache[1].device != distinct.device
        ):
            is_read = torch.zeros(count, dtype=torch.bool, device=distinct.device)
            self._lookup_cache = (state, is_read, torch.zeros(count, self.width, device=distinct.device))
        _, is_read, vectors = self._lookup_cache
        if len(new := distinct[~is_read[distinct]]):
            read = self._read(new)
            vectors = vectors.to(read.dtype).index_copy_(0, new, read)
            self._lookup_cache = (state, is_read.index_fill_(0, new, True), vectors)
        return vectors[distinct]

    def _read(self, distinct: Tensor) -> Tensor:
        """Read texts in batches of like length."""
        if not len(distinct):
            return torch.zeros(0, self.width, device=distinct.device)
        lengths = [self.lengths[text_id] for text_id in distinct.tolist()]
        return torch.cat(
            [
                self._embed_batch(distinct[batch_rows], lengths[batch_rows])
                for batch_rows in length_batches(lengths, distinct.device)
            ]
        )

    def _embed_batch(self, distinct: Tensor, lengths: Sequence[int]) -> Tensor:
        offsets = torch.arange(lengths[-1], device=distinct.device)
        mask = offsets < torch.tensor(lengths, device=distinct.device)[:, None]
        token_positions = (self.get_buffer("starts")[distinct][:, None] + offsets) * mask
        ids = torch.where(mask, self.get_buffer("tokens")[token_positions], self.tuned.language.pad)
        vector: Tensor = self.pool(self.tuned(ids, mask.long()), mask)
        return vector


def length_batches(lengths: Sequence[int], device: torch.device) -> Iterator[slice]:
    """Cut ascending lengths into batches as it pays on a device."""
    return batches(lengths, TOKENS_AT_ONCE, PADDING_PER_BATCH.get(device.type, PADDING_PER_BATCH_ELSEWHERE))
