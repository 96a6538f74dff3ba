"""Rows whose true effects a simulation knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.log import RowValues
from causalrec.data.truth import PotentialOutcomes
from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource, arm_name
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class EffectTruthSlice(AbstractSlice):
    """Of each arm, the true effects: `in_sample` and `out_of_sample` of units without items, `all_pairs` of users and
    items; `NAME_arm2` and so on beyond the first arm.

    `in_sample`: training and validation rows, whose outcome a method has seen; `out_of_sample`: test rows.
    """

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        potential = source.dataset.potential
        if potential is None:
            return
        for arm in range(1, len(source.dataset.card.arms) + 1):
            for name, user, item, columns in _pairs(source):
                truth = _truth(potential, arm, name, user, item, source.dataset.logged.num_users)
                yield replace(truth, columns=columns)


def _pairs(source: SliceSource) -> Iterator[tuple[str, Ints, Ints, Mapping[str, RowValues]]]:
    log, splits = source.dataset.logged, source.splits
    if log.num_items > 1:
        pairs = np.arange(log.num_pairs)
        yield "all_pairs", pairs // log.num_items, pairs % log.num_items, {}
        return
    inside = splits.train.concatenate(splits.validation)
    for name, rows in (("in_sample", inside), ("out_of_sample", splits.test)):
        yield name, rows.users, rows.item, rows.columns


def _truth(potential: PotentialOutcomes, arm: int, name: str, user: Ints, item: Ints, num_users: int) -> SliceData:
    return SliceData(
        name=arm_name(name, arm),
        kind="effect",
        user=user,
        item=item,
        label=_difference(potential.means(user, item), arm),
        num_users=num_users,
        arm=arm,
        drawn_effect=None if potential.realised is None else _difference(potential.realised(user, item), arm),
    )


def _difference(by_arm: Floats, arm: int) -> Floats:
    return by_arm[..., arm] - by_arm[..., 0]
