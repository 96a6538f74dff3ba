"""Rows whose true effects a simulation knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.split.splits import Splits
from causalrec.data.truth import PotentialOutcomes
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData, SliceData, SliceSource, arm_name
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class EffectTruthSlice(AbstractSlice):
    """Of each arm, the true effects: `in_sample` and `out_of_sample` of units without items, `all_pairs` of users and
    items; `NAME_arm2` and so on beyond the first arm.

    `in_sample`: training and validation rows, whose outcome a method has seen; `out_of_sample`: test rows.
    """

    def select(self, source: SliceSource) -> Iterator[AnySliceData]:
        potential = source.dataset.potential
        if potential is None:
            return
        log = source.dataset.logged
        for arm in range(1, len(source.dataset.card.arms) + 1):
            if log.num_items > 1:
                yield _of_all_pairs(potential, arm, log)
                continue
            for name, user, item, columns in _pairs(source.splits):
                yield replace(_truth(potential, arm, name, user, item, log.num_users), columns=columns)


def _pairs(splits: Splits) -> Iterator[tuple[str, Ints, Ints, Mapping[str, RowValues]]]:
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


def _of_all_pairs(potential: PotentialOutcomes, arm: int, log: InteractionLog) -> CatalogueData:
    realised = potential.realised
    return CatalogueData(
        name=arm_name("all_pairs", arm),
        kind="effect",
        users=np.arange(max(log.num_users, 1)),
        num_users=log.num_users,
        num_items=log.num_items,
        arm=arm,
        truth=lambda user, item: _difference(potential.means(user, item), arm),
        drawn_truth=None if realised is None else lambda user, item: _difference(realised(user, item), arm),
    )


def _difference(by_arm: Floats, arm: int) -> Floats:
    return by_arm[..., arm] - by_arm[..., 0]
