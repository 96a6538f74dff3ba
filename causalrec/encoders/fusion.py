"""The vectors of a user or an item, one for each modality, fused into one; a missing modality has no weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import affine, rows_of
from causalrec.encoders.language.checksums import key_of
from causalrec.types import Vectors

FusionRule = Literal["gated", "sum", "mean"]
ROWS_AT_ONCE = 1 << 14


class Fusion(nn.Module):
    """Fuses the vectors float32[...,width] of M modalities into one vector; a missing modality has no weight.

    `gated`: weights softmax(G [v_1..v_M]) over the modalities present, a missing one read as zeros, at first all equal
    (a gated multimodal unit, Arevalo et al., ICLR workshop 2017, with softmax). `sum`, `mean`: of those present. Where
    none is, a learned vector.

    Args:
        modalities: modules that are called with ids, by name.
        present: which of `modalities` each id has, bool[N,M].
        width: size of the vectors.
        how: `gated`, `sum` or `mean`.
        further: number of modalities whose vectors come with the call.
    """

    def __init__(
        self,
        modalities: Mapping[str, nn.Module],
        present: Tensor,
        width: int,
        how: FusionRule = "gated",
        further: int = 0,
    ) -> None:
        super().__init__()
        self.modalities, self.width, self.how, count = nn.ModuleDict(modalities), width, how, len(modalities) + further
        self.register_buffer("present", present, persistent=False)
        self.gate = nn.Linear(count * width, count) if how == "gated" and count > 1 else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        all_present = bool(len(modalities)) and bool(present.any(1).all())
        self.default = None if all_present else nn.Parameter(torch.zeros(width))

    def forward(self, ids: Tensor, further: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return float32[...,width] of ids; `further`: vectors [...,width] and bool [...], of one more modality."""
        vectors_by_modality = [modality(ids) for modality in self.modalities.values()]
        there = self.get_buffer("present")[ids]
        if further is not None:
            vectors_by_modality.append(further[0])
            there = torch.cat([there, further[1][..., None]], -1)
        if not vectors_by_modality:
            return self._default().expand(*ids.shape, self.width)
        vectors = torch.stack(vectors_by_modality, -2) * there[..., None]
        fused: Tensor = (self._weights(vectors, there)[..., None] * vectors).sum(-2)
        return fused if self.default is None else torch.where(there.any(-1, keepdim=True), fused, self._default())

    def _weights(self, vectors: Tensor, there: Tensor) -> Tensor:
        """Return the weight of each modality, float32[...,M], 0 where it is missing."""
        indicators = there.to(vectors.dtype)
        if self.how == "sum" or (self.gate is None and self.how == "gated"):
            return indicators
        if self.gate is None:
            return indicators / indicators.sum(-1, keepdim=True).clamp_min(1)
        scores = affine(self.gate, vectors.flatten(-2))
        return scores.masked_fill(~there, torch.finfo(scores.dtype).min).softmax(-1) * indicators

    def extra_repr(self) -> str:
        return f"how={self.how}, present={key_of(self.get_buffer('present').tolist())}"

    def _default(self) -> Tensor:
        assert self.default is not None
        return self.default[..., None, :]


class RowProjection(nn.Module):
    """`project(row)` of a table float[N,D] that is looked up and not trained, float32[...,width] of ids of any shape.

    `standardise`: columns are centred and scaled to variance 1/D over the rows present, so that a row is about as long
    as a text's unit vector. The table stays as it is, memory-mapped where it was.
    """

    def __init__(self, values: Vectors, width: int, *, standardise: bool = False) -> None:
        super().__init__()
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        shift, scale = moments(values) if standardise else (np.zeros(values.shape[1]), np.ones(values.shape[1]))
        self.register_buffer("shift", torch.from_numpy(shift.astype(np.float32)), persistent=False)
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)), persistent=False)
        self.project = nn.Linear(values.shape[1], width)
        self.stamp = key_of([*values.shape, float(np.abs(shift).sum()), float(scale.sum())])

    def forward(self, ids: Tensor) -> Tensor:
        distinct, inverse = torch.unique(ids, return_inverse=True)  # a batch holds many users but few items
        shift = self.get_buffer("shift")
        rows = (self.get_buffer("values")[distinct].to(shift.dtype) - shift) * self.get_buffer("scale")
        return rows_of(affine(self.project, rows.nan_to_num(0.0)), inverse)

    def extra_repr(self) -> str:
        return f"values={self.stamp}"


def present_rows(values: Vectors) -> Tensor:
    """Return bool[N]: rows that are neither NaN nor all zeros.

    >>> present_rows(np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, np.nan]]))
    tensor([ True, False, False])
    """
    starts = range(0, len(values), ROWS_AT_ONCE)
    blocks = [values[start : start + ROWS_AT_ONCE] for start in starts]
    return torch.from_numpy(np.concatenate([~np.isnan(block[:, 0]) & (block != 0).any(1) for block in blocks]))


def moments(values: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the columns over the rows present, and 1 / (their standard deviation * sqrt(D))."""
    there = present_rows(values).numpy()
    starts, count, width = range(0, len(values), ROWS_AT_ONCE), max(int(there.sum()), 1), values.shape[1]
    total, squares = np.zeros(width), np.zeros(width)
    for start in starts:
        rows = slice(start, start + ROWS_AT_ONCE)
        total += values[rows][there[rows]].sum(0, dtype=np.float64)
    for start in starts:
        rows = slice(start, start + ROWS_AT_ONCE)
        squares += ((values[rows][there[rows]].astype(np.float64) - total / count) ** 2).sum(0)
    sd = np.sqrt(squares / count)
    return total / count, 1 / (np.where(sd > 0, sd, 1.0) * np.sqrt(width))
