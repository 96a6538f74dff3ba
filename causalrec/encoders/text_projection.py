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
from causalrec.encoders.language.checksums import file_sha256, key_of
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision, load
from causalrec.encoders.language.pooling import Pooling, check_pooling
from causalrec.encoders.language.weights import weight_shapes
from causalrec.encoders.trainable_text import TrainableText
from causalrec.errors import RequestError


class TextProjection(nn.Module):
    """`project(vector of the text)`, float32[...,width_out] of indices in `texts`; ids of any shape.

    With a frozen language model and a pooling without parameters, the vectors of the distinct texts come from the cache
    and the module stacks (`is_fixed`). Else each call reads the distinct texts of its ids, as `TrainableText` does. The
    buffer `present[T]`, bool, says where there is a text (an empty one is read as a space). Raises RequestError for a
    `precision` that nothing can be trained in and for `cls` of a decoder.

    Args:
        texts: one text for each id.
        inputs: what the run hands the encoder.
        model: source, local folder, `.gguf` file or hub name of the language model.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens at which texts are cut.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of a frozen model.
        width_out: size of the projected vectors.
        share_with: another projection, whose language model this one uses too; None: a model of its own.
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
        share_with: TextProjection | None = None,
    ) -> None:
        super().__init__()
        check_precision(inputs, precision)
        folder, distinct = model_folder(model, inputs.data, inputs.cache), sorted(set(texts))
        self.reader: FixedText | TrainableText
        if not inputs.finetuning.trains and pooling != "attention":
            settings = {"pooling": pooling, "max_tokens": max_tokens, "layers": layers, "precision": precision}
            vectors = embeddings(distinct, folder, cache=inputs.cache, **settings)  # type: ignore[arg-type]
            self.reader = FixedText(np.array(vectors, np.float32), size_of(folder, layers))
        else:
            tuned = None if share_with is None else share_with.tuned
            if tuned is None:
                tuned = load_finetuned_model(folder, inputs, layers, precision)
            check_pooling(tuned.language, pooling)
            read = dict(zip(distinct, tuned.language.token_ids(distinct, max_tokens), strict=True))
            distinct.sort(key=lambda text: len(read[text]))  # neighbours need little padding
            self.reader = TrainableText(
                tuned, [read[text] for text in distinct], pooling, register_tuned=share_with is None
            )
        self.project = nn.Linear(self.reader.width, width_out)
        index_of = {text: k for k, text in enumerate(distinct)}
        self.register_buffer("text_index", torch.tensor([index_of[text] for text in texts]), persistent=False)
        self.register_buffer("present", torch.tensor([bool(text.strip()) for text in texts]), persistent=False)
        self.stamp = key_of(list(texts))

    def forward(self, ids: Tensor, prefetch_ids: Tensor | None = None) -> Tensor:
        """Return float32[...,width_out]; `prefetch_ids`: ids of the next call, to be read together with these."""
        text_index = self.get_buffer("text_index")
        distinct, inverse = torch.unique(text_index[ids], return_inverse=True)  # a batch holds many users but few items
        vectors = self.reader(distinct, None if prefetch_ids is None else text_index[prefetch_ids])
        return rows_of(affine(self.project, vectors), inverse)

    @property
    def is_fixed(self) -> bool:
        """Whether the vectors are looked up."""
        return isinstance(self.reader, FixedText)

    @property
    def tuned(self) -> FineTunedModel | None:
        """The language model, None where its vectors are looked up."""
        return self.reader.tuned if isinstance(self.reader, TrainableText) else None

    @property
    def _registered_model(self) -> FineTunedModel | None:
        return self.tuned if "tuned" in dict(self.reader.named_children()) else None

    @property
    def size(self) -> int:
        """Parameters of the language model, trained or not."""
        return self.reader.size

    def rates(self) -> Mapping[str, float]:
        """Return learning rates by parameter name, of those that do not take the optimizer's."""
        model = self._registered_model
        return {} if model is None else {f"reader.tuned.{name}": rate for name, rate in model.rates().items()}

    def after_optimizer_step(self) -> None:
        """Called after each step of the optimizer: what was read before it counts no more."""
        if isinstance(self.reader, TrainableText):
            self.reader.clear_cache()
        if self._registered_model is not None:
            self._registered_model.after_optimizer_step()

    def extra_repr(self) -> str:
        return f"texts={self.stamp}"


class FixedText(nn.Module):
    """Vectors float32[n,width] of distinct texts; `size`: parameters of the model they come from."""

    def __init__(self, vectors: np.ndarray, size: int) -> None:
        super().__init__()
        self.width, self.size = vectors.shape[1], size
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)
        self.stamp = key_of([*vectors.shape, float(np.abs(vectors).sum(dtype=np.float64))])

    def forward(self, distinct: Tensor, prefetch_ids: Tensor | None = None) -> Tensor:
        return self.get_buffer("vectors")[distinct]

    def extra_repr(self) -> str:
        return f"vectors={self.stamp}"


def check_precision(inputs: EncoderInputs, precision: Precision) -> None:
    """Raise RequestError for a precision that nothing can be trained in."""
    if inputs.finetuning.trains and precision != "float32":
        raise RequestError(
            f"encoder.precision={precision}: parameters that are trained stay in float32; set trainer=bf16 instead"
        )


def load_finetuned_model(
    folder: Path, inputs: EncoderInputs, layers: int | None, precision: Precision
) -> FineTunedModel:
    """Load a language model, as much of which is trained as the run says.

    Args:
        folder: folder of the model.
        inputs: what the run hands the encoder.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of its parameters.
    """
    language = load(folder, layers=layers, dtype=precision)
    return FineTunedModel(language, inputs.finetuning, stamp_of(folder, inputs.cache, layers))


def stamp_of(folder: Path, cache: Path, layers: int | None) -> str:
    """Name a model by what is in its files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors", ".txt", ".model"})
    return key_of([[(path.name, file_sha256(path, cache)) for path in files], layers])


def size_of(folder: Path, layers: int | None) -> int:
    """Return the number of parameters in a model's files, of its first `layers` layers."""
    total = 0
    for name, shape in weight_shapes(folder).items():
        layer = re.search(r"(?:^|\.)(\d+)\.", name)
        is_read = layers is None or layer is None or int(layer[1]) < layers
        if is_read and "pooler." not in name and not name.endswith(("position_ids", ".attn.bias", "masked_bias")):
            total += math.prod(shape)
    return total
