"""Everything that decides what the arrays of a data set hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from causalrec.data.tabular.entities import EntityFile
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.roles import Roles
from causalrec.data.tabular.social_edges import EdgeFile

Repeats = Literal["allowed", "error", "keep_last"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to read, and what to make of it.

    Attributes:
        interactions: The files of the interactions, one after another.
        roles: Which of their columns plays which role.
        randomised: A file of random rows, with the same columns; None without one.
        users: The table of users, None without one.
        items: The table of items, None without one.
        edges: The table of edges between users, None without one.
        repeats: Whether a (user, item) pair may occur twice, in the logged rows and in the random ones; `keep_last`
            takes the latest by time, where there are times, else the last of the file.
        arms: How many exposures there are beside 0, None where any may occur.
        k_core: Fewest logged rows of a user and of an item; those with fewer are left out, until none is.
    """

    interactions: Sequence[RawFile]
    roles: Roles
    randomised: RawFile | None = None
    users: EntityFile | None = None
    items: EntityFile | None = None
    edges: EdgeFile | None = None
    repeats: Repeats = "error"
    arms: int | None = None
    k_core: tuple[int, int] = (0, 0)

    @property
    def files(self) -> list[RawFile]:
        """Every raw file."""
        tables = [table.raw for table in (self.users, self.items, self.edges) if table is not None]
        random = [self.randomised] if self.randomised else []
        return [*self.interactions, *random, *(raw for raw in tables if raw is not None)]
