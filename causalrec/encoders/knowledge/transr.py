"""Energies of triples in a space for each relation (TransR: Lin et al., AAAI 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TransR(nn.Module):
    """A translation and a projection for each of R relations; the projections start at the identity.

    Args:
        relations: R.
        width: D, of entities and of relations.
    """

    def __init__(self, relations: int, width: int) -> None:
        super().__init__()
        self.translation = nn.Parameter(0.1 * torch.randn(relations, width))
        self.projection = nn.Parameter(torch.eye(width).repeat(relations, 1, 1))

    def project(self, vectors: Tensor, relation: Tensor) -> Tensor:
        """Return `vectors[B,D]`, each in the space of its relation, `[B,D]`."""
        return torch.einsum("bd,bde->be", vectors, self.projection[relation])

    def energies(self, head: Tensor, relation: Tensor, tail: Tensor, *, normalise: bool) -> Tensor:
        """Return `|h W_r + r - t W_r|^2`, `[B]`; each of the three at unit length first where `normalise` says so.

        Args:
            head: float32[B,D].
            relation: int64[B].
            tail: float32[B,D].
            normalise: as CKE has it; KGAT has not.
        """
        terms = [self.project(head, relation), self.translation[relation], self.project(tail, relation)]
        h, r, t = (functional.normalize(term, dim=-1) if normalise else term for term in terms)
        return (h + r - t).square().sum(-1)
