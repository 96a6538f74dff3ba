"""A large table written part by part, so that a killed process leaves no half file and the next one goes on."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from causalrec.data.disk_errors import naming
from causalrec.data.files import READABLE_CHARACTERS, replace_atomically, require_creatable, sync
from causalrec.errors import RequestError
from causalrec.progress import progress

PART = re.compile(r"(\d{12})-(\d{12})-([0-9a-f]{16})\.parquet")
ENDINGS = (".parquet", ".csv")
PART_ROWS = 1 << 18
PART_SECONDS = 20.0  # after which what is done is written, so that it is not done again


def check_out(out: Path, setting: str = "--out") -> None:
    """Raise RequestError where a table cannot be written to `out`: it is there, its ending is none, or its folder is
    closed.
    """
    if out.suffix not in ENDINGS:
        raise RequestError(f"{setting} {out}: is written as Parquet or CSV; name a file that ends in .parquet or .csv")
    if out.exists() or out.is_symlink():
        raise RequestError(f"{setting} {out}: is there already; name a file that is not")
    require_creatable(out.absolute().parent, setting)


@dataclass
class TableParts:
    """The parts of a table on their way, in a hidden folder beside it; each holds what came of a stretch of units.

    A part's name says its stretch and the hash of its bytes: one that is torn is made again.

    Attributes:
        out: the file that they become.
        folder: that they lie in.
        done: units whose rows are written, from the first on.
        paths: of the parts, in order.
    """

    out: Path
    folder: Path
    done: int = 0
    paths: list[Path] = field(default_factory=list)

    def add(self, stop: int, table: pl.DataFrame) -> None:
        """Write the rows of the units from `done` to before `stop`."""
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        path = self.folder / f"{self.done:012d}-{stop:012d}-{_digest(buffer.getvalue())}.parquet"
        with replace_atomically(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())
        self.paths.append(path)
        self.done = stop

    def assemble(self) -> None:
        """Put the parts together into the file, which appears when all of it is written; they go."""
        complete = self.folder / f"complete{self.out.suffix}"
        with naming(self.out):
            if self.out.suffix == ".csv":
                with complete.open("wb") as file:
                    for number, path in enumerate(self.paths):
                        pl.read_parquet(path, glob=False).write_csv(file, include_header=number == 0)
            else:
                pl.scan_parquet(self.paths, glob=False).sink_parquet(complete)
            sync(complete)
            _require_absent(self.out)
            complete.replace(self.out)
            sync(self.out.parent)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _resume(self) -> None:
        """Take the parts that stand, one after the other, and remove all else."""
        for path in sorted(self.folder.iterdir()):
            name = PART.fullmatch(path.name)
            if name and int(name[1]) == self.done and path.is_file() and _digest(path.read_bytes()) == name[3]:
                self.done = int(name[2])
                self.paths.append(path)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_table(
    out: Path,
    request: str,
    blocks: Callable[[int], Iterator[tuple[int, pl.DataFrame]]],
    total: int,
    label: str,
    unit: str,
) -> int:
    """Write a table of what comes of units, and return how many of them an earlier process had done.

    Args:
        out: the file, which is not there yet.
        request: all that the rows depend on.
        blocks: the first unit -> how many units are done after each block, and its rows; every block has its columns.
        total: how many units there are.
        label: what is done, as progress says it.
        unit: what is counted, as a plural.
    """
    with table_parts(out, request) as pieces, progress(label, total, unit) as step:
        resumed, tables, begun = pieces.done, list[pl.DataFrame](), time.monotonic()
        step.update(resumed)
        for done, table in blocks(resumed):
            tables.append(table)
            is_due = time.monotonic() - begun > PART_SECONDS or sum(map(len, tables)) >= PART_ROWS
            if is_due or done == total:
                pieces.add(done, pl.concat(tables))
                tables, begun = [], time.monotonic()
            step.update(done)
        pieces.assemble()
    return resumed


@contextmanager
def table_parts(out: Path, request: str) -> Iterator[TableParts]:
    """Yield the parts of a table, those that a killed process left among them; where nothing was written, they go.

    Args:
        out: the file to write, which is not there yet.
        request: all that the rows depend on: parts of another request are not taken.

    Raises:
        RequestError: where another process writes the same table.
    """
    name = f".{out.name[:READABLE_CHARACTERS]}.parts-{hashlib.sha256(request.encode()).hexdigest()[:16]}"
    folder = out.with_name(name)
    with naming(out):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise RequestError(f"{folder}: is a link, where parts of {out.name} are to be written; remove it")
        folder.mkdir(exist_ok=True)
        with _lock(folder, out):
            pieces = TableParts(out, folder)
            pieces._resume()
            try:
                _require_absent(out)  # another process may have written it since it was checked
                yield pieces
            finally:
                with suppress(OSError):  # there are parts, which the next launch takes
                    folder.rmdir()


def _require_absent(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise RequestError(f"--out {out}: has appeared meanwhile; move it away, and run this again")


@contextmanager
def _lock(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder for this process alone, where its file system can."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RequestError(f"--out {out}: another process is writing it; wait until it is done") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
