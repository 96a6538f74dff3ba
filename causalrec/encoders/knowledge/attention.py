"""How much each neighbour of a node in a graph is listened to (KGAT: Wang et al., KDD 2019, eq. 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from causalrec.encoders.knowledge.transr import TransR


class Attention(nn.Module):
    """The attention of a triple, `(t W_r) . tanh(h W_r + r)`, softmaxed over the edges of its head.

    Each triple is an edge of its tail too, as the triple (t, -r, h).

    Args:
        heads: int64[T], nodes, sorted by relation.
        tails: int64[T], likewise.
        sizes: how many triples each relation has.
        count: N, of nodes.
    """

    def __init__(self, heads: Tensor, tails: Tensor, sizes: Sequence[int], count: int) -> None:
        super().__init__()
        self.sizes, self.count = list(sizes), count
        into, out_of = torch.cat([heads, tails]), torch.cat([tails, heads])
        buffers = {"heads": heads, "tails": tails, "into": into, "edges": torch.stack([into, out_of])}
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)

    @torch.no_grad()
    def matrix(self, vectors: Tensor, relations: TransR) -> Tensor:
        """Return the sparse matrix `[N,N]` whose row n sums the neighbours of node n, each by its attention.

        Args:
            vectors: float32[N,D], of nodes.
            relations: of R relations.
        """
        scores = self._scores(vectors, relations)
        into = self.get_buffer("into")
        largest = scores.new_full((self.count,), -torch.inf).scatter_reduce(0, into, scores, "amax")
        weights = (scores - largest[into]).exp()
        shares = weights / weights.new_zeros(self.count).index_add(0, into, weights)[into]
        return torch.sparse_coo_tensor(
            self.get_buffer("edges"), shares, (self.count, self.count), check_invariants=False
        ).coalesce()

    def _scores(self, vectors: Tensor, relations: TransR) -> Tensor:
        forth, back = [], []
        heads, tails = (torch.split(self.get_buffer(name), self.sizes) for name in ("heads", "tails"))
        for k, (of_head, of_tail) in enumerate(zip(heads, tails, strict=True)):
            projection, translation = relations.projection[k], relations.translation[k]
            h, t = vectors[of_head] @ projection, vectors[of_tail] @ projection
            forth.append((t * (h + translation).tanh()).sum(-1))
            back.append((h * (t - translation).tanh()).sum(-1))
        return torch.cat([*forth, *back])
