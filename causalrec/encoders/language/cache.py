"""Text embeddings on disk, named by everything that they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from causalrec.data.array_files import load_npy
from causalrec.data.checked_file import drop_damaged
from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import is_regular
from causalrec.data.removal import output_folder
from causalrec.encoders.language.checksums import file_lock, file_sha256, key_of
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Fixed, Pooling
from causalrec.errors import DataError, RequestError
from causalrec.types import Floats

RECIPE = 1  # raise it when the same texts and model shall give other numbers
HASHED_FILE_ENDINGS = {".json", ".safetensors", ".txt", ".model"}  # files of a model that its numbers depend on


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
    sha256 of the model's files, the texts and the settings, then its own: a damaged file is computed again. A second
    process waits for the first. Raises RequestError for a pooling with parameters or where all texts are empty,
    DataError for a text that is no string.

    Args:
        texts: the texts, in any order; they may repeat.
        folder: folder of the model.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens at which texts are cut.
        layers: number of the model's first layers that are used; None: all.
        precision: the least precision; bfloat16 is used where it is faster.
        cache: folder below which the file is stored.
    """
    if pooling == "attention":
        raise RequestError(
            "encoder.pooling=attention: it is learned, so there is nothing to keep; take mean, cls or last"
        )
    check_texts(texts)
    distinct = sorted(set(texts))
    files = sorted(path for path in folder.iterdir() if path.suffix in HASHED_FILE_ENDINGS)
    model = [(path.name, file_sha256(path, cache)) for path in files]
    majors = [version(name).split(".")[0] for name in ("torch", "transformers")]
    key = key_of([RECIPE, model, distinct, pooling, max_tokens, layers, precision, majors])
    tables = output_folder(cache, "text")
    table = _open(cache, key)
    if table is None:
        with file_lock(tables / key):
            table = _open(cache, key)
            if table is None:
                _write(cache, key, _embed(distinct, folder, pooling, max_tokens, layers, precision))
                table = _open(cache, key)
    assert table is not None
    if len(distinct) == len(texts) and all(a == b for a, b in zip(distinct, texts, strict=True)):
        return table
    index_of = {text: k for k, text in enumerate(distinct)}
    rows: Floats = table[[index_of[text] for text in texts]]
    return rows


def check_texts(texts: Sequence[str]) -> None:
    """Raise DataError for a text that is not a string, RequestError where none says anything."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} is {text!r}, not a string; write missing texts as ''")
    if not any(text.strip() for text in texts):
        raise RequestError("encoder: all texts are empty, there is nothing to embed; name a text column in the graph")


def _embed(
    texts: list[str], folder: Path, pooling: Fixed, max_tokens: int, layers: int | None, precision: Precision
) -> Floats:
    from causalrec.encoders.language.embedding import embed, usable_precision
    from causalrec.encoders.language.model import load

    return embed(texts, load(folder, layers=layers, dtype=usable_precision(precision)), pooling, max_tokens)


def _open(cache: Path, key: str) -> Floats | None:
    """Map the table of this key, None where there is no undamaged file."""
    for path in sorted((cache / "text").glob(f"{key}-*.npy")):
        try:
            if is_regular(path) and file_sha256(path, cache)[:16] == path.stem.split("-")[1]:
                return load_npy(path, mapped=True)
            drop_damaged(path, "its sha256 is another")
        except (OSError, DataError) as error:
            drop_damaged(path, str(error).removeprefix(f"{path}: "))
    return None


def _write(cache: Path, key: str, table: Floats) -> None:
    checksum = _Sha256Writer()
    np.save(checksum, table, allow_pickle=False)
    with (
        replace_atomically(cache / "text" / f"{key}-{checksum.sha256.hexdigest()[:16]}.npy") as path,
        path.open("wb") as out,
    ):
        np.save(out, table, allow_pickle=False)


class _Sha256Writer:
    """A file that only counts the sha256 of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.sha256.update(block)
        return len(block)
