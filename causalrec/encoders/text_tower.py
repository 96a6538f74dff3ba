"""Texts as vectors: looked up where the language model is frozen, read anew in each step where it is trained."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import EncoderInputs, affine, rows_of
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.digests import key_of, remembered_sha256
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision, load
from causalrec.encoders.language.pooling import Pooling, check_pooling
from causalrec.encoders.live_text import LiveText
from causalrec.errors import RequestError


class TextTower(nn.Module):
    """`project(vector of the text)`, float32[...,width_out] of places in `texts`; ids of any shape.

    With a frozen language model and a pooling without parameters, the vectors of the distinct texts come from the cache
    and the tower stacks (`fixed`). Else each call reads the distinct texts of its ids, as `LiveText` does.
    `present[T]`: bool, where there is a text (an empty one is read as a space). `share_with`: another tower, whose language
    model this one shares. Raises RequestError for a `precision` that nothing can be trained in and `cls` of a decoder.
    """

    def __init__(
        self,
        texts: Sequence[str],
        inputs: EncoderInputs,
        *,
        model: str | Source,
        pooling: Pooling,
        max_tokens: int,
        layers: int | None,
        precision: Precision,
        width_out: int,
        share_with: TextTower | None = None,
    ) -> None:
        super().__init__()
        check_precision(inputs, precision)
        folder, distinct = model_folder(model, inputs.data, inputs.cache), sorted(set(texts))
        self.reader: FixedText | LiveText
        if not inputs.finetuning.trains and pooling != "attention":
            asked = {"pooling": pooling, "max_tokens": max_tokens, "layers": layers, "precision": precision}
            found = embeddings(distinct, folder, cache=inputs.cache, **asked)  # type: ignore[arg-type]
            self.reader = FixedText(np.array(found, np.float32), size_of(folder, layers))
        else:
            tuned = None if share_with is None else share_with.tuned
            if tuned is None:
                tuned = tuned_model(folder, inputs, layers, precision)
            check_pooling(tuned.language, pooling)
            read = dict(zip(distinct, tuned.language.token_ids(distinct, max_tokens), strict=True))
            distinct.sort(key=lambda text: len(read[text]))  # neighbours need little padding
            self.reader = LiveText(tuned, [read[text] for text in distinct], pooling, owns=share_with is None)
        self.project = nn.Linear(self.reader.width, width_out)
        place = {text: k for k, text in enumerate(distinct)}
        self.register_buffer("place", torch.tensor([place[text] for text in texts]), persistent=False)
        self.register_buffer("present", torch.tensor([bool(text.strip()) for text in texts]), persistent=False)
        self.stamp = key_of(list(texts))

    def forward(self, ids: Tensor, ahead: Tensor | None = None) -> Tensor:
        """Return float32[...,width_out]; `ahead`: ids of the next call, to be read together with these."""
        places = self.get_buffer("place")
        distinct, inverse = torch.unique(places[ids], return_inverse=True)  # a batch holds many users but few items
        vectors = self.reader(distinct, None if ahead is None else places[ahead])
        return rows_of(affine(self.project, vectors), inverse)

    @property
    def fixed(self) -> bool:
        """Whether the vectors are looked up."""
        return isinstance(self.reader, FixedText)

    @property
    def tuned(self) -> FineTunedModel | None:
        """The language model, where it is at hand."""
        return self.reader.tuned if isinstance(self.reader, LiveText) else None

    @property
    def _own(self) -> FineTunedModel | None:
        return self.tuned if "tuned" in dict(self.reader.named_children()) else None

    @property
    def size(self) -> int:
        """Parameters of the language model, trained or not."""
        return self.reader.size

    def rates(self) -> Mapping[str, float]:
        """Return learning rates by parameter name, of those that do not take the optimizer's."""
        own = self._own
        return {} if own is None else {f"reader.tuned.{name}": rate for name, rate in own.rates().items()}

    def after_optimizer_step(self) -> None:
        """Called after each step of the optimizer: what was read before it counts no more."""
        if isinstance(self.reader, LiveText):
            self.reader.forget()
        if self._own is not None:
            self._own.after_optimizer_step()

    def extra_repr(self) -> str:
        return f"texts={self.stamp}"


class FixedText(nn.Module):
    """Vectors float32[n,width] of distinct texts; `size`: parameters of the model they come from."""

    def __init__(self, vectors: np.ndarray, size: int) -> None:
        super().__init__()
        self.width, self.size = vectors.shape[1], size
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)
        self.stamp = key_of([*vectors.shape, float(np.abs(vectors).sum(dtype=np.float64))])

    def forward(self, distinct: Tensor, ahead: Tensor | None = None) -> Tensor:
        return self.get_buffer("vectors")[distinct]

    def extra_repr(self) -> str:
        return f"vectors={self.stamp}"


def check_precision(inputs: EncoderInputs, precision: Precision) -> None:
    """Raise RequestError for a precision that nothing can be trained in."""
    if inputs.finetuning.trains and precision != "float32":
        raise RequestError(
            f"encoder.precision={precision}: parameters that are trained stay in float32; set trainer=bf16 instead"
        )


def tuned_model(folder: Path, inputs: EncoderInputs, layers: int | None, precision: Precision) -> FineTunedModel:
    """Load a model, as much of which is trained as the run says."""
    language = load(folder, layers=layers, dtype=precision)
    return FineTunedModel(language, inputs.finetuning, stamp_of(folder, inputs.cache, layers))


def stamp_of(folder: Path, cache: Path, layers: int | None) -> str:
    """Name a model by what is in its files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors", ".txt", ".model"})
    return key_of([[(path.name, remembered_sha256(path, cache)) for path in files], layers])


def size_of(folder: Path, layers: int | None) -> int:
    """Return the number of parameters in a model's files, of its first `layers` layers."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                layer = re.search(r"(?:^|\.)(\d+)\.", name)
                kept = layers is None or layer is None or int(layer[1]) < layers
                if kept and "pooler." not in name and not name.endswith(("position_ids", ".attn.bias", "masked_bias")):
                    total += math.prod(file.get_slice(name).get_shape())
    return total
