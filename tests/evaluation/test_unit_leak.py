"""Where treatment was drawn by user, a model of users finds effects that are not there unless users are held out."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import torch

from causalrec.data.audit import audit
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.auto import Auto
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.random import Random
from causalrec.metrics.rank_weighted_effect import rank_weighted_effect
from causalrec.types import Floats
from tests.data.test_units_of_assignment import CARD

USERS, ROWS, DRAWS = 300, 10, 8


def draw_users(seed: int) -> CausalDataset:
    """Rows of users who differ, half of them treated in all their rows, with an effect of 1 on everybody."""
    rng, user = np.random.default_rng(seed), np.repeat(np.arange(USERS), ROWS)
    treatment = rng.integers(2, size=USERS)[user]
    outcome = rng.normal(size=USERS)[user] + treatment + rng.normal(size=len(user))
    item, outcomes = np.tile(np.arange(ROWS), USERS), outcome.astype(np.float32)
    log = InteractionLog(item, treatment, outcomes, ROWS, user, USERS)
    tables = (pl.DataFrame({"id": range(count)}) for count in (USERS, ROWS))
    return CausalDataset(dataclasses.replace(CARD, columns=()), log, *tables)


def effects_by_user(train: InteractionLog, test: InteractionLog) -> Floats:
    """What trees on user ids give: in each arm the mean of the user's rows, else that of all, and noise by user."""
    noise = np.random.default_rng(0).normal(scale=1e-3, size=USERS)
    means = []
    for arm in (0, 1):
        rows = train.treatment == arm
        count, total = (np.bincount(train.users[rows], weights, USERS) for weights in (None, train.outcome[rows]))
        means.append(np.where(count > 0, total / np.maximum(count, 1), train.outcome[rows].mean()))
    return (means[1] - means[0] + noise)[test.users].astype(np.float32)


def autoc_of(split: AbstractSplit, seed: int) -> float:
    splits = split(draw_users(seed))
    test, effects = splits.test, effects_by_user(splits.train, splits.test)
    columns = (torch.from_numpy(values) for values in (effects, test.outcome, test.treatment))
    return float(rank_weighted_effect(*columns, torch.full((len(test),), 0.5)))


def test_a_constant_effect_has_no_ranking_unless_users_stand_on_both_sides() -> None:
    torn = [autoc_of(Random(), seed) for seed in range(DRAWS)]
    apart = [autoc_of(Auto(), seed) for seed in range(DRAWS)]
    error = np.std(apart, ddof=1) / np.sqrt(DRAWS)
    assert min(torn) > 0.5, "a ranking where there is none"
    assert abs(np.mean(apart)) < 3 * error < 1 and min(apart) < 0 < max(apart)


def test_the_audit_says_which_of_the_two_it_is() -> None:
    data = draw_users(0)
    lines = {type(split).__name__: audit(data, split(data), split).warnings for split in (Random(), Auto())}
    assert lines["Auto"] == () and "300 of 300 test rows (100.0%)" in lines["Random"][0]
