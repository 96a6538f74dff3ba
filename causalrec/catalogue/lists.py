"""Lists of items, one for each of some users."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.types import Floats, Ints

NO_ITEM = -1


@dataclass(frozen=True, eq=False)
class Candidates:
    """The best items of some users, before they are ordered anew.

    Attributes:
        user: int64[B].
        item: int64[B,N], by falling score; -1 where a user has fewer candidates.
        score: float32[B,N], -inf where there is no item.
    """

    user: Ints
    item: Ints
    score: Floats


@dataclass(frozen=True, eq=False)
class Lists:
    """What some users are shown, the first first.

    Attributes:
        user: int64[B], none of whom comes twice.
        item: int64[B,k]; -1 where a list is shorter, at its end.
        gain: float32[B,k], what each position is worth: the outcome, where it is seen or true; where test rows are a
            sample, outcome over the probability of being in it, 0 where the row is not, so that its mean is unbiased;
            0 where there is no item. None where nothing tells.
        facts: of the catalogue.
    """

    user: Ints
    item: Ints
    gain: Floats | None
    facts: CatalogueFacts
