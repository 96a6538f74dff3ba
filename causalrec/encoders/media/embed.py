"""Vectors of the images or sounds of a folder, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from causalrec.data.array_files import load_npy
from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import is_regular
from causalrec.data.removal import output_folder
from causalrec.encoders.language.checksums import file_sha256, key_of
from causalrec.encoders.media.files import IMAGE_ENDINGS, SOUND_ENDINGS
from causalrec.encoders.media.model import load_media_model
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.progress import progress
from causalrec.types import Floats

RECIPE: Final = 1  # raise it when the same files and model shall give other numbers
AT_ONCE: Final = 16


def embed_folder(folder: Path, model: Path, cache: Path, ids: Sequence[str] | None = None) -> tuple[list[str], Floats]:
    """Return ids and their vectors, float32[N,D]; the id of a file is its name without the ending.

    Each vector lies below `cache`, named by the contents of its file and of the model, so that what was computed is not
    again.

    Args:
        folder: of images (png, jpg, webp, gif, bmp) or of sounds (wav).
        model: folder of a model and its processor, as transformers saves them.
        cache: folder below which vectors are stored.
        ids: in this order; None: all files, in the order of their names.

    Raises:
        RequestError: Where the folder has no such file, or an id has none.
        DataError: Naming a file that cannot be read.
    """
    loaded = load_media_model(model)
    paths = files_of(folder, loaded.endings)
    names = sorted(paths) if ids is None else list(ids)
    _require_files(names, paths, folder)
    read = [path for path in sorted(model.iterdir()) if path.suffix in (".json", ".safetensors")]
    sums = [(path.name, file_sha256(path, cache)) for path in read]
    stamp = key_of([RECIPE, sums, [version(name).split(".")[0] for name in ("torch", "transformers")]])
    tables = output_folder(cache, "media") / stamp
    targets = {name: tables / f"{file_sha256(paths[name], cache)}.npy" for name in names}
    missing = [name for name in dict.fromkeys(names) if not _is_read(targets[name])]
    with progress("embedding", len(missing), "files") as step:
        for start in range(0, len(missing), AT_ONCE):
            chunk = missing[start : start + AT_ONCE]
            for name, vector in zip(chunk, loaded.embed([paths[name] for name in chunk]), strict=True):
                _store(targets[name], vector)
            step.advance(len(chunk))
    return names, np.stack([load_npy(targets[name]) for name in names]).astype(np.float32)


def files_of(folder: Path, endings: Sequence[str] | dict[str, str]) -> dict[str, Path]:
    """Return the files of a folder with these endings by id; RequestError where there is none, or two of one id."""
    if not folder.is_dir():
        raise RequestError(f"data embed {folder}: is no folder; name one of images or of sounds")
    named: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in named:
            both = f"{named[path.stem].name} and {path.name}"
            raise RequestError(f"data embed {folder}: {both} are of one id; remove one")
        named[path.stem] = path
    if not named:
        others = sorted({*IMAGE_ENDINGS, *SOUND_ENDINGS} & {path.suffix.lower() for path in folder.iterdir()})
        there = f", and files of {', '.join(others)} that this model does not read" if others else ""
        wanted = ", ".join(endings)
        raise RequestError(f"data embed {folder}: has no file of {wanted}{there}; name another folder or model")
    return named


def _require_files(names: Sequence[str], paths: dict[str, Path], folder: Path) -> None:
    absent = [name for name in names if name not in paths]
    if absent:
        raise RequestError(
            f"data embed {folder}: {len(absent):,} of {len(names):,} ids have no file, first {absent[0]!r}; "
            f"{did_you_mean(absent[0], sorted(paths)[:1000])}; leave them out of --ids: an id without a row has no "
            f"vector"
        )


def _is_read(path: Path) -> bool:
    if not is_regular(path):
        return False
    try:
        return bool(np.isfinite(load_npy(path)).all())
    except DataError:
        path.unlink()
        return False


def _store(path: Path, vector: Floats) -> None:
    if not np.isfinite(vector).all():
        raise DataError(f"{path.name}: the model gives no finite vector of it; check the model's weights")
    with replace_atomically(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, vector, allow_pickle=False)
