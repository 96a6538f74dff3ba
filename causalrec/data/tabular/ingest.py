"""Interactions of any size streamed once, in bounded memory, into memory-mapped arrays with ids from 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.ids import Dictionary
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.role_values import is_constant, missing_mask, role_expressions
from causalrec.data.tabular.roles import FillValue, Roles, dtype_of
from causalrec.data.tabular.row_checks import Arrays, note_bad_rows
from causalrec.progress import progress
from causalrec.types import Bools, Ints

ROWS = 500_000  # of one batch


@dataclass
class StreamedFile:
    """One table, of one raw file or several, as arrays in the order of its rows, ids still those of `Dictionary`.

    Attributes:
        folder: Holds one `.npy` array per role.
        rows: N.
        bad_rows: The rows that break a rule.
        column_names: The roles that have an array.
    """

    folder: Path
    rows: int
    bad_rows: BadRows
    column_names: tuple[str, ...]

    def array(self, role: str, mode: Literal["r", "r+"] = "r") -> npt.NDArray[Any]:
        """Memory-map one array."""
        path = self.folder / f"{role}.npy"
        if self.rows == 0:
            return np.zeros(0, dtype_of(role))
        return np.load(path, mmap_mode=mode, allow_pickle=False)  # type: ignore[no-any-return]


def stream(raws: Sequence[RawFile], roles: Roles, ids: Mapping[str, Dictionary], folder: Path) -> StreamedFile:
    """Read the files one after another into arrays, noting every row that breaks a rule.

    The usual forms of numbers are tried first, all that are allowed only where a row holds another: it is much faster.

    Args:
        raws: The files of one table, ready to scan.
        roles: Which column plays which role.
        ids: The dictionary of each role that holds ids or categories, shared by all files.
        folder: Where the arrays are written.

    Raises:
        PolarsError: On a file that cannot be parsed.
    """
    if roles.treatment is None and not roles.fill and all(raw.numbers.plain for raw in raws):
        streamed = _stream(raws, roles, ids, folder, usual=True)
        if not streamed.bad_rows.kinds:
            return streamed
    return _stream(raws, roles, ids, folder, usual=False)


def _stream(
    raws: Sequence[RawFile], roles: Roles, ids: Mapping[str, Dictionary], folder: Path, usual: bool
) -> StreamedFile:
    folder.mkdir(parents=True, exist_ok=True)
    bad_rows, offset, outcomes = BadRows(raws[0]), 0, roles.scale
    later = [role.replace("number", "missing") for role in roles.filled_later]
    names = (*roles.made_up, *roles.columns, *later, *(["dropped"] if "drop" in roles.filled.values() else []))
    with ExitStack() as stack:
        writers = {role: stack.enter_context(ArrayWriter(folder / f"{role}.npy", dtype_of(role))) for role in names}
        step = stack.enter_context(progress(f"reading {raws[0].path.name}", None, "rows"))
        for number, raw in enumerate(raws):
            if number:
                bad_rows.begin_file(raw, offset)
            for arrays in _batches(raw, roles, ids, usual):
                note_bad_rows(arrays, roles, bad_rows, offset)
                outcomes = _widen(outcomes, arrays.get("outcome"))
                _complete(arrays, roles, offset)
                for role, writer in writers.items():
                    writer.append(arrays[role] == 1 if role == "randomised" else arrays[role])
                offset += len(next(iter(arrays.values())))
                step.update(offset)
    bad_rows.facts["range"] = "[{:g}, {:g}]".format(*outcomes)
    return StreamedFile(folder, offset, bad_rows, names)


def _batches(raw: RawFile, roles: Roles, ids: Mapping[str, Dictionary], usual: bool) -> Iterator[Arrays]:
    frame = raw.scan(list(dict.fromkeys(roles.columns.values())))
    frame = frame.select(role_expressions(raw, roles, frame.collect_schema(), ids, usual))
    for batch in frame.collect_batches(chunk_size=ROWS, maintain_order=True, engine="streaming"):
        yield {name: batch[name].to_numpy() for name in batch.columns}


def _widen(scale: tuple[float, float], outcome: npt.NDArray[Any] | None) -> tuple[float, float]:
    """Return bounds that hold the outcomes too."""
    finite = np.zeros(0) if outcome is None else outcome[np.isfinite(outcome)]
    return min(scale[0], float(finite.min(initial=np.inf))), max(scale[1], float(finite.max(initial=-np.inf)))


def _complete(arrays: Arrays, roles: Roles, offset: int) -> None:
    """Add to a batch the ids that no column holds, and what its missing cells become."""
    rows = len(next(iter(arrays.values())))
    if "item" in roles.made_up:
        arrays["item"] = np.zeros(rows, np.int64)
    if "user" in roles.made_up:
        arrays["user"] = np.arange(offset, offset + rows)
    dropped = np.zeros(rows, bool)
    for role, fill in roles.filled.items():
        missing = arrays[missing_mask(role)].astype(bool)
        if fill == "drop":
            dropped |= missing
        elif role in roles.filled_later:
            arrays[role.replace("number", "missing")] = missing
        elif is_constant(fill) and not isinstance(fill, str):
            arrays[role] = np.where(missing, fill, arrays[role])
    arrays["dropped"] = dropped


def fill_later(streamed: Sequence[StreamedFile], roles: Roles) -> None:
    """Give missing numbers the mean or median of those of the first table, in place.

    Args:
        streamed: The table of logged rows, then those that take its values.
        roles: Which column is filled by what.
    """
    for role, fill in roles.filled_later.items():
        masks = [table.array(role.replace("number", "missing")) == 1 for table in streamed]
        present = streamed[0].array(role)[~masks[0]]
        value = float(np.median(present) if fill == "median" else np.mean(present)) if len(present) else 0.0
        for table, mask in zip(streamed, masks, strict=True):
            table.array(role, "r+")[mask] = value


def chunks(length: int, size: int = 1 << 20) -> Iterator[slice]:
    """Yield slices that cover `length` rows."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def renumber(streamed: StreamedFile, role: str, ranks: Ints, column: str, fill: FillValue | None = None) -> None:
    """Replace provisional ids by final ones in place, noting ids that their table lacks, or dropping their rows.

    Args:
        streamed: The file; its array of the role is changed.
        role: The role of the ids.
        ranks: The final number of each provisional one, -1 where the table lacks it.
        column: Their column in the file.
        fill: `drop` where such rows are left out.
    """
    codes = streamed.array(role, "r+")
    padded, what = np.append(ranks, -1), f"{{value}} is not in the table of {role}s; add it there, or set "
    what += f"dataset.fill: {{{column}: drop}}"
    for where in chunks(len(codes)):
        provisional = codes[where].copy()
        codes[where] = padded[provisional]
        unknown = (codes[where] < 0) & (provisional >= 0)
        if fill == "drop":
            streamed.array("dropped", "r+")[where] |= unknown
        else:
            streamed.bad_rows.add(what, column, unknown, where.start)


def last_of_repeats(codes: Ints, time: Ints | None = None) -> Bools | None:
    """Return which rows are the last of their code, None where no code repeats.

    Args:
        codes: int64[N].
        time: int64[N]; the last is the latest, of equal times the last row. None: the last row.

    >>> last_of_repeats(np.array([7, 8, 7]), np.array([20, 15, 10])).tolist()
    [True, True, False]
    """
    ordered = np.sort(codes)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.argsort(codes, kind="stable") if time is None else np.lexsort((time, codes))
    last = np.ones(len(codes), bool)
    last[order[:-1]] = codes[order][1:] != codes[order][:-1]
    return last
