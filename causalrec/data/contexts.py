"""What a policy may read of rounds before it acts: neither the action taken nor what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from causalrec.data.log import InteractionLog, RowValues
from causalrec.types import Bools, Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """The contexts of B rounds.

    Attributes:
        count: B.
        num_actions: A, ids run from 0.
        num_users: of the data set, 0 in a userless log.
        user: int64[B], absent in a userless log.
        position: int64[B], the slot that is filled, where rounds have one.
        time: int64[B], seconds, where rounds have one.
        columns: columns of the moment by name, [B] each.
    """

    count: int
    num_actions: int
    num_users: int = 0
    user: Ints | None = None
    position: Ints | None = None
    time: Ints | None = None
    columns: Mapping[str, RowValues] = field(default_factory=dict)

    @staticmethod
    def of_log(log: InteractionLog) -> Contexts:
        """Return the contexts of logged rounds, whose items are the actions."""
        return Contexts(
            count=len(log),
            num_actions=log.num_items,
            num_users=log.num_users,
            user=log.user,
            position=log.position,
            time=log.time,
            columns=log.columns,
        )

    def __len__(self) -> int:
        return self.count

    def take(self, rows: Ints | Bools) -> Contexts:
        """Return the contexts of those rounds (indices or a mask)."""
        user, position, time = (None if v is None else v[rows] for v in (self.user, self.position, self.time))
        count = int(rows.sum()) if rows.dtype.kind == "b" else len(rows)
        return Contexts(
            count=count,
            num_actions=self.num_actions,
            num_users=self.num_users,
            user=user,
            position=position,
            time=time,
            columns={name: values[rows] for name, values in self.columns.items()},
        )


ActionDistribution = Callable[[Contexts], Doubles]  # contexts -> float64[B,A], the probability of each action
ActionRewards = Callable[[Contexts], Doubles]  # contexts -> float64[B,A], the true mean reward of each action
