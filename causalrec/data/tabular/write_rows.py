"""The rows that stay, written as arrays: those of a part are moved where all stay, else copied chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from causalrec.data.tabular.ingest import StreamedFile, chunks
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.roles import Roles
from causalrec.types import Bools


def write_rows(done: Sequence[StreamedFile], masks: Sequence[Bools], roles: Roles, store: Path) -> dict[str, int]:
    """Write the logged rows and, where there are any, the randomised ones; return how many of each.

    Args:
        done: The table of interactions, then that of random rows, where it is one of its own.
        masks: Which rows of each stay.
        roles: Which column plays which role.
        store: The folder of the data set.
    """
    rows = {"logged": _write(done[0], masks[0], roles, store / "logged", flag=False)}
    if len(done) > 1:
        rows["randomised"] = _write(done[1], masks[1], roles, store / "randomised", flag=None)
    elif "randomised" in done[0].column_names:
        rows["randomised"] = _write(done[0], masks[0], roles, store / "randomised", flag=True)
    return rows


def _write(streamed: StreamedFile, stays: Bools, roles: Roles, target: Path, flag: bool | None) -> int:
    """Write the rows of the mask, only those of the flag where the file has flags; return how many."""
    target.mkdir(parents=True)
    mask = stays
    if "randomised" in streamed.column_names and flag is not None:
        mask = stays & (np.asarray(streamed.array("randomised")) == flag)
    for name in streamed.column_names:
        if name in ("randomised", "dropped") or (name.startswith("missing") and name not in roles.indicators):
            continue
        if mask.all():
            (streamed.folder / f"{name}.npy").rename(target / f"{name}.npy")
            continue
        with ArrayWriter(target / f"{name}.npy", streamed.array(name).dtype) as out:
            for where in chunks(streamed.rows):
                out.append(streamed.array(name)[where][mask[where]])
    return int(mask.sum())
