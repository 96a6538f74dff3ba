"""The arrays of a data set's tables: built once, opened after, and handed out as logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from causalrec.data.checked_folder import open_sealed
from causalrec.data.delimited_text import binarise
from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.table_problems import Problem
from causalrec.data.tabular.build import Build
from causalrec.data.tabular.request import Request
from causalrec.data.tabular.roles import Roles
from causalrec.data.tabular.store import keep_store, scratch_folder, store_folder
from causalrec.data.truth import PotentialOutcomes
from causalrec.types import Floats, Ints

FORMAT = 6  # of what lies on disk: raise it when the arrays, or the warnings beside them, change


def open_or_build(request: Request, name: str, folder: Path, root: Path) -> tuple[Path, dict[str, Any], list[Problem]]:
    """Return the store, its meta data and the problems met; an error leaves no store.

    Args:
        request: What the arrays hold.
        name: Of the data set.
        folder: Where its files lie.
        root: `paths.data`.
    """
    if not folder.is_dir():
        message = "there is no such folder; set dataset.folder (./ = from here, without it below paths.data)"
        return folder, {}, [Problem("error", str(folder), None, None, message)]
    store = store_folder(folder, root) / f"{name}-{_key(request)}"
    meta = open_sealed(store)
    if meta is not None:
        return store, meta, [Problem(**problem) for problem in meta["warnings"]]
    with scratch_folder(store) as scratch:
        build = Build(request, scratch)
        meta_data = build()
        if meta_data is None or any(problem.severity == "error" for problem in build.problems):
            return store, {}, build.problems
        warnings = list(map(asdict, build.problems))
        return store, keep_store(build.store, store, {**meta_data, "warnings": warnings}), build.problems


def _key(request: Request) -> str:
    """Hash what the arrays depend on: the request, and each file's path, size and modification time."""
    stats = [path.stat() if (path := raw.path).is_file() else None for raw in request.files]
    files = [(stat.st_size, stat.st_mtime_ns) if stat else None for stat in stats]
    dependencies = json.dumps(
        [FORMAT, files, asdict(request)], sort_keys=True, default=lambda path: str(Path(path).resolve())
    )
    return hashlib.sha256(dependencies.encode()).hexdigest()[:20]


def read_log(folder: Path, roles: Roles, sizes: tuple[int, int], threshold: float | None, name: str) -> InteractionLog:
    """Open a part of the store as a log.

    Args:
        folder: Of the part.
        roles: Which column plays which role.
        sizes: Users and items.
        threshold: The outcome is 1 from this value on; None keeps it.
        name: How errors call the log.
    """
    arrays = {
        path.stem: np.load(path, mmap_mode="r", allow_pickle=False)
        for path in sorted(folder.glob("*.npy"))
        if not path.stem.startswith("potential")
    }
    count = len(arrays["item"])
    of_arms = [arrays.pop(role) for role in sorted(arrays) if role.startswith("arm_propensity")]
    all_exposed = np.broadcast_to(np.int64(1), count)  # takes no memory
    columns = {column: _values(folder, role, arrays.pop(role)) for role, column in roles.row_roles.items()}
    outcome = arrays.pop("outcome", None)
    if outcome is not None and threshold is not None:
        missing = np.isnan(outcome)
        outcome = binarise(outcome, threshold)
        if missing.any():
            outcome[missing] = np.nan
    return InteractionLog(
        treatment=arrays.pop("treatment", all_exposed),
        outcome=np.broadcast_to(np.float32(1), count) if outcome is None else outcome,
        num_users=sizes[0],
        num_items=sizes[1],
        arm_probabilities=np.stack(of_arms, 1) if of_arms else None,
        columns=columns,
        name=name,
        **arrays,
    )


def _values(folder: Path, role: str, held: RowValues) -> RowValues:
    """Return a column of rows: where it is a category, the levels that the array's numbers stand for."""
    levels = folder.parent / f"{role}.parquet"
    return np.array(pl.read_parquet(levels, glob=False)["level"].to_list(), np.str_)[held] if levels.exists() else held


def read_truth(folders: Sequence[Path], roles: Roles, num_users: int) -> PotentialOutcomes | None:
    """Return the mean outcomes that the tables say each user has under each exposure, None where they say none.

    Args:
        folders: Of the parts of the store.
        roles: Which columns hold them.
        num_users: Users of the data set; one without a row has no truth (nan).
    """
    if not roles.potential:
        return None
    means = np.full((num_users, len(roles.potential)), np.nan, np.float32)
    for folder in folders:
        user = np.load(folder / "user.npy", allow_pickle=False)
        for k in range(len(roles.potential)):
            means[user, k] = np.load(folder / f"potential{k}.npy", allow_pickle=False)

    def of_pairs(user: Ints, item: Ints) -> Floats:
        return np.asarray(means[np.broadcast_arrays(user, item)[0]], np.float32)

    return PotentialOutcomes(means=of_pairs)
