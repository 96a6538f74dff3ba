"""An encoder: ids whose vectors are squashed."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.encoders.base import AbstractEncoder, EncoderInputs, IdTable, user_ids
from causalrec.types import Batch


class Squashed(AbstractEncoder):
    """`tanh` of ID embeddings of `width`."""

    vectorizable = True

    def __init__(self, inputs: EncoderInputs, *, width: int = 4) -> None:
        super().__init__()
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)

    def users(self, batch: Batch) -> Tensor:
        return torch.tanh(self.user_table(user_ids(batch)))

    def items(self, ids: Tensor) -> Tensor:
        return torch.tanh(self.item_table(ids))
