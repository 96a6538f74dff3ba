"""Frozen text embeddings, computed once per distinct text and kept on disk by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from causalrec.data.files import replacing
from causalrec.data.sources import Source, sha256_of
from causalrec.errors import DataError, RequestError
from causalrec.types import Floats

Pooling = Literal["mean", "cls"]
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


def model_folder(model: str | Source, data: Path) -> Path:
    """Return the local folder of a model named by source, path or hub name.

    Raises RequestError for a folder without a config or safetensors weights (pickled weights can run code and are
    refused), DataError when a hub name cannot be downloaded.
    """
    if isinstance(model, Source):
        folder = model.fetch(data)
    elif Path(model).exists():
        folder = Path(model)
    else:
        folder = _from_hub(model)
    for pattern, what in (("config.json", "config"), ("*.safetensors", "safetensors weights"), ("token*", "tokenizer")):
        if not any(folder.glob(pattern)):
            raise RequestError(f"encoder.model={folder}: no {what} in it; name a folder saved by transformers")
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except HFValidationError as error:
        raise RequestError(f"encoder.model={name}: neither an existing folder nor a hub name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"encoder.model={name}: not on this machine and the hub cannot be reached; download "
            f"https://huggingface.co/{name} ({', '.join(HUB_FILES)}) into a folder and name the folder"
        ) from error


def embeddings(texts: Sequence[str], folder: Path, pooling: Pooling, max_tokens: int, cache: Path) -> Floats:
    """Return unit-length embeddings float32[len(texts), D], memory-mapped from the cache when they are there.

    The cache file is named by the sha256 of the model's files, the texts, the pooling and the truncation.
    """
    distinct = sorted(set(texts))
    path = cache / "text" / f"{_key(distinct, folder, pooling, max_tokens)}.npy"
    if not path.exists():
        with replacing(path) as temporary, temporary.open("wb") as out:
            np.save(out, _embed(distinct, folder, pooling, max_tokens), allow_pickle=False)
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    place = {text: k for k, text in enumerate(distinct)}
    return np.ascontiguousarray(table[[place[text] for text in texts]], dtype=np.float32)


def _key(texts: list[str], folder: Path, pooling: str, max_tokens: int) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in {".json", ".safetensors", ".txt", ".model"})
    parts = [texts, [(p.name, sha256_of(p)) for p in files], pooling, max_tokens]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@torch.inference_mode()
def _embed(texts: list[str], folder: Path, pooling: Pooling, max_tokens: int, batch: int = 64) -> Floats:
    """Embed texts in batches of similar length, so that little is spent on padding."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as their_logging

    their_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only bar
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModel.from_pretrained(folder, trust_remote_code=False, use_safetensors=True).eval()
    order = sorted(range(len(texts)), key=lambda k: (len(texts[k]), k))
    result = np.zeros((len(texts), model.config.hidden_size), np.float32)
    starts = range(0, len(order), batch)
    for start in track(starts, "embedding texts", console=Console(stderr=True), transient=True):
        part = order[start : start + batch]
        words = [texts[k] or " " for k in part]
        tokens = tokenizer(words, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
        result[part] = pooled(model(**tokens).last_hidden_state, tokens["attention_mask"], pooling).numpy()
    return result


def pooled(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool token vectors float32[B,L,D] under the mask[B,L] into unit vectors [B,D]."""
    if pooling == "cls":
        vector = hidden[:, 0]
    else:
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        vector = (hidden * weight).sum(1) / weight.sum(1).clamp_min(1)
    return torch.nn.functional.normalize(vector, dim=-1)


def as_buffer(values: Any) -> Tensor:
    """Copy a memory-mapped array into a tensor of our own."""
    return torch.from_numpy(np.array(values, dtype=np.float32))
