"""What lies beside a record, by score: bootstrap replicates, leave-groups-out values, and of rankings each user's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from causalrec.data.array_files import Array, load_npz, npz_bytes
from causalrec.data.files import replace_atomically
from causalrec.errors import DataError
from causalrec.types import Doubles, Floats

SIDECARS = ("replicates", "jackknife")  # that tables read; `by_user` is for those who compare users themselves
MEMBERS = {"names", "sizes", "numbers"}  # of a file; one of before has a member a score, and takes 80 times as long


@dataclass(frozen=True, eq=False)
class ScoreArrays(Mapping[str, Doubles]):
    """Arrays by the key of their score, one after the other in one array; float64 as they are asked for.

    Attributes:
        numbers: float32[..., the sum of all lengths].
        spans: where each lies along the last axis.
    """

    numbers: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    spans: Mapping[str, slice] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Doubles:
        return self.numbers[..., self.spans[key]].astype(np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)


def write_sidecars(folder: Path, **arrays: Mapping[str, Doubles] | Mapping[str, Floats] | None) -> None:
    """Write `NAME.npz` for each mapping that is given, float32, each atomically."""
    for name, values in arrays.items():
        if values is not None:
            with replace_atomically(folder / f"{name}.npz") as temporary:
                temporary.write_bytes(_to_bytes(values))


def _to_bytes(arrays: Mapping[str, Doubles] | Mapping[str, Floats]) -> bytes:
    names = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    sizes = np.array([values.shape[-1] for values in arrays.values()], np.int64)
    numbers = np.concatenate([*arrays.values()] or [np.zeros(0)], axis=-1).astype(np.float32)
    return npz_bytes({"names": names, "sizes": sizes, "numbers": numbers})


def read_sidecar(path: Path, row: str) -> ScoreArrays:
    """Read one file, empty where there is none; raise DataError, which names the row to run again, on a damaged one."""
    if not os.path.lexists(path):
        return ScoreArrays()
    try:
        return _from_members(path.stem, load_npz(path))
    except (DataError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable ({str(error).removeprefix(f'{path}: ')}); run {row} again") from error


def _from_members(sidecar: str, members: Mapping[str, Array]) -> ScoreArrays:
    """Lay out what a file holds; raise ValueError where it is of another shape."""
    packed = members.keys() == MEMBERS
    arrays = {"numbers": members["numbers"]} if packed else members
    wrong = [key for key, values in arrays.items() if values.dtype.kind != "f" or not _fits(sidecar, values.shape)]
    if wrong:
        raise ValueError(f"of another shape: {wrong[0]!r:.60}")
    if packed:
        spans = _spans(members["names"].tobytes(), members["sizes"].tobytes())
    else:
        spans = _one_after_the_other(list(members), [values.shape[-1] for values in members.values()])
    numbers = np.concatenate([*arrays.values()] or [np.zeros(0)], axis=-1).astype(np.float32, copy=False)
    if numbers.shape[-1] != sum(span.stop - span.start for span in spans.values()):
        raise ValueError("of another shape: its sizes are not those of its numbers")
    return ScoreArrays(numbers, spans)


@lru_cache(maxsize=256)
def _spans(names: bytes, sizes: bytes) -> Mapping[str, slice]:
    """Read where each score's numbers lie, which the seeds of a row have in common."""
    keys = json.loads(names)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("of another shape: 'names'")
    return _one_after_the_other(keys, np.frombuffer(sizes, np.int64).tolist())


def _one_after_the_other(names: Sequence[str], sizes: Sequence[int]) -> Mapping[str, slice]:
    if len({*names}) != len(sizes) or min(sizes, default=0) < 0:
        raise ValueError("of another shape: its names are not those of its sizes")
    ends = [*accumulate(sizes)]
    return {name: slice(end - size, end) for name, size, end in zip(names, sizes, ends, strict=True)}


def _fits(sidecar: str, shape: tuple[int, ...]) -> bool:
    nothing = shape == (0,)  # of a failed run
    return nothing or (len(shape) == 1 if sidecar in ("replicates", "by_user") else len(shape) == 2 and shape[0] == 3)
