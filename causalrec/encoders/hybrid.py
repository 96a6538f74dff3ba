"""A hybrid: ids, texts, numbers and precomputed vectors of images or sound, fused by a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractEncoder, EncoderInputs, IdTable, user_ids, with_item_bias, with_user_bias
from causalrec.encoders.fusion import Fusion, How, Rows, present_rows
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Pooling
from causalrec.encoders.text_tower import TextTower
from causalrec.encoders.towers import EVENTS_AT_ONCE, Past
from causalrec.errors import RequestError
from causalrec.types import Batch, Count, Vectors

OfItem = Literal["id", "text", "features", "vectors"]
OfUser = Literal["id", "profile", "features", "history"]
MENDS = {
    "id": "add {side} -> outcome to the graph",
    "text": "add a column that dataset.item_text tells to the graph",
    "profile": "add a column that dataset.user_text tells to the graph",
    "features": "add a numeric or categorical column of the {side} to the graph",
    "vectors": "name a file under dataset.vectors, and its node, a cause of the outcome, in the graph",
}


class Hybrid(AbstractEncoder):
    """Item vector = fusion of ID embedding, projected text, numbers and each precomputed vector; user vector = fusion
    of ID embedding, projected profile text, numbers, and the item vectors of what was met before (`history`).

    `item`, `user`: what is fused, each of which the outcome view must give (RequestError); None: all it gives but the
    history. An item with an empty text, or whose vector is NaN or all zeros, is fused without it. `fusion`: `gated`,
    `sum` or `mean` (`encoders/fusion.py`). `model`, `pooling`, `max_tokens`, `layers`, `precision` as in `TextTowers`.
    """

    reads_text = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        item: tuple[OfItem, ...] | None = None,
        user: tuple[OfUser, ...] | None = None,
        fusion: How = "gated",
        width: Count = 16,
        pooling: Pooling = "mean",
        max_tokens: Count = 64,
        layers: Count | None = None,
        precision: Precision = "float32",
        history_length: Count = 20,
    ) -> None:
        super().__init__()
        chosen = {"item": _chosen("item", item, inputs), "user": _chosen("user", user, inputs)}
        asked: dict[str, Any] = {"model": model, "pooling": pooling, "max_tokens": max_tokens, "layers": layers}
        asked |= {"precision": precision, "width_out": width + 1}
        told = TextTower(inputs.item_text, inputs, **asked) if "text" in chosen["item"] else None
        profile = TextTower(inputs.user_text, inputs, **asked, share_with=told) if "profile" in chosen["user"] else None
        if inputs.finetuning.trains and told is None and profile is None:
            raise RequestError(
                "tuning: the encoder reads no text, so that there is nothing to tune; set finetuning=frozen"
            )
        self._texts = {"item_side.parts.text": told, "user_side.parts.profile": profile}
        history = "history" in chosen["user"]
        self.item_side = _fusion(chosen["item"], "item", inputs, told, width + 1, fusion)
        self.user_side = _fusion(chosen["user"], "user", inputs, profile, width + 1, fusion, further=int(history))
        self.history = Past(inputs, history_length, width + 1) if history else None
        self.reads_time = history
        self.vectorizable = not history and all(tower.fixed for tower in self.text_encoders().values())
        if history:
            self.rows_at_once = max(1, EVENTS_AT_ONCE // history_length)

    def text_encoders(self) -> Mapping[str, TextTower]:
        return {name: tower for name, tower in self._texts.items() if tower is not None}

    def users(self, batch: Batch) -> Tensor:
        further = None
        if self.history is not None:
            history = self.history.histories(batch)
            items = torch.where(history.mask, history.items, batch.item[:, None])  # which is read anyway
            further = (self.history(history, self.item_side(items)), history.mask.any(1))
        return with_user_bias(self.user_side(user_ids(batch), further))

    def items(self, ids: Tensor) -> Tensor:
        return with_item_bias(self.item_side(ids))


def _chosen(side: str, asked: tuple[str, ...] | None, inputs: EncoderInputs) -> tuple[str, ...]:
    """Return what is fused: what was asked for, which must be there, or else all that is."""
    texts, features = getattr(inputs, f"{side}_text"), getattr(inputs, f"{side}_features")
    there = {
        "id": getattr(inputs, f"num_{side}s") > 0,
        "text" if side == "item" else "profile": any(text.strip() for text in texts),
        "features": features is not None and features.shape[1] > 0,
        "vectors": side == "item" and len(inputs.item_vectors) > 0,
    }
    if asked is None:
        return tuple(name for name, known in there.items() if known)
    for name in asked:
        if not there.get(name, True):  # whether there are histories is for them to say
            raise RequestError(
                f"encoder.{side}={list(asked)}: the outcome view has no {name} of the {side}; "
                f"{MENDS[name].format(side=side)}, or leave {name} out"
            )
    return tuple(dict.fromkeys(asked))


def _fusion(
    chosen: tuple[str, ...],
    side: str,
    inputs: EncoderInputs,
    text: TextTower | None,
    width: int,
    how: How,
    further: int = 0,
) -> Fusion:
    """Build the parts of one side, and say which of them each id has."""
    features: Vectors | None = getattr(inputs, f"{side}_features")
    known = 0 if features is None else len(features)
    count = max(getattr(inputs, f"num_{side}s"), len(getattr(inputs, f"{side}_text")), known, 1)
    always, found = torch.ones(count, dtype=torch.bool), list[tuple[str, nn.Module, Tensor]]()
    if "id" in chosen:
        found.append(("id", IdTable(count, width - 1), always))
    if text is not None:
        found.append(("text" if side == "item" else "profile", text, text.get_buffer("present")))
    if "features" in chosen and features is not None:
        found.append(("features", Rows(features, width), always))
    for k, values in enumerate(inputs.item_vectors.values() if "vectors" in chosen else ()):
        found.append((f"vectors{k}", Rows(values, width, standardise=True), present_rows(values)))
    there = torch.stack([one for _, _, one in found], 1) if found else always[:, None][:, :0]
    return Fusion({name: part for name, part, _ in found}, there, width, how, further)
