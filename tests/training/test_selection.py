"""Candidates are tried alike, on folds or on a held-out part, and the best on biased rows is refitted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampling import Sampler
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, RoleNetwork
from causalrec.training.optimizer import AdamW
from causalrec.training.selection import (
    Chosen,
    Search,
    chosen_together,
    cross_validated,
    each_alone,
    fold_parts,
    held_out,
)
from causalrec.training.task import Task
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME

USERS, ITEMS = 20, 15
NO_NUMBERS = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32), ())


def log_of(rows: int, seed: int = 0) -> InteractionLog:
    """Items differ in quality, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    outcome = (rng.random(rows) < np.linspace(0.05, 0.95, ITEMS)[codes % ITEMS]).astype(np.float32)
    propensity = np.full(rows, 0.5, np.float32)
    ones = np.ones(rows, np.int64)
    return InteractionLog(codes % ITEMS, ones, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)


def task(folder: Path, train: InteractionLog, **changes: Any) -> Task:
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    parts: dict[str, Any] = {
        "model": lambda: CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=2), Dot(0))}, "logit"),
        "objective": Naive(),
        "optimizer": decayed(0.1),
        "trainer": TrainerSettings(progress=False, max_epochs=8, patience=2),
        "sampler": Sampler(batch_size=64),
        "features": NO_NUMBERS,
        "train": train,
        "validation": train,
        "seed": 0,
        "criterion": "mnar_naive",
        "clip": 0.01,
        "judged": "logged",
        "chance": None,
        "logger": None,
        "folder": folder,
        "label": "test",
        "prefix": "",
    }
    return Task(**{**parts, **changes})


def chosen(search: Search) -> Chosen:
    (found,) = chosen_together([search])
    assert isinstance(found, Chosen), found
    return found


def decayed(decay: float) -> AdamW:
    return AdamW(lr=0.05, weight_decay=decay)


def test_folds_partition_the_rows_and_scale_propensities_to_their_share() -> None:
    whole = log_of(103)
    parts = list(fold_parts(whole, 4))
    assert sorted(code for _, held in parts for code in held.codes) == sorted(whole.codes)
    for train, held in parts:
        assert not np.isin(train.codes, held.codes).any() and len(train) + len(held) == 103
        assert train.propensity is not None and held.propensity is not None
        np.testing.assert_allclose(train.propensity, 0.5 * len(train) / 103, rtol=1e-5)
        np.testing.assert_allclose(held.propensity, 0.5 * len(held) / 103, rtol=1e-5)


def test_cross_validation_tries_every_candidate_on_every_fold_then_refits_on_all_rows(tmp_path: Path) -> None:
    seen: list[int] = []

    class Counting(Sampler):
        def blocks(self, log: InteractionLog, *rest: Any) -> Any:
            seen.append(len(log))
            return super().blocks(log, *rest)

    found = chosen(
        cross_validated(task(tmp_path, log_of(120), sampler=Counting(batch_size=64)), decayed, [0.01, 30.0], 3)
    )
    assert [c.weight_decay for c in found.tried] == [0.01, 30.0]
    assert found.weight_decay == min(found.tried, key=lambda c: c.criterion).weight_decay == 0.01
    refits = [size for size in seen if size == 120]
    best = next(c for c in found.tried if c.weight_decay == found.weight_decay)
    assert len(refits) == round(best.best_epoch) + 1, "the refit takes the mean best number of epochs"
    assert set(seen) == {80, 120} and math.isnan(found.fit.criterion)


def test_the_held_out_choice_keeps_the_fit_of_the_lowest_criterion(tmp_path: Path) -> None:
    judged = log_of(60, seed=1)
    found = chosen(held_out(task(tmp_path, log_of(150), validation=judged), decayed, [0.01, 30.0]))
    assert found.fit.criterion == min(c.criterion for c in found.tried)
    assert {c.weight_decay for c in found.tried} == {0.01, 30.0}


def test_the_same_search_gives_the_same_weights(tmp_path: Path) -> None:
    fits = [
        chosen(cross_validated(task(tmp_path / str(k), log_of(120)), decayed, [0.1], 2)).fit.state for k in range(2)
    ]
    assert all(bool((fits[0][name] == fits[1][name]).all()) for name in fits[0])


def test_searches_in_step_choose_what_each_would_alone_and_one_failure_stops_no_other(tmp_path: Path) -> None:
    def broken() -> Any:
        yield [task(tmp_path / "c", log_of(120))]
        raise ValueError("no choice")

    def hopeless() -> Any:
        raise RuntimeError("no such model")

    asked: list[int] = []

    def fit(tasks: list[Task]) -> list[Any]:
        asked.append(len(tasks))
        return each_alone(tasks)

    first = held_out(task(tmp_path / "a", log_of(150)), decayed, [0.01, 30.0])
    second = cross_validated(task(tmp_path / "b", log_of(120)), decayed, [0.1], 2)
    fourth = held_out(task(tmp_path / "e", log_of(150), model=hopeless), decayed, [0.1])
    one, two, three, four = chosen_together([first, second, broken(), fourth], fit)
    assert asked == [2 + 2 + 1 + 1, 1], "what all wait for is fitted at once"
    assert isinstance(one, Chosen) and isinstance(two, Chosen)
    assert isinstance(three, ValueError) and isinstance(four, RuntimeError)
    alone = chosen(held_out(task(tmp_path / "d", log_of(150)), decayed, [0.01, 30.0]))
    assert one.tried == alone.tried and one.weight_decay == alone.weight_decay


@pytest.mark.parametrize("folds", [2, 5])
def test_the_number_of_folds_is_the_number_of_parts(folds: int) -> None:
    assert len(list(fold_parts(log_of(50), folds))) == folds
