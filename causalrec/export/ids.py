"""The ids of users and items as an exported folder holds them: plain, hashed, or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from causalrec.data.dataset import CausalDataset
from causalrec.errors import DataError
from causalrec.export.packages import IdForm
from causalrec.export.scorer import id_key

IDS = "ids.parquet"
Keys = dict[str, npt.NDArray[np.uint64]]
NOTES = {
    "plain": "ids.parquet holds the ids of the raw files (row numbers where these name none)",
    "hashed": "ids.parquet holds the first 8 bytes of SHA-256 of salt|side|id, which whoever can list the ids can undo",
    "none": "no ids: pairs are rows of users and items, in the order of the data set",
}


def raw_ids(dataset: CausalDataset) -> dict[str, list[str]]:
    """Return the ids of users and items as text, by side; row numbers where the raw files name none."""
    sides = (("user", dataset.user_ids, dataset.logged.num_users), ("item", dataset.item_ids, dataset.logged.num_items))
    return {
        side: [str(row) for row in range(count)] if ids is None else ids.cast(str).to_list()
        for side, ids, count in sides
    }


def write_ids(folder: Path, dataset: CausalDataset, form: IdForm, salt: str) -> Keys:
    """Write `ids.parquet` with `side`, `row` and `id`, unless ids are left out, and return each id's number by side.

    Args:
        folder: to write to.
        dataset: whose ids they are.
        form: plain, hashed or none.
        salt: of the hashes, which the card states.

    Raises:
        DataError: Where two ids have one number, by a chance of about one in 10^8 for a million ids.
    """
    if form == "none":
        return {"user": np.zeros(0, np.uint64), "item": np.zeros(0, np.uint64)}
    ids = raw_ids(dataset)
    keys = {side: np.array([id_key(salt, side, each) for each in ids[side]], np.uint64) for side in ids}
    for side, numbers in keys.items():
        if len(np.unique(numbers)) < len(numbers):
            raise DataError(f"export: two {side} ids have one hash under the salt {salt}; set --ids none")
    shown = ids if form == "plain" else {side: [f"{key:016x}" for key in keys[side].tolist()] for side in ids}
    rows = [(side, row, each) for side in ids for row, each in enumerate(shown[side])]
    frame = pl.DataFrame(rows, schema={"side": pl.String, "row": pl.Int64, "id": pl.String}, orient="row")
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    (folder / IDS).write_bytes(buffer.getbuffer())  # by Python's own file, whose errors say what the disk refused
    return keys
