"""One line of a certificate: what was judged, how it came out, and the smallest bias that would have been seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["passes", "FAILS", "not claimed", "not judged"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was judged of an objective.

    Attributes:
        name: of the check.
        result: how it came out.
        measured: in `unit`; None where nothing was measured.
        allowed: the most that passes.
        unit: of both.
        smallest: the smallest bias that would have failed, as a share of the judged quantity's size; None where none is
            looked for.
        detail: what was judged, or what is wrong.
        only_stacked: it matters only where fits train stacked.
    """

    name: str
    result: Result
    measured: float | None = None
    allowed: float | None = None
    unit: str = ""
    smallest: float | None = None
    detail: str = ""
    only_stacked: bool = False

    @property
    def failed(self) -> bool:
        return self.result == "FAILS"

    @property
    def sentence(self) -> str:
        """What failed and by how much."""
        by = "" if self.measured is None else f": {self.measured:.3g} {self.unit} where {self.allowed:g} is allowed"
        return f"{self.name}{by}" + (f" ({self.detail})" if self.detail else "")


def judge(
    name: str, measured: float, allowed: float, unit: str, *, smallest: float | None = None, detail: str = ""
) -> Check:
    """Return a check that passes where the measured is at most the allowed (a NaN is not).

    Args:
        name: of the check.
        measured: in `unit`.
        allowed: the most that passes.
        unit: of both.
        smallest: as in `Check`.
        detail: as in `Check`.
    """
    passes = measured <= allowed
    return Check(
        name=name,
        result="passes" if passes else "FAILS",
        measured=measured,
        allowed=allowed,
        unit=unit,
        smallest=smallest if passes else None,
        detail=detail,
    )
