"""Text embeddings on disk, named by everything that they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console

from causalrec.data.files import replacing
from causalrec.encoders.language.digests import key_of, locked, remembered_sha256
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Fixed, Pooling
from causalrec.errors import DataError, RequestError
from causalrec.types import Floats

RECIPE = 1  # raise it when the same texts and model shall give other numbers
READ = {".json", ".safetensors", ".txt", ".model"}  # files of a model that its numbers depend on


def embeddings(
    texts: Sequence[str],
    folder: Path,
    *,
    pooling: Pooling,
    max_tokens: int,
    layers: int | None = None,
    precision: Precision = "float32",
    cache: Path,
) -> Floats:
    """Return unit vectors float32[len(texts),D] of a frozen model, read-only and mapped from the cache.

    Texts in sorted order, each once, come as the mapped file itself; else their rows are copied. The file's name is the
    sha256 of the model's files, the texts and the settings, then its own: one that is damaged is computed again. A
    second process waits for the first. `precision`: the least one; bfloat16 is taken where it is faster. Raises
    RequestError for a pooling with parameters or where all texts are empty, DataError for a text that is no string.
    """
    if pooling == "attention":
        raise RequestError(
            "encoder.pooling=attention: it is learned, so there is nothing to keep; take mean, cls or last"
        )
    check_texts(texts)
    distinct = sorted(set(texts))
    files = sorted(path for path in folder.iterdir() if path.suffix in READ)
    model = [(path.name, remembered_sha256(path, cache)) for path in files]
    majors = [version(name).split(".")[0] for name in ("torch", "transformers")]
    key = key_of([RECIPE, model, distinct, pooling, max_tokens, layers, precision, majors])
    table = _open(cache, key)
    if table is None:
        with locked(cache / "text" / key):
            table = _open(cache, key)
            if table is None:
                _write(cache, key, _embedded(distinct, folder, pooling, max_tokens, layers, precision))
                table = _open(cache, key)
    assert table is not None
    if len(distinct) == len(texts) and all(a == b for a, b in zip(distinct, texts, strict=True)):
        return table
    place = {text: k for k, text in enumerate(distinct)}
    rows: Floats = table[[place[text] for text in texts]]
    return rows


def check_texts(texts: Sequence[str]) -> None:
    """Raise DataError for a text that is not a string, RequestError where none says anything."""
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {place} is {text!r}, not a string; write missing texts as ''")
    if not any(text.strip() for text in texts):
        raise RequestError("encoder: all texts are empty, there is nothing to embed; name a text column in the graph")


def _embedded(
    texts: list[str], folder: Path, pooling: Fixed, max_tokens: int, layers: int | None, precision: Precision
) -> Floats:
    from causalrec.encoders.language.embedding import able, embed
    from causalrec.encoders.language.model import load

    return embed(texts, load(folder, layers=layers, dtype=able(precision)), pooling, max_tokens)


def _open(cache: Path, key: str) -> Floats | None:
    """Map the table of this key, None where there is none that is whole."""
    for path in sorted((cache / "text").glob(f"{key}-*.npy")):
        if remembered_sha256(path, cache)[:16] == path.stem.split("-")[1]:
            table: Floats = np.load(path, mmap_mode="r", allow_pickle=False)
            return table
        Console(stderr=True).print(
            f"{path}: damaged (its sha256 is another), so its texts are embedded again", soft_wrap=True
        )
        path.unlink(missing_ok=True)
    return None


def _write(cache: Path, key: str, table: Floats) -> None:
    counted = _Sum()
    np.save(counted, table, allow_pickle=False)
    with replacing(cache / "text" / f"{key}-{counted.sha256.hexdigest()[:16]}.npy") as path, path.open("wb") as out:
        np.save(out, table, allow_pickle=False)


class _Sum:
    """A file that only counts the sha256 of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, part: bytes) -> int:
        self.sha256.update(part)
        return len(part)
