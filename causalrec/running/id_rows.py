"""The rows of a data set's tables by the ids of the raw files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.running.raw_ids import ROW_NUMBER, RawId, id_text, nearest_id
from causalrec.types import Entity, Ints


@dataclass(frozen=True, eq=False)
class IdRows:
    """The rows of users and items by their raw ids; where the files name none, row numbers are ids.

    Attributes:
        dataset: whose they are.
        is_corner: whether a smoke run has left users and items out of it.
    """

    dataset: CausalDataset
    is_corner: bool = False

    def rows(self, entity: Entity, raw_ids: RawId | Sequence[RawId]) -> Ints:
        """Return the rows of one or several raw ids, int64[N]; RequestError on the first that the data do not have."""
        is_list = isinstance(raw_ids, Sequence | np.ndarray | pl.Series) and not isinstance(raw_ids, str | bytes)
        many: list[object] = [*raw_ids] if is_list else [raw_ids]  # type: ignore[misc]
        return np.array([self._row(entity, id_text(entity, raw_id)) for raw_id in many], np.int64)

    def of_column(self, entity: Entity, raw_ids: pl.Series) -> Ints:
        """Return the rows of a column of raw ids, int64[N]; -1 of one that the data do not have."""
        dataset = self.dataset
        count, ids = len(dataset.tables[entity]), dataset.user_ids if entity == "user" else dataset.item_ids
        texts = (raw_ids.cast(pl.Int64, strict=False) if raw_ids.dtype.is_float() else raw_ids).cast(pl.String)
        if ids is None:
            is_number = texts.str.contains(f"^(?:{ROW_NUMBER.pattern})$")
            rows = texts.set(~is_number, None).cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
            return np.where(rows < count, rows, -1)
        return texts.replace_strict(ids.cast(pl.String), pl.Series(range(count)), default=-1).to_numpy().copy()

    def has(self, entity: Entity, raw_id: str) -> bool:
        """Whether the data have a user or an item of this raw id."""
        if entity in self._row_of:
            return raw_id in self._row_of[entity]
        return bool(ROW_NUMBER.fullmatch(raw_id)) and int(raw_id) < len(self.dataset.tables[entity])

    def describe_unknown(self, entity: Entity, raw_id: str, more: str = "") -> str:
        """Say that the data have no user or item of this raw id, `more` of it, and what is nearest."""
        where = " in the part that a smoke run reads" if self.is_corner else ""
        hint = f"its files name no {entity}s, so give a row number, 0..{len(self.dataset.tables[entity]) - 1}"
        if entity in self._row_of:
            hint = nearest_id(raw_id, list(self._row_of[entity]))
        return f"{self.dataset.card.name} has no such {entity}{where}{more}; {hint}"

    def require_users(self) -> None:
        """Raise RequestError where the data have no users."""
        if self.dataset.logged.user is None:
            raise RequestError(f"{self.dataset.card.name}: has no users to recommend to")

    @cached_property
    def _row_of(self) -> dict[str, dict[str, int]]:
        return {
            entity: {raw_id: row for row, raw_id in enumerate(ids.cast(str).to_list())}
            for entity, ids in (("user", self.dataset.user_ids), ("item", self.dataset.item_ids))
            if ids is not None
        }

    def _row(self, entity: Entity, raw_id: str) -> int:
        if entity == "user":
            self.require_users()
        if not self.has(entity, raw_id):
            raise RequestError(f"{entity} {raw_id}: {self.describe_unknown(entity, raw_id)}")
        return self._row_of[entity][raw_id] if entity in self._row_of else int(raw_id)
