"""The rows an effect is judged on: those whose true effect a simulation knows, and rows whose outcome was seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from causalrec.data.log import CausalDataset, PotentialOutcomes
from causalrec.data.splits import Splits
from causalrec.evaluation.slices import Slice
from causalrec.propensity.base import AbstractPropensity
from causalrec.types import Floats, Ints


def effect_slices(
    dataset: CausalDataset, splits: Splits, propensity: AbstractPropensity, adjusts: bool = True
) -> list[Slice]:
    """Return, for each arm (`NAME_arm2` and so on beyond the first), slices of kind `effect` where the truth is known,
    and one of kind `uplift`: test rows under that arm or none.

    Units without items are known `in_sample` (training and validation rows, whose outcome a method has seen) and
    `out_of_sample` (test rows); of users and items, `all_pairs` are. Where columns do not make treated and untreated
    rows alike (`adjusts` False), only randomised rows are an `uplift` slice, so that there may be no slice at all.
    """
    found: list[Slice] = []
    for arm in range(1, len(dataset.card.arms) + 1):
        if dataset.potential is not None:
            found += [_known(dataset.potential, arm, *where) for where in _places(dataset, splits)]
        if adjusts or splits.test_is_randomised:
            found.append(_seen(dataset, splits, propensity, arm))
    return found


def _places(dataset: CausalDataset, splits: Splits) -> Iterator[tuple[str, Ints, Ints, int]]:
    log = dataset.logged
    if log.num_items > 1:
        every = np.arange(log.num_pairs)
        yield "all_pairs", every // log.num_items, every % log.num_items, log.num_users
        return
    inside = splits.train.joined(splits.validation)
    for name, part in (("in_sample", inside), ("out_of_sample", splits.test)):
        yield name, part.users, part.item, log.num_users


def _known(potential: PotentialOutcomes, arm: int, name: str, user: Ints, item: Ints, num_users: int) -> Slice:
    means = potential.means(user, item)
    drawn = None if potential.drawn is None else _difference(potential.drawn(user, item), arm)
    return Slice(named(name, arm), "effect", user, item, _difference(means, arm), num_users, arm=arm, drawn=drawn)


def _seen(dataset: CausalDataset, splits: Splits, propensity: AbstractPropensity, arm: int) -> Slice:
    rows = splits.test.take(np.isin(splits.test.treatment, (0, arm)))
    chances = propensity.chances(rows, len(dataset.card.arms))
    name = dataset.card.unbiased if splits.test_is_randomised else "logged"
    return Slice(
        named(name, arm),
        "uplift",
        rows.users,
        rows.item,
        rows.outcome,
        rows.num_users,
        rows.time,
        arm=arm,
        treatment=(rows.treatment == arm).astype(np.int64),
        propensity=(chances[:, arm] / (chances[:, 0] + chances[:, arm])).astype(np.float32),
    )


def named(name: str, arm: int) -> str:
    """Return the name of a slice that judges this arm."""
    return name if arm == 1 else f"{name}_arm{arm}"


def _difference(by_arm: Floats, arm: int) -> Floats:
    return by_arm[..., arm] - by_arm[..., 0]
