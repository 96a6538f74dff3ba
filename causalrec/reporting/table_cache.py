"""Tables of many records, kept by what they were made from: the second `causalrec table` reads no record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

import causalrec
from causalrec.data.checked_file import load_or_make
from causalrec.data.files import derived_folder
from causalrec.data.regular_files import open_regular
from causalrec.errors import DataError, RequestError
from causalrec.records.run_folder import BrokenRecord, record_paths
from causalrec.records.run_record import RECORD
from causalrec.records.sidecars import SIDECARS
from causalrec.reporting.folder_tables import folder_tables
from causalrec.reporting.score_table import ScoreTable

LEAST_RECORDS = 200  # below which the tables are made as fast as they are looked up
Tables = tuple[list[ScoreTable], list[BrokenRecord]]


def cached_tables(
    folder: Path, columns: tuple[str, ...], rows: tuple[str, ...], show_submodels: bool, show_cost: bool = False
) -> Tables:
    """Return what `folder_tables` returns, from the cache where no record has changed.

    Kept are the tables by the hashes of all records, of what lies beside them and of this code, below
    `$CAUSALREC_CACHE` (`~/.cache/causalrec/derived` by default): nothing in the folder of records is taken for a table.

    Args:
        folder: any folder above records.
        columns: as in `folder_tables`.
        rows: as in `folder_tables`.
        show_submodels: as in `folder_tables`.
        show_cost: as in `folder_tables`.
    """
    make = partial(folder_tables, folder, columns, rows, show_submodels, show_cost)
    paths = record_paths(folder)
    if len(paths) < LEAST_RECORDS:
        return make()
    settings = json.dumps([str(folder.resolve()), columns, rows, show_submodels, show_cost])
    request = hashlib.sha256(settings.encode()).hexdigest()[:16]
    try:
        path = derived_folder() / "records" / f"{request}-{_content_hash(folder, paths)}.tables"
        tables = load_or_make(path, lambda: _to_bytes(make()), _from_bytes)
    except RequestError:
        raise
    except (OSError, DataError):  # a cache that cannot be written, or what is wrong with the records: said by them
        return make()
    _remove_earlier(path, request)
    return tables


def _content_hash(folder: Path, paths: list[Path]) -> str:
    """Return the hash of this code, of the records in their order and of what lies beside them."""
    total = hashlib.sha256()
    for source in sorted(Path(causalrec.__file__).parent.rglob("*.py")):
        status = source.stat()
        total.update(f"{source} {status.st_size} {status.st_mtime_ns}\n".encode())
    for path in paths:
        total.update(f"{path.relative_to(folder)}\n".encode())
        for name in (RECORD, *(f"{sidecar}.npz" for sidecar in SIDECARS)):
            total.update(_file_hash(path.with_name(name)))
    return total.hexdigest()[:32]


def _file_hash(path: Path) -> bytes:
    if not os.path.lexists(path):
        return b"none"
    with open_regular(path) as file:
        return hashlib.sha256(file.read()).digest()


def _to_bytes(tables: Tables) -> bytes:
    return json.dumps([[dataclasses.asdict(each) for each in group] for group in tables]).encode()


def _from_bytes(content: bytes) -> Tables:
    return TypeAdapter(Tables).validate_python(json.loads(content))


def _remove_earlier(path: Path, request: str) -> None:
    """Remove the tables of the same request that were made of records of before."""
    for other in path.parent.glob(f"{request}-*.tables"):
        if other != path:
            with suppress(OSError):
                other.unlink()
