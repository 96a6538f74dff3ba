"""What lies beside a record, by score: bootstrap replicates and leave-groups-out values."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from causalrec.data.files import replace_atomically
from causalrec.errors import DataError
from causalrec.types import Doubles

SIDECARS = ("replicates", "jackknife")


def write_sidecars(folder: Path, **arrays: Mapping[str, Doubles] | None) -> None:
    """Write `NAME.npz` for each mapping that is given, float32, each atomically."""
    for name, values in arrays.items():
        if values is not None:
            with replace_atomically(folder / f"{name}.npz") as temporary:
                temporary.write_bytes(_to_bytes(values))


def _to_bytes(arrays: Mapping[str, Doubles]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[arg-type]
    return out.getvalue()


def read_sidecar(path: Path, row: str) -> dict[str, Doubles]:
    """Read one file, empty where there is none; raise DataError, which names the row to run again, on a damaged one."""
    if not path.exists():
        return {}
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as held:
            return {key: held[key].astype(np.float64) for key in held.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not readable ({error}); run {row} again") from error
