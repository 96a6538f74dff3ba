"""A pretrained model of images or of sound, and one vector of each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.data.regular_files import read_json
from causalrec.encoders.language.folder import check_model_files
from causalrec.encoders.language.silence import silence_transformers
from causalrec.encoders.media.files import IMAGE_ENDINGS, SOUND_ENDINGS, read_image, read_sound
from causalrec.errors import RequestError
from causalrec.types import Floats

Medium = Literal["image", "sound"]
PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True, kw_only=True)
class MediaModel:
    """A frozen model with what prepares its input.

    Attributes:
        medium: what it reads.
        processor: of transformers; images or sound as the model takes them.
        network: of transformers.
        rate: samples a second of sound; 0 of images.
    """

    medium: Medium
    processor: Callable[..., Mapping[str, Tensor]]
    network: nn.Module
    rate: int

    @property
    def endings(self) -> dict[str, str]:
        """The endings of files that it reads."""
        return IMAGE_ENDINGS if self.medium == "image" else SOUND_ENDINGS

    @torch.no_grad()
    def embed(self, paths: Sequence[Path]) -> Floats:
        """Return a vector of each file, float32[N,D]: the model's own of an image, else the mean of its states."""
        if self.medium == "image":
            inputs = self.processor(images=[read_image(path) for path in paths], return_tensors="pt")
            return self._vectors(inputs)
        return np.concatenate([self._vectors(self._sound(path)) for path in paths])  # of one length each

    def _sound(self, path: Path) -> Mapping[str, Tensor]:
        return self.processor(read_sound(path, self.rate), sampling_rate=self.rate, return_tensors="pt")

    def _vectors(self, inputs: Mapping[str, Tensor]) -> Floats:
        device = next(self.network.parameters()).device
        inputs = {name: value.to(device) for name, value in inputs.items()}
        result = getattr(self.network, "get_image_features", self.network)(**inputs)
        if not isinstance(result, Tensor):
            pooled = getattr(result, "pooler_output", None)
            result = result.last_hidden_state.mean(1) if pooled is None else pooled
        vectors: Floats = result.flatten(1).float().cpu().numpy()
        return vectors


def load_media_model(folder: Path) -> MediaModel:
    """Return the model of a folder that transformers saved, with its processor, on the GPU where there is one.

    Raises:
        RequestError: Where the folder lacks either, has pickled weights alone, or would have us run its code.
    """
    what = f"--model {folder}"
    check_model_files(folder, what)
    if not (folder / PROCESSOR).is_file():
        raise RequestError(f"{what}: no {PROCESSOR} in it; save the model's image processor or feature extractor there")
    config = read_json(folder / PROCESSOR)
    if not isinstance(config, dict) or "auto_map" in config:
        raise RequestError(f"{what}: {PROCESSOR} is no object, or asks to run code of its own; name another model")
    silence_transformers()
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel

    rate = int(config.get("sampling_rate", 0))
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        reader = AutoFeatureExtractor if rate else AutoImageProcessor
        processor = reader.from_pretrained(folder, **options)  # type: ignore[no-untyped-call]
        network = AutoModel.from_pretrained(folder, use_safetensors=True, **options).eval()
    except Exception as error:  # of a damaged folder, anything
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RequestError(f"{what}: transformers cannot read it ({first}); save model and processor there") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return MediaModel(medium="sound" if rate else "image", processor=processor, network=network.to(device), rate=rate)
