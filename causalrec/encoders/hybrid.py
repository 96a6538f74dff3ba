"""A hybrid: ids, texts, numbers and precomputed vectors of images or sound, fused by a gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
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
from causalrec.encoders.fusion import Fusion, FusionRule, RowProjection, present_rows
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Pooling
from causalrec.encoders.mf import BIASES
from causalrec.encoders.text_projection import TextProjection
from causalrec.encoders.text_towers import EVENTS_AT_ONCE, HistoryPooling
from causalrec.errors import RequestError
from causalrec.types import Batch, Count, Depth, Entity, ModelSource, Vectors

OfItem = Literal["id", "text", "features", "vectors"]
OfUser = Literal["id", "profile", "features", "vectors", "history"]
VECTORS_KEY = {"item": "vectors", "user": "user_vectors"}
FIXES = {
    "id": "add {side} -> outcome to the graph",
    "text": "add a column that dataset.item_text tells to the graph",
    "profile": "add a column that dataset.user_text tells to the graph",
    "features": "add a numeric or categorical column of the {side} to the graph",
    "vectors": "name a file under dataset.{side_vectors}, and its node, a cause of the outcome, in the graph",
}


class Hybrid(AbstractEncoder):
    """Item vector = fusion of ID embedding, projected text, numbers and each precomputed vector; user vector = fusion
    of ID embedding, projected profile text, numbers, each precomputed vector, and the item vectors of earlier events
    (`history`).

    An item with an empty text, or whose vector is NaN or all zeros, is fused without it. Raises RequestError where the
    outcome view lacks a modality that `item` or `user` names.

    Args:
        inputs: what the run hands it.
        model: source, local folder, `.gguf` file or hub name of the language model.
        item: modalities of the item vector; None: all that the view gives.
        user: modalities of the user vector; None: all that the view gives, but no history.
        fusion: `gated`, `sum` or `mean` (`encoders/fusion.py`).
        width: size of the vectors, biases not counted.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens at which texts are cut.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of a frozen model.
        history_length: number of the latest events that are read.
    """

    bias_dimensions = 2
    reads_text = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        item: tuple[OfItem, ...] | None = None,
        user: tuple[OfUser, ...] | None = None,
        fusion: FusionRule = "gated",
        width: Count = 16,
        pooling: Pooling = "mean",
        max_tokens: Count = 64,
        layers: Depth | None = None,
        precision: Precision = "float32",
        history_length: Count = 20,
    ) -> None:
        super().__init__()
        chosen = {"item": _choose_modalities("item", item, inputs), "user": _choose_modalities("user", user, inputs)}
        text_settings: dict[str, Any] = {"model": model, "pooling": pooling, "max_tokens": max_tokens, "layers": layers}
        text_settings |= {"precision": precision, "width_out": width + 1}
        item_text = TextProjection(inputs.item_text, inputs, **text_settings) if "text" in chosen["item"] else None
        profile = (
            TextProjection(inputs.user_text, inputs, **text_settings, share_with=item_text)
            if "profile" in chosen["user"]
            else None
        )
        if inputs.finetuning.trains and item_text is None and profile is None:
            raise RequestError(
                "finetuning: the encoder reads no text, so that there is nothing to tune; set finetuning=frozen"
            )
        self._texts = {"item_side.modalities.text": item_text, "user_side.modalities.profile": profile}
        history = "history" in chosen["user"]
        self.item_side = _build_fusion(chosen["item"], "item", inputs, item_text, width + 1, fusion)
        self.user_side = _build_fusion(chosen["user"], "user", inputs, profile, width + 1, fusion, further=int(history))
        self.history = HistoryPooling(inputs, history_length, width + 1) if history else None
        self.reads_time = history
        self.vectorizable = not history and all(tower.is_fixed for tower in self.text_encoders().values())
        if history:
            self.rows_at_once = max(1, EVENTS_AT_ONCE // history_length)

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        sides = {side: settings[side] or sorted(columns[side]) for side in ("item", "user")}
        terms = {side: frozenset(cast("Sequence[str]", chosen)) for side, chosen in sides.items()}
        if "id" not in terms["item"] & terms["user"]:
            return {}
        kinds_of_case = {
            "no_text": {"text", "profile"},
            "no_history": {"history"},
            "no_features": {"features", "vectors"},
        }
        left = {
            name: {side: tuple(sorted(terms[side] - gone)) for side in terms}
            for name, gone in kinds_of_case.items()
            if gone & (terms["item"] | terms["user"])
        }
        return {"biases": BIASES, **{name: Submodel(settings=sides) for name, sides in left.items()}}

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        item = settings["item"]
        terms = frozenset(columns["item"] if item is None else cast("Sequence[str]", item))
        kinds_of_source: dict[ModelSource, set[str]] = {"text": {"text"}, "features": {"features", "vectors"}}
        return {
            source: Submodel(settings={"item": tuple(sorted(terms - gone))})
            for source, gone in kinds_of_source.items()
            if gone & terms
        }

    @classmethod
    def reads_histories(cls, settings: Mapping[str, object]) -> bool:
        return "history" in cast("Sequence[str]", settings["user"] or ())

    def text_encoders(self) -> Mapping[str, TextProjection]:
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


def _choose_modalities(side: str, requested: tuple[str, ...] | None, inputs: EncoderInputs) -> tuple[str, ...]:
    """Return the modalities to fuse: those requested, which the view must have, or else all that it has."""
    texts, features = getattr(inputs, f"{side}_text"), getattr(inputs, f"{side}_features")
    there = {
        "id": getattr(inputs, f"num_{side}s") > 0,
        "text" if side == "item" else "profile": any(text.strip() for text in texts),
        "features": features is not None and features.shape[1] > 0,
        "vectors": len(getattr(inputs, f"{side}_vectors")) > 0,
    }
    if requested is None:
        return tuple(name for name, is_there in there.items() if is_there)
    for name in requested:
        if not there.get(name, True):  # whether there are histories is for them to say
            raise RequestError(
                f"encoder.{side}={list(requested)}: the outcome view has no {name} of the {side}; "
                f"{FIXES[name].format(side=side, side_vectors=VECTORS_KEY[side])}, or leave {name} out"
            )
    return tuple(dict.fromkeys(requested))


def _build_fusion(
    chosen: tuple[str, ...],
    side: Entity,
    inputs: EncoderInputs,
    text: TextProjection | None,
    width: int,
    how: FusionRule,
    further: int = 0,
) -> Fusion:
    """Build the modalities of a user or an item, and say which of them each id has."""
    features: Vectors | None = getattr(inputs, f"{side}_features")
    feature_rows = 0 if features is None else len(features)
    count = max(getattr(inputs, f"num_{side}s"), len(getattr(inputs, f"{side}_text")), feature_rows, 1)
    always, modalities = torch.ones(count, dtype=torch.bool), list[tuple[str, nn.Module, Tensor]]()
    if "id" in chosen:
        modalities.append(("id", IdTable(side, count, width - 1), always))
    if text is not None:
        modalities.append(("text" if side == "item" else "profile", text, text.get_buffer("present")))
    if "features" in chosen and features is not None:
        modalities.append(("features", RowProjection(features, width), always))
    vectors: Mapping[str, Vectors] = getattr(inputs, f"{side}_vectors")
    for k, values in enumerate(vectors.values() if "vectors" in chosen else ()):
        modalities.append((f"vectors{k}", RowProjection(values, width, standardise=True), present_rows(values)))
    there = torch.stack([is_present for _, _, is_present in modalities], 1) if modalities else always[:, None][:, :0]
    return Fusion({name: modality for name, modality, _ in modalities}, there, width, how, further)
