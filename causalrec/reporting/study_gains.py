"""What a finished study says of gains: read from the folder that it left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from causalrec.errors import DataError, RequestError
from causalrec.plain_text import shorten
from causalrec.records.json_records import read_json
from causalrec.reporting.compare import Comparison, half_width
from causalrec.reporting.verdict import GainVerdict

LARGEST = 1e12  # of a number that is drawn


@dataclass(frozen=True, kw_only=True)
class GainCell:
    """A cell of `result.json`, as far as gains go; what else it holds is not read.

    Attributes:
        row: name of the row.
        column: `metric@slice`.
        gain: the verdict on the printed gain; None where none is printed.
        comparison: the difference to the reference row; None where it was not tested.
        loses_to: special cases of the row that are better.
    """

    row: str
    column: str
    gain: GainVerdict | None = None
    comparison: Comparison | None = None
    loses_to: tuple[str, ...] = ()

    @property
    def is_possible(self) -> bool:
        """Whether its numbers can be those of a comparison: no error below 0, none that no axis holds."""
        gain, ours = self.gain, self.comparison
        published, tolerance = (None, None) if gain is None else (gain.published, gain.tolerance)
        numbers = [published or 0.0, tolerance or 0.0]
        if ours is not None:
            numbers += [ours.difference, half_width(ours) if ours.se >= 0 and ours.df > 0 else math.nan]
        return (tolerance or 0.0) >= 0 and all(abs(number) < LARGEST for number in numbers)


@dataclass(frozen=True, kw_only=True)
class StudyGains:
    """The gains of a study.

    Attributes:
        title: of the study.
        baselines: names of the rows that are baselines, which are left out.
        cells: of its table.
    """

    title: str
    baselines: tuple[str, ...]
    cells: tuple[GainCell, ...]

    @property
    def gains(self) -> tuple[GainCell, ...]:
        """The cells of trained rows that were compared to the reference row, or whose gain was printed."""
        return tuple(c for c in self.cells if c.row not in self.baselines and (c.comparison or c.gain))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that were compared, in the order of the table."""
        return tuple(dict.fromkeys(cell.column for cell in self.gains if cell.comparison))

    def of_column(self, column: str) -> tuple[GainCell, ...]:
        """Return the gains of one column."""
        return tuple(cell for cell in self.gains if cell.column == column)


def read_gains(folder: Path) -> StudyGains:
    """Read what a study has left in its folder; raise RequestError where there is nothing, or something else."""
    path = folder / "result.json"
    try:
        document = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RequestError(f"{folder}: holds no result.json; name the folder of a study that was reproduced") from error
    except DataError as error:
        raise RequestError(f"{path}: is damaged; run `causalrec reproduce` again") from error
    try:
        study = TypeAdapter(StudyGains).validate_python(
            {name: document.get(name) for name in StudyGains.__annotations__}
        )
    except ValidationError as error:
        raise RequestError(f"{path}: is no result of a study of today; run `causalrec reproduce` again") from error
    if wrong := next((cell for cell in study.cells if not cell.is_possible), None):
        where = f"row {shorten(wrong.row, 60)}, column {shorten(wrong.column, 60)}"
        raise RequestError(f"{path}: {where}: no comparison has such numbers; run `causalrec reproduce` again")
    if document.get("smoke") or not study.columns:
        what = "a smoke test" if document.get("smoke") else "a study without a reference row"
        raise RequestError(f"{folder}: is {what}, which has no gains; leave it out")
    return study
