"""`causalrec data embed FOLDER --model DIR --out FILE.npy`: images or sounds as vectors that encoders read."""

from __future__ import annotations

import argparse
from pathlib import Path

from causalrec.commands.terminal import print_json
from causalrec.errors import RequestError

MAX_IDS = 10_000_000


def embed_files(options: argparse.Namespace) -> int:
    """Write a row of vectors for each file, float32[N,D], and beside it `FILE_ids.npy`, the id of each, its name."""
    folder, out = Path(options.dataset or ""), options.out
    for name, value in (("FOLDER", options.dataset), ("--model DIR", options.model), ("--out FILE.npy", out)):
        if value is None:
            raise RequestError(f"data embed: lacks {name}; data embed FOLDER --model DIR --out FILE.npy")
    if options.overrides or options.name or options.users or options.items:
        raise RequestError("data embed: takes FOLDER, --model, --out and --ids alone; leave the rest out")
    ids_file = out.with_name(f"{out.stem}_ids.npy")
    if out.suffix != ".npy" or out.exists() or ids_file.exists():
        why = "is there already" if out.suffix == ".npy" else "is no .npy file"
        raise RequestError(
            f"--out {ids_file if ids_file.exists() and not out.exists() else out}: {why}; name another file"
        )
    if not options.model.is_dir():
        raise RequestError(f"--model {options.model}: no such folder; name one saved by transformers")
    if not folder.is_dir():
        raise RequestError(f"data embed {folder}: is no folder; name one of images or of sounds")
    ids = None if options.ids is None else _read_ids(options.ids)
    from causalrec.config.compose import compose_and_check, normalise_overrides
    from causalrec.encoders.media.embed import embed_folder

    cache = Path(compose_and_check(normalise_overrides([], []))["paths"]["cache"])
    names, vectors = embed_folder(folder, options.model, cache, ids)
    _write(out, ids_file, names, vectors)
    facts = {"files": len(names), "width": int(vectors.shape[1]), "vectors": str(out), "ids": str(ids_file)}
    if options.json:
        print_json(facts)
    else:
        print(f"{len(names):,} files, {vectors.shape[1]} numbers each: {out}, ids in {ids_file}")
        print(f"in the data set's YAML: vectors: {{{out.stem}: {{file: {out.name}, ids: {ids_file.name}}}}}")
    return 0


def _read_ids(path: Path) -> list[str]:
    try:
        ids = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"--ids {path}: cannot be read; name a text with an id in each line") from error
    if not any(ids) or len(ids) > MAX_IDS or len(set(ids)) < len(ids) or "" in ids:
        raise RequestError(f"--ids {path}: is empty, or holds an empty line or an id twice; name each once")
    return ids


def _write(out: Path, ids_file: Path, names: list[str], vectors: object) -> None:
    import numpy as np

    from causalrec.data.files import replace_atomically

    for path, values in ((ids_file, np.array(names, np.str_)), (out, np.asarray(vectors))):  # the vectors last
        with replace_atomically(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, values, allow_pickle=False)
