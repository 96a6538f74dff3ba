"""What lies beside a record, by score: bootstrap replicates, leave-groups-out values, and of rankings each user's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from causalrec.data.array_files import load_npz, npz_bytes
from causalrec.data.files import replace_atomically
from causalrec.errors import DataError
from causalrec.types import Doubles, Floats

SIDECARS = ("replicates", "jackknife")  # that tables read; `by_user` is for those who compare users themselves


def write_sidecars(folder: Path, **arrays: Mapping[str, Doubles] | Mapping[str, Floats] | None) -> None:
    """Write `NAME.npz` for each mapping that is given, float32, each atomically."""
    for name, values in arrays.items():
        if values is not None:
            with replace_atomically(folder / f"{name}.npz") as temporary:
                temporary.write_bytes(_to_bytes(values))


def _to_bytes(arrays: Mapping[str, Doubles] | Mapping[str, Floats]) -> bytes:
    return npz_bytes({name: values.astype(np.float32) for name, values in arrays.items()})


def read_sidecar(path: Path, row: str) -> dict[str, Doubles]:
    """Read one file, empty where there is none; raise DataError, which names the row to run again, on a damaged one."""
    if not os.path.lexists(path):
        return {}
    try:
        arrays = load_npz(path)
    except DataError as error:
        raise DataError(f"{path}: not readable ({str(error).removeprefix(f'{path}: ')}); run {row} again") from error
    wrong = [key for key, values in arrays.items() if values.dtype.kind != "f" or not _fits(path.stem, values.shape)]
    if wrong:
        raise DataError(f"{path}: not readable (of another shape: {wrong[0]!r:.60}); run {row} again")
    return {key: values.astype(np.float64) for key, values in arrays.items()}


def _fits(sidecar: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 if sidecar in ("replicates", "by_user") else len(shape) == 2 and shape[0] == 3
