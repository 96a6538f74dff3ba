"""Neural matrix factorisation (He, Liao, Zhang, Nie, Hu & Chua, WWW 2017, "Neural collaborative filtering")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.encoders.base import AbstractPairEncoder, EncoderInputs, IdTable, Submodel, affine, user_ids
from causalrec.encoders.mf import BIASES, MF
from causalrec.types import Batch, Count


class NeuMF(AbstractPairEncoder):
    """Pair vector `[p * q ; h * MLP([p' ; q']) / width ; b ; c]`: with `head=dot` their sum is the log-odds (eq. 12).

    `p`, `q` have `width` factors, `p'`, `q'` are further ones of the same ids, b and c are biases as of MF. The MLP is
    a tower of ReLU layers, each half as wide as what it reads, the last of `width`. The paper weighs `p * q` too, which
    p itself does here, so that MF of the same width is the special case `h = 0`, at which training starts, under the
    same decays. A layer takes the mean of what it reads, weighed, not the sum: Adam moves every weight alike, so that
    sums would move, and outgrow the decay that suits factors, the more the wider they are (on the latest rows of
    ML-100K a tower of sums lost .007 of AUC to MF). Where that decay is strong the tower fades, and MF is left.

    Args:
        inputs: what the run hands it.
        width: number of factors (the paper's predictive factors, 8 to 64).
        layers: of the MLP; `p'` and `q'` have `width * 2 ** (layers - 1)` numbers each.
    """

    bias_dimensions = 2
    vectorizable = True

    def __init__(
        self, inputs: EncoderInputs, *, width: Count = 16, layers: Annotated[int, Field(ge=1, le=6)] = 2
    ) -> None:
        super().__init__()
        self.width, first = width, width * 2**layers
        self.user_table = IdTable("user", inputs.num_users, width + first // 2)
        self.item_table = IdTable("item", inputs.num_items, width + first // 2)
        self.tower = nn.ModuleList(nn.Linear(first >> k, first >> (k + 1)) for k in range(layers))
        self.mix = nn.Parameter(torch.zeros(1, width))  # two axes: decays as the tower's weights do, not as biases

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        return {"mf": Submodel(MF, {"width": settings["width"]}), "biases": BIASES}

    def pairs(self, batch: Batch) -> Tensor:
        user, item = self.user_table.users(user_ids(batch)), self.item_table.items(batch.item)
        hidden = torch.cat([user[..., self.width : -2], item[..., self.width : -2]], -1)
        for layer in self.tower:
            hidden = torch.relu(affine(layer, hidden / hidden.shape[-1]))  # type: ignore[arg-type]
        products, biases = (user[..., k] * item[..., k] for k in (slice(self.width), slice(-2, None)))
        return torch.cat([products, self.mix * hidden / self.width, biases], -1)
