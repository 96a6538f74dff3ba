"""The test holds users of another kind than those trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.data.split.group_shift import AbstractGroupShift
from causalrec.types import Entity


@dataclass(frozen=True, kw_only=True)
class UserShift(AbstractGroupShift):
    """Rows of a group of users (a band of ages, say) are the test, others are trained on.

    Attributes:
        column: of users, a category, a list of levels or a number.
        levels: the group's, of a category or a list.
        at_least: the group has this number or more.
        below: the group has less than this.
        validation: share of the rows outside the group.
    """

    entity: ClassVar[Entity] = "user"

    @property
    def name(self) -> str:
        return "user_shift"
