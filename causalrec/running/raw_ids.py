"""Ids of users and items as raw files spell them, and the nearest to one that is not there."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import polars as pl

from causalrec.errors import RequestError

ROW_NUMBER = re.compile(r"0|[1-9][0-9]*")
MAX_COMPARED_IDS = 500  # neighbours in order among which a misspelt id is sought: similarity is slow to compute
RawId = Hashable  # as the files spell it; a row number (from 0) where they name none


def nearest_id(asked_id: str, ids: Sequence[str]) -> str:
    """Say the range of the ids, in order of number where all are whole numbers, and the nearest to the one asked for.

    >>> nearest_id("4", ["1", "2", "10"])
    'the 3 ids run from 1 to 10; nearest: 2 and 10'
    """
    text = pl.Series(ids, dtype=pl.String)
    numbers = text.cast(int, strict=False)
    are_numbers = not numbers.null_count()
    ordered: list[Any] = (numbers if are_numbers else text).sort().to_list()
    is_number = asked_id.removeprefix("-").isdecimal()
    wanted = int(asked_id) if are_numbers and is_number else None if are_numbers else asked_id
    position = 0 if wanted is None else bisect(ordered, wanted)
    near = ordered[max(position - 1, 0) : position + 1]
    if not are_numbers:
        around = ordered[max(position - MAX_COMPARED_IDS, 0) : position + MAX_COMPARED_IDS]
        near = get_close_matches(asked_id, around, n=2, cutoff=0.5) or near
    shown = " and ".join(map(str, near))
    return f"the {len(ids)} ids run from {ordered[0]} to {ordered[-1]}; nearest: {shown}"


def id_text(entity: str, raw_id: object) -> str:
    """Return a raw id as the files spell it; a whole number may come as a float, as tables with gaps hold it."""
    if isinstance(raw_id, float | np.floating) and float(raw_id).is_integer():
        return str(int(raw_id))
    if isinstance(raw_id, str | int | np.integer) and not isinstance(raw_id, bool):
        return str(raw_id)
    raise RequestError(f"{entity} {raw_id!r}: is no id; give text or a whole number")
