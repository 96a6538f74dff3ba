"""A transformer over the items a user met: what the encoders of sequences share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractIdRows, EncoderInputs, with_item_bias, with_user_bias
from causalrec.encoders.history import Histories, History
from causalrec.errors import RequestError
from causalrec.types import Batch

NUMBERS = 1 << 23  # hidden numbers at once where nothing is trained: some 32 MB, and a dozen such tensors per layer
NOTHING, DISLIKED, LIKED = 0, 1, 2


class Sequence(AbstractIdRows):
    """A user vector from the user's history, an item vector from the vocabulary the history is written in.

    The query stands at the `end` of the history (a mask token that reads all of it) or at its `start` (then the last
    event is read, which has read all before it); a user without history has the query alone. An event is its item's
    embedding plus, with `feedback`, an embedding of whether the outcome was at least `inputs.positive_threshold`. The
    item vectors are the input embeddings; both sides carry biases as in `mf`. Padding is never attended to; positions
    are counted from the end.

    Args:
        inputs: what the run hands the encoder.
        backbone: a transformers model of hidden size `width` with `num_items + 1` input embeddings, those of the items
            and of a query, and `length + 1` positions.
        length: number of the latest events that are read.
        query: where the query stands, `start` or `end`.
        feedback: an event also holds whether it was liked.
        shared_windows: in training a stretch of a user's events is read once for all rows of the batch that it ends
            before, each row from the state of its own latest event; for a backbone that reads no later event, and rows
            that stand against other items (labelled rows are read alone).
        text: source, folder or hub name of a language model, whose frozen embeddings of the item texts are projected
            and added to the item embeddings, which then start at zero; None: no text is read.
        max_tokens: number of tokens at which the item texts are cut.
    """

    def __init__(
        self,
        inputs: EncoderInputs,
        backbone: nn.Module,
        *,
        length: int,
        query: Literal["start", "end"],
        feedback: bool,
        shared_windows: bool = False,
        text: str | Source | None = None,
        max_tokens: int = 64,
    ) -> None:
        super().__init__()
        self.shared_windows = shared_windows
        self.histories = Histories(inputs.history_log, length)
        self.backbone, self.query, self.length, self.positive_threshold = (
            backbone,
            query,
            length,
            inputs.positive_threshold,
        )
        self.token_embedding: nn.Embedding = backbone.get_input_embeddings()  # type: ignore[operator]
        width = self.token_embedding.embedding_dim
        self.register_buffer("query_ids", torch.tensor([inputs.num_items]), persistent=False)
        self.feedback_embedding = nn.Embedding(3, width, padding_idx=NOTHING) if feedback else None
        self.out = nn.Linear(width, width + 1)
        self.bias = nn.Parameter(torch.zeros(inputs.num_items))
        self.item_text_projection = None if text is None else ItemTextProjection(inputs, text, width, max_tokens)
        if self.item_text_projection is not None:
            nn.init.zeros_(self.token_embedding.weight[: inputs.num_items])

    entity = "item"

    def id_rows(self) -> list[Tensor]:
        return [self.token_embedding.weight, self.bias]

    @property
    def rows_at_once(self) -> int:
        """How many histories fit in memory where nothing is trained."""
        return max(NUMBERS // ((self.length + 1) * self.token_embedding.embedding_dim), 64)

    def users(self, batch: Batch) -> Tensor:
        """Return float32[B,width + 2]; each distinct history of the batch, or each shared window, is run once."""
        if self.shared_windows and self.training and _is_next_item(batch):
            return with_user_bias(self.out(self._states_in_windows(batch)))
        history, rows = self.histories.distinct_histories(batch)
        return with_user_bias(self.out(self.states(history.trim()))).index_select(0, rows)

    def items(self, ids: Tensor) -> Tensor:
        """Return float32[...,width + 2]."""
        return with_item_bias(torch.cat([self._item_vectors(ids), self.look_up(self.bias, ids, scalar=True)], dim=-1))

    def _states_in_windows(self, batch: Batch) -> Tensor:
        """Return the state of each row's latest event in a window that rows share, float32[B,width]."""
        shared = self.histories.shared_windows(batch)
        history = shared.history.trim()
        column = shared.column - (self.length - history.items.shape[1])  # of the columns that are left
        states = self._hidden(history)[shared.window, column.clamp_min(0)]
        if not shared.reads_itself.any():
            return states
        each, rows = self.histories(batch), shared.reads_itself.nonzero()[:, 0]
        return states.index_copy(0, rows, self.states(History(each.items[rows], each.outcomes[rows]).trim()))

    def states(self, history: History) -> Tensor:
        """Return the transformer's state of each history `[B,H]` of at most `length` events, float32[B,width]."""
        hidden = self._hidden(history)
        if self.query == "end" or not history.items.shape[1]:
            return hidden[:, -1]
        return torch.where(history.mask[:, -1:], hidden[:, -1], hidden[:, 0])

    def _hidden(self, history: History) -> Tensor:
        """Return the state of the query and of each event, in the order in which they are read, `[B,H + 1,width]`."""
        events, start = self._event_vectors(history), self.query == "start"
        query = self.look_up(self.token_embedding.weight, self.get_buffer("query_ids")).expand(len(events), 1, -1)
        positions = torch.arange(self.length - events.shape[1], self.length + 1, device=events.device)
        if start:
            positions[0] = 0
        hidden: Tensor = self.backbone(
            inputs_embeds=torch.cat([query, events] if start else [events, query], dim=1),
            attention_mask=functional.pad(history.mask.long(), (1, 0) if start else (0, 1), value=1),
            position_ids=positions[None],
        ).last_hidden_state
        return hidden

    def _event_vectors(self, history: History) -> Tensor:
        vectors = self._item_vectors(history.items.clamp_min(0))  # in place of padding any item will do
        if self.feedback_embedding is not None:
            feedback_ids = torch.where(history.outcomes >= self.positive_threshold, LIKED, DISLIKED)
            vectors = vectors + self.feedback_embedding(torch.where(history.mask, feedback_ids, NOTHING))
        return vectors

    def _item_vectors(self, ids: Tensor) -> Tensor:
        embedded = self.look_up(self.token_embedding.weight, ids)
        return embedded if self.item_text_projection is None else embedded + self.item_text_projection(ids)


