"""A frozen BERT-type encoder over item text, beside ID embeddings."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import (
    AbstractEncoder,
    EncoderInputs,
    IdTable,
    affine,
    rows_of,
    user_ids,
    with_item_bias,
    with_user_bias,
)
from causalrec.encoders.text_cache import Pooling, as_buffer, embeddings, model_folder
from causalrec.errors import RequestError
from causalrec.types import Batch


class Bert(AbstractEncoder):
    """Item vector = item ID embedding + projection of the text embedding; user vector = user ID embedding.

    `model`: a source, a local folder or a hub name, any BERT-type encoder with safetensors weights. The text is
    embedded once per distinct item text and cached on disk; texts are cut at `max_tokens`.
    """

    packable: ClassVar[bool] = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        pooling: Pooling = "mean",
        max_tokens: Annotated[int, Field(gt=0)] = 64,
        width: Annotated[int, Field(gt=0)] = 16,
    ) -> None:
        super().__init__()
        if not any(inputs.item_text):
            raise RequestError("encoder=bert: no item text is left in the outcome view; add a text column to the graph")
        folder = model_folder(model, inputs.data)
        text = embeddings(inputs.item_text, folder, pooling, max_tokens, inputs.cache)
        self.user_table = IdTable(inputs.num_users, width)
        self.item_table = IdTable(inputs.num_items, width)
        self.register_buffer("text", as_buffer(text), persistent=False)
        self.project = nn.Linear(text.shape[1], width + 1)

    def users(self, batch: Batch) -> Tensor:
        return with_user_bias(self.user_table(user_ids(batch)))

    def items(self, ids: Tensor) -> Tensor:
        distinct, place = torch.unique(ids, return_inverse=True)  # a batch holds many users but few items
        told = affine(self.project, self.get_buffer("text")[distinct])
        return with_item_bias(self.item_table(ids) + rows_of(told, place))
