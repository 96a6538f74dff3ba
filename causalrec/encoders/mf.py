"""Matrix factorisation with user and item biases (Koren, Bell & Volinsky, IEEE Computer 2009)."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor

from causalrec.encoders.base import (
    AbstractEncoder,
    EncoderInputs,
    IdTable,
    Submodel,
    user_ids,
)
from causalrec.types import Batch


class MF(AbstractEncoder):
    """ID embeddings of `width`; user and item bias ride in two further dimensions, the global one in the head.

    `width`: number of factors; 0: the model of the biases alone.
    """

    bias_dimensions = 2
    vectorizable = True

    def __init__(self, inputs: EncoderInputs, *, width: Annotated[int, Field(ge=0)] = 16) -> None:
        super().__init__()
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        return {"biases": BIASES} if settings["width"] else {}

    def users(self, batch: Batch) -> Tensor:
        return self.user_table.users(user_ids(batch))

    def items(self, ids: Tensor) -> Tensor:
        return self.item_table.items(ids)


BIASES = Submodel(MF, {"width": 0}, ("optimizer.weight_decay",))  # of every encoder with ids; biases decay apart