def _is_next_item(batch: Batch) -> bool:
    """Whether rows are positions, whose item is what is predicted: labelled rows stand against no other item."""
    return batch.negative is not None or batch.candidates is not None


class ItemTextProjection(nn.Module):
    """Frozen embeddings of the item texts, projected to `width`; each distinct text is embedded once and stored on
    disk.

    Raises RequestError where the outcome view has no item text.

    Args:
        inputs: what the run hands the encoder.
        model: source, folder or hub name of the language model.
        width: size of the projected vectors.
        max_tokens: number of tokens at which the texts are cut.
    """

    def __init__(self, inputs: EncoderInputs, model: str | Source, width: int, max_tokens: int) -> None:
        from causalrec.encoders.language.cache import embeddings
        from causalrec.encoders.language.folder import model_folder

        super().__init__()
        if not any(inputs.item_text):
            raise RequestError("encoder.text: no item text is left in the outcome view; add a text column to the graph")
        folder = model_folder(model, inputs.data, inputs.cache)
        text = embeddings(inputs.item_text, folder, pooling="mean", max_tokens=max_tokens, cache=inputs.cache)
        self.register_buffer("text", torch.from_numpy(np.array(text, np.float32)), persistent=False)
        self.project = nn.Linear(text.shape[1], width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        projected: Tensor = self.project(functional.embedding(ids, self.get_buffer("text")))
        return projected


def check_shape(inputs: EncoderInputs, *, width: int, heads: int) -> None:
    """Raise RequestError where no transformer over item ids can be built."""
    if not inputs.num_items:
        raise RequestError("encoder: histories of item ids need item in the outcome view; add item to the graph")
    if width % heads:
        raise RequestError(f"encoder.heads={heads}: does not divide encoder.width={width}; choose a divisor")
