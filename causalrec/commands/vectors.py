"""`causalrec vectors RUN --out DIR`: what a finished run has learnt of each user and item, as arrays."""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalrec.commands.terminal import print_json
from causalrec.data.files import new_folder
from causalrec.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from causalrec.running.trained_run import TrainedRun


def vectors(options: argparse.Namespace) -> int:
    """`causalrec vectors RUN --out DIR`: `user_vectors.npy`, `user_ids.npy`, and the same of items.

    Row k of the vectors, float32, belongs to id k, a text: the id of the raw files, a row number where they name none.
    A row of NaN is that of an id without a training row. They are read by `dataset.user_vectors` and
    `dataset.vectors`.
    """
    from causalrec.running.reopen import read_record

    out = options.out
    if out.exists():
        raise RequestError(f"--out {out}: is there already; name a folder that is not")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        what = "cannot be written to" if above.is_dir() else "is no folder"
        raise RequestError(f"--out {out}: {above} {what}; name a folder below one of yours")
    read_record(options.run_folder)  # no folder, no wait for torch
    from causalrec.running.trained_run import TrainedRun

    run = TrainedRun.load(options.run_folder, to_predict=True)
    result = {"run": run.config.run.name, "folder": str(out), **_write(run, options)}
    if options.json:
        print_json(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return 0


def _write(run: TrainedRun, options: argparse.Namespace) -> dict[str, Any]:
    """Write the arrays, and return by side how many ids there are, how many have a vector, and how wide it is."""
    import numpy as np

    by_side, dataset, written = run.vectors(), run.prepared.dataset, {}
    with new_folder(options.out) as folder:
        for side, values in sorted(by_side.items()):
            raw_ids = dataset.user_ids if side == "user" else dataset.item_ids
            ids = range(len(values)) if raw_ids is None else raw_ids.to_list()
            _save(folder / f"{side}_vectors.npy", values)
            _save(folder / f"{side}_ids.npy", np.array([str(raw_id) for raw_id in ids], np.str_))
            there = int(np.isfinite(values).all(1).sum())
            written[f"{side}s"] = f"{there} of {len(values)} have a vector of {values.shape[1]} numbers"
    return written


def _save(path: Path, values: np.ndarray) -> None:
    """Write an array through Python's own file, whose errors, unlike those of numpy's, say what the disk refused."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    path.write_bytes(buffer.getbuffer())
