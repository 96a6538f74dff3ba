"""Pairs of a file, checked before any is predicted, and predicted a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from causalrec.data.tabular.file_problems import header_problems, row_problems
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.plain_copy import prepare_file
from causalrec.data.tabular.rawfile import RawFile
from causalrec.errors import RequestError
from causalrec.evaluation.catalogue_predictions import PAIR_BYTES
from causalrec.running.pair_limit import require_pairs_to_score
from causalrec.running.trained_run import TrainedRun
from causalrec.types import Bools, Entity, Ints

MOST_AT_ONCE = 1 << 18  # rows of a block


@dataclass(frozen=True, kw_only=True)
class PairFile:
    """A table of pairs, by raw ids.

    Attributes:
        run: that predicts them.
        raw: the file, ready to scan.
        treatment: the arm whose effect is meant, from 1.
        rows_at_once: rows of a block.
    """

    run: TrainedRun
    raw: RawFile
    treatment: int
    rows_at_once: int

    @property
    def sides(self) -> tuple[Entity, ...]:
        """The columns of ids: those of items alone where the data have no users."""
        return ("item",) if self.run.prepared.dataset.logged.user is None else ("user", "item")

    def check(self) -> int:
        """Return the number of rows; raise RequestError where one cannot be predicted. Nothing is predicted yet."""
        run = self.run
        run.check_pairs_suffice()
        run.check_treatment(self.treatment)
        if wrong := header_problems(self.raw, self.sides) or line_problems(self.raw):
            raise RequestError(f"--pairs {wrong[0]}")
        name = self.value_name
        if name in self.raw.header():
            raise RequestError(f"--pairs {self.raw.path}: has a column {name}, as the predictions have; rename it")
        rows = 0
        unknown: dict[Entity, tuple[int, int]] = {}  # how many, and the first
        cold: tuple[int, int] = (0, 0)
        for block in self._blocks(list(self.sides)):
            for side in self.sides:
                unknown[side] = _count(unknown.get(side, (0, 0)), self._row_numbers(block, side) < 0, rows)
            if "user" in self.sides and not any(count for count, _ in unknown.values()):
                users = self._row_numbers(block, "user")
                cold = _count(cold, np.isin(users, run.unknown_users(users)), rows)
            rows += len(block)
        for side, (count, first) in unknown.items():
            if count:
                self._refuse(side, count, first)
        if cold[0]:
            raise RequestError(
                f"--pairs {self._where(cold[1], 'user')}: has no training row, and the model knows users by their id "
                f"alone ({cold[0]:,} rows of such users); leave them out, or train a model that reads columns of users"
            )
        if not rows:
            raise RequestError(
                f"--pairs {self.raw.path}: holds no pair; write one a line below the names of the columns"
            )
        require_pairs_to_score(run.config, rows, f"--pairs {self.raw.path}")
        return rows

    @property
    def value_name(self) -> str:
        """What the predictions are called: `predicted`, `effect` or `score`."""
        return self.run.value_name

    def predict(self, start: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the number of rows done, and a block of the rows from the `start`-th on, each with its number."""
        done = start
        for block in self._blocks(self.raw.header(), start):
            users = self._row_numbers(block, "user") if "user" in self.sides else np.zeros(len(block), np.int64)
            values = self.run.predict_rows(users, self._row_numbers(block, "item"), self.treatment)
            done += len(block)
            yield done, block.with_columns(pl.Series(self.value_name, values, dtype=pl.Float64))

    def _blocks(self, columns: list[str], start: int = 0) -> Iterator[pl.DataFrame]:
        try:
            frame = self.raw.scan(columns).slice(start)
            for block in frame.collect_batches(chunk_size=self.rows_at_once, maintain_order=True):
                if len(block):
                    yield block
        except pl.exceptions.PolarsError as error:
            raise RequestError(f"--pairs {row_problems(self.raw, error)[0]}") from error

    def _row_numbers(self, block: pl.DataFrame, side: Entity) -> Ints:
        """Return the rows of the ids of a block, int64[N]; -1 of an id that the data do not have."""
        return self.run.ids.of_column(side, block[side])

    def _refuse(self, side: Entity, count: int, first: int) -> None:
        more = f" ({count:,} rows name {side}s that it lacks)" if count > 1 else ""
        value = str(self.raw.locate([first])[first][1][side])
        raise RequestError(f"--pairs {self._where(first, side)}: {self.run.ids.describe_unknown(side, value, more)}")

    def _where(self, row: int, side: Entity) -> str:
        """Name a row: the file, its line, and the id."""
        line, values = self.raw.locate([row])[row]
        return f"{self.raw.path}: line {line}: {side} {values.get(side)}"


@contextmanager
def pair_file(run: TrainedRun, path: Path, treatment: int, memory: int) -> Iterator[PairFile]:
    """Yield the pairs of a CSV, JSON lines or Parquet file, ready to check; RequestError where it cannot be read.

    Args:
        run: that predicts them.
        path: of the file; `.gz` is unpacked.
        treatment: the arm whose effect is meant, from 1.
        memory: bytes that predicting a block may take.
    """
    with TemporaryDirectory() as scratch:
        raw, _, problems = prepare_file(RawFile(path=path), Path(scratch))
        if problems:
            raise RequestError(f"--pairs {path}: {problems[0].message}")
        rows_at_once = min(max(1, memory // PAIR_BYTES), MOST_AT_ONCE)
        yield PairFile(run=run, raw=raw, treatment=treatment, rows_at_once=rows_at_once)


def _count(before: tuple[int, int], bad: Bools, offset: int) -> tuple[int, int]:
    """Return how many bad rows there were, and the first, from those before and a block that begins at `offset`."""
    count, first = before
    if bad.any() and not count:
        first = offset + int(np.argmax(bad))
    return count + int(bad.sum()), first
