"""What a paper printed: numbers with their digits, the rows and columns we cannot run, and where they stand."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from causalrec.types import Count


class StrictModel(BaseModel):
    """A section of a study's YAML: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_printed(value: Any) -> str:
    """Refuse what is no printed number; an unquoted one has lost its digits (`.710` reads as 0.71)."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a quoted number; quote it, so that its printed digits are kept")
    if "_" in value or value != value.strip():
        raise ValueError(f"{value!r} is not a number as one prints it")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    return value


PrintedNumber = Annotated[str, BeforeValidator(_check_printed)]


class PaperSource(StrictModel):
    """Where the numbers stand.

    Attributes:
        paper: authors and venue.
        table: of the paper.
        same_test: the study's test rows are those of the paper.
    """

    paper: str
    table: str
    same_test: bool = False


class Published(StrictModel):
    """One printed cell.

    Attributes:
        row: name of its row.
        column: name of its column.
        value: number as printed, quoted to keep its digits.
        sd: standard deviation over runs, as printed; None where there is none.
        se: standard error of the mean over runs, as printed, in the place of `sd`; it needs `n`.
        n: runs behind the number; None where the paper does not say.
        note: footnote on this cell.
    """

    row: str
    column: str
    value: PrintedNumber
    sd: PrintedNumber | None = None
    se: PrintedNumber | None = None
    n: Count | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _check_deviation(self) -> Published:
        if self.se is not None and (self.sd is not None or self.n is None):
            raise ValueError("se: give n beside it, and no sd; a standard error tells the deviation by sd = se sqrt(n)")
        if min(float(self.sd or 0), float(self.se or 0)) < 0:
            raise ValueError("sd, se: below 0; no deviation is")
        return self

    @property
    def text(self) -> str:
        """The cell as printed."""
        printed = self.sd or self.se
        return self.value + ("" if printed is None else f" ± {printed}{' (SE)' if self.se else ''}")

    @property
    def deviation(self) -> float | None:
        """The standard deviation over runs; half a printed digit where it is printed as 0, None where it is not."""
        printed = self.sd or self.se
        if printed is None:
            return None
        read = float(printed) or min(half_digit(printed), half_digit(self.value))
        return read * (self.n or 1) ** 0.5 if self.se else read


class Missing(StrictModel):
    """A row or a column that is published but not run here, and why."""

    reason: str
    row: str | None = None
    column: str | None = None

    @model_validator(mode="after")
    def _check_names(self) -> Missing:
        if (self.row is None) == (self.column is None):
            raise ValueError("name either a row or a column")
        return self


class Tolerance(StrictModel):
    """Obtained and published agree within `factor` standard errors of their difference and half a printed digit."""

    factor: Annotated[float, Field(gt=0)] = 3.0


class Compare(StrictModel):
    """Every other row, baselines too, is compared `to` this row in these `columns`."""

    to: str
    columns: Annotated[list[str], Field(min_length=1)]


def half_digit(printed: str) -> float:
    """Return half a unit of the last printed digit.

    >>> half_digit(".703"), half_digit("30.76"), half_digit("2.150e-4")
    (0.0005, 0.005, 5e-08)
    """
    exponent = Decimal(printed).as_tuple().exponent
    assert isinstance(exponent, int)
    return float(Decimal(5).scaleb(exponent - 1))
