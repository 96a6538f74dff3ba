"""Matrix factorisation with user and item biases (Koren, Bell & Volinsky, IEEE Computer 2009)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.encoders.base import (
    AbstractEncoder,
    EncoderInputs,
    IdTable,
    Submodel,
    user_ids,
)
from causalrec.encoders.bias_prior import ItemBiasPrior
from causalrec.types import Batch, Link, ModelSource


class MF(AbstractEncoder):
    """ID embeddings of `width`; user and item bias ride in two further dimensions, the global one in the head.

    Args:
        inputs: what the run hands it.
        width: number of factors; 0: the model of the biases alone.
        prior: `features`: item biases are shrunk towards a linear function of the items' numbers (`ItemBiasPrior`), the
            more, the fewer rows an item has; `none`: by the optimizer's decay alone, towards 0.
    """

    bias_dimensions = 2
    vectorizable = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Annotated[int, Field(ge=0)] = 16,
        prior: Literal["none", "features"] = "none",
    ) -> None:
        super().__init__()
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)
        self.item_prior = ItemBiasPrior(inputs) if prior == "features" else None

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        cases = {"biases": BIASES} if settings["width"] else {}
        return cases | ({"no_prior": NO_PRIOR} if cls.has_prior(settings) else {})

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        return {"features": NO_PRIOR} if cls.has_prior(settings) else {}

    @classmethod
    def has_prior(cls, settings: Mapping[str, object]) -> bool:
        return settings.get("prior") == "features"

    def users(self, batch: Batch) -> Tensor:
        return self.user_table.users(user_ids(batch))

    def items(self, ids: Tensor) -> Tensor:
        vectors = self.item_table.items(ids)
        if self.item_prior is None:
            return vectors
        return torch.cat([vectors[..., :-1], vectors[..., -1:] + self.item_prior.means(ids)], -1)

    def prior_terms(self, batch: Batch, raw: Tensor, link: Link) -> Tensor | None:
        if self.item_prior is None:
            return None
        bias = self.item_table.bias
        free = self.item_table.look_up(bias, batch.item, scalar=True)[..., 0]
        return self.item_prior.terms(bias, free, batch, raw, link)


BIASES = Submodel(MF, {"width": 0}, ("optimizer.weight_decay",))  # of every encoder with ids; biases decay apart
NO_PRIOR = Submodel(settings={"prior": "none"})
