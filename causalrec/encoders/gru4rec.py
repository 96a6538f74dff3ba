"""A recurrent network over the items a user met (Hidasi et al., ICLR 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.encoders.base import AbstractEncoder, EncoderInputs, Submodel
from causalrec.encoders.mf import BIASES
from causalrec.encoders.sequence_transformer import Sequence, check_shape
from causalrec.types import Batch, Count, Depth


class GRU4Rec(AbstractEncoder):
    """User vector = the last state of gated recurrent units over the latest `length` events; item vector = its input.

    `h_k = GRU(h_(k-1), e_k)` from a learned start, e_k the item's embedding plus, with `feedback`, that of whether it
    was liked. Differs from the paper in four points: it is trained on the run's objective (theirs, BPR or TOP1 over the
    items of the batch, are near `objective=bpr` and `sampled_softmax`); items have one embedding for input and output;
    a history is cut at `length` events; biases as in `mf`. Raises RequestError without users or items in the outcome
    view.

    Args:
        inputs: what the run hands it.
        width: size of the state and of the embeddings; theirs is 100.
        layers: number of recurrent layers.
        length: number of the latest events that are read.
        dropout: share of the embeddings, and of the states between layers, that training drops.
        feedback: an event also holds whether it was liked.
        shared_windows: in training, rows of a user that stand in one batch (`sampler=positions`) share a reading of the
            user's events, as in `sasrec`; labelled rows are read alone.
    """

    bias_dimensions = 2
    reads_time = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 100,
        layers: Depth = 1,
        length: Count = 50,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        feedback: bool = True,
        shared_windows: bool = False,
    ) -> None:
        super().__init__()
        check_shape(inputs, width=width, heads=1)
        backbone = RecurrentBackbone(inputs.num_items + 1, width, layers, dropout)
        self.sequence = Sequence(
            inputs, backbone, length=length, query="start", feedback=feedback, shared_windows=shared_windows
        )
        self.rows_at_once = self.sequence.rows_at_once

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        return {"biases": BIASES}  # without its history a user is told by its bias alone

    def users(self, batch: Batch) -> Tensor:
        return self.sequence.users(batch)

    def items(self, ids: Tensor) -> Tensor:
        return self.sequence.items(ids)


@dataclass(frozen=True)
class States:
    """What a backbone returns: `last_hidden_state`, float32[B,L,width]."""

    last_hidden_state: Tensor


class RecurrentBackbone(nn.Module):
    """Gated recurrent units behind the interface of a transformers model; padding is passed over.

    Args:
        num_tokens: number of input embeddings.
        width: size of embeddings and states.
        layers: number of recurrent layers.
        dropout: share of inputs, and of states between layers, that training drops.
    """

    def __init__(self, num_tokens: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.units = nn.GRU(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embeddings of items and query."""
        return self.embedding

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor) -> States:
        """Return the state after each event; that of padding is any.

        Args:
            inputs_embeds: float32[B,L,width].
            attention_mask: int64[B,L], 0 at padding.
            position_ids: not read: the order is that of the columns.
        """
        order = torch.argsort(attention_mask, dim=1, descending=True, stable=True)  # padding last
        states, _ = self.units(self.drop(_gather(inputs_embeds, order)))
        return States(_gather(states, torch.argsort(order, dim=1)))


def _gather(values: Tensor, order: Tensor) -> Tensor:
    return values.gather(1, order[..., None].expand_as(values))
