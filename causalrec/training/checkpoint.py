"""Checkpoints that are whole or refused: every file carries the sha256 of its payload and is replaced in one rename."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.plugins import CheckpointIO
from torch import Tensor

from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import open_regular
from causalrec.errors import DataError

MAGIC = b"causalrec checkpoint 1\n"
MAX_EXPANSION = 16  # bytes of tensors for each byte of a file: one number may be repeated, but not without end
DIGEST = 64  # hexadecimal characters of a sha256
Checkpoint = dict[str, Any]  # what Lightning and torch keep of a fit


def write_checkpoint(path: Path, content: Mapping[str, object]) -> None:
    """Write a checkpoint: magic line, sha256, payload. Raise DataError where it cannot be; the earlier one stays."""
    payload = io.BytesIO()
    torch.save(dict(content), payload)
    body = payload.getbuffer()
    try:
        with replace_atomically(path) as temporary, temporary.open("wb") as file:
            file.write(MAGIC + hashlib.sha256(body).hexdigest().encode())
            file.write(body)
    except OSError as error:
        reason = f"checkpoint cannot be written ({error.strerror})"
        raise DataError(f"{path}: {reason}; make room or the folder writable, then run again to go on") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: tensors and plain values only. Raise DataError where it is truncated or altered."""
    try:
        with open_regular(path) as file:
            raw = file.read()
    except OSError as error:
        raise DataError(f"{path}: checkpoint cannot be read ({error.strerror})") from error
    start = len(MAGIC) + DIGEST
    if not raw.startswith(MAGIC) or len(raw) <= start:
        raise DataError(f"{path}: not a checkpoint of causalrec, or truncated")
    body = memoryview(raw)[start:]
    if hashlib.sha256(body).hexdigest().encode() != raw[len(MAGIC) : start]:
        raise DataError(f"{path}: checkpoint damaged (its sha256 differs)")
    try:
        _check_archive(body)
        content: object = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # what was not written by torch raises anything
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"{path}: checkpoint holds more than tensors and plain values ({reason})") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise DataError(f"{path}: checkpoint holds something else ({type(content).__name__})")
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors_in(content))
    if claimed > MAX_EXPANSION * len(body):
        raise DataError(f"{path}: checkpoint claims tensors of {claimed} bytes, and is {len(body)} long")
    return content


def tensors_in(content: object) -> Iterator[Tensor]:
    """Yield every tensor in nested mappings and lists."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping | list | tuple):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from tensors_in(value)


def require_finite(path: Path, content: object) -> None:
    """Raise DataError where a tensor of a checkpoint is not finite; shapes were checked as it was read."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors_in(content)):
        raise DataError(f"{path}: checkpoint holds weights that are not finite")


def _check_archive(body: memoryview) -> None:
    """Raise ValueError where the archive of tensors unpacks to more than it is."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        sizes = [info.file_size for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED]
        if len(sizes) < len(archive.infolist()) or sum(sizes) > len(body):
            raise ValueError("it unpacks to more than it holds")


def check_weights(path: Path, state: object, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that a checkpoint holds, each as the model has it and all of them numbers.

    Raises DataError as `check_shapes` does, and for a number that is not finite.

    Args:
        path: of the checkpoint, for the message.
        state: what it holds in the place of weights.
        like: the weights of the model.
    """
    weights = check_shapes(path, state, like)
    require_finite(path, weights)
    return weights


def check_shapes(path: Path, state: object, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by name; raise DataError for a tensor that is missing, or of another shape or kind of number.

    Args:
        path: of the checkpoint, for the message.
        state: what it holds in the place of weights.
        like: the weights of the model.
    """
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path}: checkpoint holds no weights")
    for name, expected in like.items():
        saved = state.get(name)
        if saved is None or saved.shape != expected.shape:
            raise DataError(f"{path}: checkpoint of another model ({name} is missing or of another shape)")
        if saved.is_floating_point() != expected.is_floating_point() or saved.is_complex():
            raise DataError(f"{path}: checkpoint of another model ({name} holds {saved.dtype})")
    return dict(state)


class CheckedIO(CheckpointIO):
    """What Lightning reads and writes checkpoints with: local files alone, whole or refused."""

    def save_checkpoint(self, checkpoint: Checkpoint, path: str | Path, storage_options: object = None) -> None:
        write_checkpoint(_local(path), checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = True
    ) -> Checkpoint:
        return read_checkpoint(_local(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        _local(path).unlink(missing_ok=True)


def _local(path: str | Path) -> Path:
    if "://" in str(path):
        raise DataError(f"{path}: a checkpoint is read from local files only")
    return Path(path)


def content_hash(contents: Iterable[object]) -> str:
    """Return 16 hexadecimal characters that differ where arrays, tensors or the text of other values do.

    >>> content_hash([1, np.zeros(2)]) == content_hash([1, np.zeros(2)])
    True
    >>> content_hash([np.zeros(2)]) == content_hash([np.zeros(3)])
    False
    """
    sha = hashlib.sha256()
    for content in contents:
        if isinstance(content, Tensor):
            flat = content.detach().cpu().contiguous().reshape(-1)
            content = np.concatenate([np.array(content.shape, np.int64).view(np.uint8), flat.view(torch.uint8).numpy()])
        if isinstance(content, np.ndarray):
            sha.update(f"|{content.dtype}{content.shape}".encode())
            sha.update(np.ascontiguousarray(content).data.cast("B") if content.size else b"")
        else:
            sha.update(f"|{content!r}".encode())
    return sha.hexdigest()[:16]


def random_states() -> Checkpoint:
    """Return the states of the random generators of Python, numpy and torch, as a checkpoint can hold them."""
    name, words, *rest = np.random.get_state()  # noqa: NPY002  # the global generator is what libraries draw from
    states: Checkpoint = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(words).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: Checkpoint) -> None:
    """Go on from `random_states`."""
    random.setstate(states["python"])
    name, words, *rest = states["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002  # as above
    torch.set_rng_state(states["torch"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])
