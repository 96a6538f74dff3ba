"""Two towers that read text: any BERT, RoBERTa or GPT, frozen or tuned, with ids, histories and profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import (
    AbstractEncoder,
    EncoderInputs,
    IdTable,
    Submodel,
    user_ids,
    with_item_bias,
    with_user_bias,
)
from causalrec.encoders.history import Histories, History
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Pooling
from causalrec.encoders.mf import BIASES, MF
from causalrec.encoders.text_projection import TextProjection
from causalrec.errors import RequestError
from causalrec.types import Batch, Count, Depth, ModelSource

EVENTS_AT_ONCE = 1 << 19  # of the histories of rows that fit in memory together


class TextTowers(AbstractEncoder):
    """Item vector = sum of ID embedding and projected text. User vector = sum of ID embedding, projected profile text,
    and the pooled texts of earlier events, projected as the items' own texts.

    Biases ride along as in `MF`. Raises RequestError where a requested text is not left in the outcome view, and for a
    finetuning without text.

    Args:
        inputs: what the run hands it; `inputs.finetuning` says how much of the language model is trained.
        model: source, local folder, `.gguf` file or hub name of the language model.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens at which texts are cut.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of a frozen model.
        width: size of the vectors, biases not counted.
        item: terms of the item vector.
        user: terms of the user vector.
        history_length: number of the latest events that are read.
        history_pooling: `mean` or `attention` over the events of a history.
    """

    bias_dimensions = 2
    reads_text = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        pooling: Pooling = "mean",
        max_tokens: Count = 64,
        layers: Depth | None = None,
        precision: Precision = "float32",
        width: Count = 16,
        item: Annotated[tuple[Literal["id", "text"], ...], Field(min_length=1)] = ("id", "text"),
        user: Annotated[tuple[Literal["id", "history", "profile"], ...], Field(min_length=1)] = ("id",),
        history_length: Count = 20,
        history_pooling: Literal["mean", "attention"] = "mean",
    ) -> None:
        super().__init__()
        self.item, reads = item, {"item": "text" in item or "history" in user, "user": "profile" in user}
        require_text(inputs, reads)
        text_settings: dict[str, Any] = {"model": model, "pooling": pooling, "max_tokens": max_tokens, "layers": layers}
        text_settings |= {"precision": precision, "width_out": width + 1}
        self.user_table = IdTable("user", inputs.num_users, width) if "id" in user else None
        self.item_table = IdTable("item", inputs.num_items, width) if "id" in item else None
        self.item_text = TextProjection(inputs.item_text, inputs, **text_settings) if reads["item"] else None
        self.profile = (
            TextProjection(inputs.user_text, inputs, **text_settings, share_with=self.item_text)
            if reads["user"]
            else None
        )
        self.history = HistoryPooling(inputs, history_length, width + 1, history_pooling) if "history" in user else None
        self.reads_time = self.history is not None
        self.vectorizable = self.history is None and all(tower.is_fixed for tower in self.text_encoders().values())
        if self.history is not None:
            self.rows_at_once = max(1, EVENTS_AT_ONCE // history_length)

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        item, user = cast("tuple[str, ...]", settings["item"]), cast("tuple[str, ...]", settings["user"])
        if "id" not in item or "id" not in user:  # biases of ids are no part of it
            return {}
        cases = {"biases": BIASES, "no_text": Submodel(MF, {"width": settings["width"]})}
        if "history" in user:
            cases["no_history"] = Submodel(settings={"user": tuple(term for term in user if term != "history")})
        return cases

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        item, user = cast("tuple[str, ...]", settings["item"]), cast("tuple[str, ...]", settings["user"])
        left = {"item": tuple(t for t in item if t != "text"), "user": tuple(t for t in user if t != "history")}
        if left == {"item": item, "user": user}:
            return {}
        if left == {"item": ("id",), "user": ("id",)}:
            return {"text": Submodel(MF, {"width": settings["width"]})}
        return {"text": Submodel(settings=left) if all(left.values()) else Submodel()}

    @classmethod
    def reads_histories(cls, settings: Mapping[str, object]) -> bool:
        return "history" in cast("Sequence[str]", settings["user"])

    def text_encoders(self) -> Mapping[str, TextProjection]:
        named = {"item_text": self.item_text, "profile": self.profile}
        return {name: tower for name, tower in named.items() if tower is not None}

    def users(self, batch: Batch) -> Tensor:
        terms, ids = [], user_ids(batch)
        if self.user_table is not None:
            terms.append(self.user_table(ids))
        if self.profile is not None:
            terms.append(self.profile(ids))
        if self.history is not None and self.item_text is not None:
            history: History = self.history.histories(batch)
            items = torch.where(history.mask, history.items, batch.item[:, None])  # which is read anyway
            prefetch_ids = batch.item if "text" in self.item else None
            terms.append(self.history(history, self.item_text(items, prefetch_ids)))
        return with_user_bias(reduce(torch.add, terms))

    def items(self, ids: Tensor) -> Tensor:
        terms = [] if self.item_table is None else [self.item_table(ids)]
        if self.item_text is not None and "text" in self.item:
            terms.append(self.item_text(ids))
        return with_item_bias(reduce(torch.add, terms))


class HistoryPooling(nn.Module):
    """A user's earlier events as one vector: `gain * v + shift` of each item's vector v, averaged; 0 of no event.

    `gain` and `shift` float32[2,D] differ between liked and other events (at first 1 and -1, and 0), so that the
    average says which items were liked. `attention`: weighted by softmax of `query . v / sqrt(D)`, at first all equal.

    Args:
        inputs: what the run hands the encoder: the history log and the threshold of a liked event.
        length: number of the latest events that are read.
        width: size D of the vectors.
        pooling: `mean` or `attention`.
    """

    def __init__(
        self, inputs: EncoderInputs, length: int, width: int, pooling: Literal["mean", "attention"] = "mean"
    ) -> None:
        super().__init__()
        self.histories, self.positive_threshold = Histories(inputs.history_log, length), inputs.positive_threshold
        self.gain = nn.Parameter(torch.tensor([[-1.0], [1.0]]).repeat(1, width))
        self.shift = nn.Parameter(torch.zeros(2, width))
        self.query = nn.Parameter(torch.zeros(width)) if pooling == "attention" else None

    def forward(self, history: History, vectors: Tensor) -> Tensor:
        """Pool float32[B,H,D] to float32[B,D]."""
        liked = (history.outcomes >= self.positive_threshold).long()
        event_vectors = vectors * self.gain[liked] + self.shift[liked]
        scores = (
            torch.zeros_like(event_vectors[..., 0])
            if self.query is None
            else event_vectors @ self.query / event_vectors.shape[-1] ** 0.5
        )
        weight = scores.masked_fill(~history.mask, torch.finfo(scores.dtype).min).softmax(1) * history.mask
        return (weight.unsqueeze(1) @ event_vectors).squeeze(1)


def require_text(inputs: EncoderInputs, reads: Mapping[str, bool]) -> None:
    """Raise RequestError where a text that is to be read is not there, or where nothing reads what is to be tuned."""
    texts: Mapping[str, Sequence[str]] = {"item": inputs.item_text, "user": inputs.user_text}
    for side, is_required in reads.items():
        if is_required and not any(text.strip() for text in texts[side]):
            raise RequestError(
                f"encoder: no {side} text is left in the outcome view; add a column that dataset.{side}_text tells to "
                f"the graph, or set encoder.{side}=[id]"
            )
    if inputs.finetuning.trains and not any(reads.values()):
        raise RequestError(
            "finetuning: the encoder reads no text, so that there is nothing to tune; set finetuning=frozen"
        )
