"""The probability of a pair to be in the test, given that it is a candidate: by hand, and by counting over draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.few_shot import FewShot
from causalrec.data.split.random import Random
from causalrec.data.split.rules import Duplicates
from causalrec.data.split.temporal import Temporal
from causalrec.errors import RequestError
from causalrec.evaluation.inclusion import eligible_items, inclusion_probabilities, met_codes
from causalrec.propensity.popularity import PopularityPropensity
from causalrec.propensity.relative_popularity import RelativePopularity
from causalrec.types import Doubles, Floats, Ints
from tests.evaluation.slice_source import Source, without_columns

USERS, ITEMS = 40, 25


def log_of(codes: Ints, propensity: Floats | None = None, **columns: Any) -> InteractionLog:
    return InteractionLog(
        item=codes % ITEMS,
        treatment=np.ones(len(codes), np.int64),
        outcome=(codes % 2).astype(np.float32),
        num_items=ITEMS,
        user=codes // ITEMS,
        num_users=USERS,
        propensity=propensity,
        **columns,
    )


def dataset_of(logged: InteractionLog, randomised: InteractionLog | None = None, **card: Any) -> CausalDataset:
    facts = {"feedback": "explicit", "unseen": "keep", "randomised": None if randomised is None else "uniform", **card}
    tables = [pl.DataFrame({"id": np.arange(count)}) for count in (USERS, ITEMS)]
    of_card = DatasetCard("toy", "test", "none", (), {}, (), "click", **facts)
    return CausalDataset(of_card, logged, tables[0], tables[1], randomised)


def draw_exposure(rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Codes of logged pairs, and the probability with which each was: from .1 to .9 by item."""
    chance = np.tile(np.linspace(0.1, 0.9, ITEMS, dtype=np.float32), USERS)
    codes = np.flatnonzero(rng.random(USERS * ITEMS) < chance)
    return codes, chance[codes]


def weights_of(source: Source) -> Doubles:
    probability = inclusion_probabilities(source)
    return 1 / probability[~np.isnan(probability)]


def candidates_of(source: Source) -> int:
    test = source.splits.test
    met = met_codes(source.splits)
    return int(len(np.unique(test.users)) * ITEMS - np.isin(met // ITEMS, test.users).sum())


def test_a_logged_row_is_likelier_in_the_test_once_it_is_not_in_training() -> None:
    logged = log_of(np.arange(10), np.full(10, 0.5, np.float32))
    source = Source(dataset_of(logged), Random(validation=0.2, test=0.2)(dataset_of(logged)))
    # e = 1/2, of which 2 of 10 rows are tested and 8 are met: .5 * .2 / (1 - .5 * .8)
    assert inclusion_probabilities(source) == pytest.approx([1 / 6, 1 / 6])


def random_split(seed: int) -> AbstractSplit:
    return Random(test=0.3, seed=seed)


def few_shot_split(seed: int) -> AbstractSplit:
    return FewShot(base=random_split(seed), train_size=100)


@pytest.mark.parametrize("split_of", [random_split, few_shot_split])
def test_the_weights_of_a_logged_test_count_its_candidates(split_of: Callable[[int], AbstractSplit]) -> None:
    error, unconverted = [], []
    for seed in range(200):
        codes, propensity = draw_exposure(np.random.default_rng(seed))
        dataset = dataset_of(log_of(codes, propensity))
        source = Source(dataset, split_of(seed)(dataset))
        assert source.splits.test.propensity is not None
        error.append(weights_of(source).sum() - candidates_of(source))
        unconverted.append((1 / source.splits.test.propensity).sum() - candidates_of(source))
    assert abs(np.mean(error)) < 3 * np.std(error) / np.sqrt(len(error))
    assert np.mean(unconverted) > 10 * np.std(unconverted) / np.sqrt(len(error))


def test_a_fitted_propensity_is_of_the_rows_it_was_fitted_on() -> None:
    codes, _ = draw_exposure(np.random.default_rng(0))
    dataset, propensity = dataset_of(log_of(codes)), PopularityPropensity()
    splits = Random(validation=0.2, test=0.3)(dataset)
    propensity.fit(splits.train, without_columns())
    test, rows = splits.test, len(codes)
    e = np.minimum(propensity.predict(test).astype(np.float64) * rows / len(splits.train), 1)
    met = (len(splits.train) + len(splits.validation)) / rows
    expected = e * (len(test) / rows) / (1 - e * met)
    assert inclusion_probabilities(Source(dataset, splits, propensity)) == pytest.approx(expected)


def randomised_source(rule: Duplicates, seed: int = 0, **columns: Any) -> Source:
    """Five items of each user, drawn uniformly, beside a log of a quarter of all pairs."""
    rng = np.random.default_rng(seed)
    logged = np.sort(rng.choice(USERS * ITEMS, 250, replace=False))
    tested = np.concatenate([user * ITEMS + rng.choice(ITEMS, 5, replace=False) for user in range(USERS)])
    dataset = dataset_of(log_of(logged), log_of(tested, **columns))
    return Source(dataset, Random(duplicates=rule)(dataset))


@pytest.mark.parametrize("rule", ["drop_train", "drop_test", "keep"])
def test_a_randomised_test_stands_for_its_users_items_that_were_not_logged(rule: Duplicates) -> None:
    source = randomised_source(rule)
    test, logged = source.splits.test, source.dataset.logged.codes
    probability, was_logged = inclusion_probabilities(source), np.isin(test.codes, logged)
    unlogged_items = ITEMS - np.bincount(logged // ITEMS, minlength=USERS)
    rows = np.bincount(test.users[~was_logged], minlength=USERS)
    assert probability[~was_logged] == pytest.approx((rows / unlogged_items)[test.users[~was_logged]])
    if rule == "drop_train":  # it is a candidate for being in the test alone
        assert probability[was_logged] == pytest.approx(np.ones(was_logged.sum()))
    else:
        assert np.isnan(probability[was_logged]).all() and was_logged.any() == (rule == "keep")
    assert weights_of(source).sum() == pytest.approx(candidates_of(source))


@pytest.mark.parametrize("rule", ["drop_train", "keep"])
@pytest.mark.parametrize("chance", [None, 0.2])
def test_few_training_rows_leave_logged_candidates_that_the_weights_count(
    rule: Duplicates, chance: float | None
) -> None:
    """Logged pairs that are neither trained on nor tested are candidates, and most are where 60 rows train."""
    error = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tested = np.concatenate([user * ITEMS + rng.choice(ITEMS, 5, replace=False) for user in range(USERS)])
        logged = np.flatnonzero(rng.random(USERS * ITEMS) < np.tile(np.linspace(0.1, 0.6, ITEMS), USERS))
        propensity = None if chance is None else np.full(len(tested), chance, np.float32)
        dataset = dataset_of(log_of(logged), log_of(tested, propensity))
        source = Source(dataset, FewShot(base=Random(duplicates=rule, seed=seed), train_size=60)(dataset))
        probability, codes = inclusion_probabilities(source), source.splits.test.codes
        judged = ~np.isnan(probability) & np.isin(codes, logged)
        candidates = len(np.setdiff1d(logged, met_codes(source.splits)))
        error.append((1 / probability[judged]).sum() / candidates - 1)
    assert abs(np.mean(error)) < 0.05 and abs(np.mean(error)) < 3.5 * np.std(error) / np.sqrt(len(error))


def test_logged_candidates_that_left_the_test_are_refused() -> None:
    dataset = randomised_source("keep").dataset
    splits = FewShot(base=Random(duplicates="drop_test"), train_size=60)(dataset)
    assert "set duplicates=drop_train" in refusal(Source(dataset, splits))


def test_a_randomised_test_has_its_logged_probability_less_what_was_set_aside() -> None:
    source = randomised_source("keep", propensity=np.full(5 * USERS, 0.2, np.float32))
    probability = inclusion_probabilities(source)
    assert np.nanmin(probability) == np.nanmax(probability) == pytest.approx(0.2)
    smaller = Source(source.dataset, Random(duplicates="keep", propensity_sample=0.25)(source.dataset))
    assert np.nanmax(inclusion_probabilities(smaller)) == pytest.approx(0.15)


def test_a_block_observed_whole_needs_no_weights_and_holds_its_items_alone() -> None:
    block = np.array([0, 1, ITEMS, ITEMS + 1])
    dataset = dataset_of(log_of(np.arange(2 * ITEMS, 4 * ITEMS)), log_of(block), unbiased="fully_observed")
    source = Source(dataset, Random()(dataset))
    assert inclusion_probabilities(source).tolist() == [1.0] * 4
    assert np.flatnonzero(eligible_items(source)).tolist() == [0, 1]


def test_items_without_a_training_row_are_out_of_reach_where_such_test_rows_were_dropped() -> None:
    codes, propensity = draw_exposure(np.random.default_rng(0))
    rare = codes % ITEMS > 0
    codes, propensity = np.append(codes[rare], [0, 5 * ITEMS]), np.append(propensity[rare], [0.1, 0.1])
    dataset = dataset_of(log_of(codes, propensity.astype(np.float32)), unseen="drop")
    sources = [Source(dataset, Random(test=0.5, seed=seed)(dataset)) for seed in range(20)]
    (source, *_) = [each for each in sources if each.splits.unseen and not (each.splits.train.item == 0).any()]
    assert np.flatnonzero(~eligible_items(source)).tolist() == [0]
    every_row = Random(test=0.5, unseen="keep")(dataset)
    assert eligible_items(Source(dataset, every_row)).all()


def refusal(source: Source) -> str:
    with pytest.raises(RequestError) as refused:
        inclusion_probabilities(source)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_test_that_is_no_sample_is_refused() -> None:
    codes, propensity = draw_exposure(np.random.default_rng(0))
    logged = log_of(codes, propensity, time=np.arange(len(codes)))
    by_time = Temporal()(dataset_of(logged))
    assert "set split=random" in refusal(Source(dataset_of(logged), by_time))
    splits = Random()(dataset_of(logged))
    assert "slice=[full_ranking]" in refusal(Source(dataset_of(logged, feedback="positive_only"), splits))
    assert "treatments" in refusal(Source(dataset_of(logged, arms=("shown",)), splits))
    assert "rounds" in refusal(Source(dataset_of(logged, rounds=True), splits))
    userless = dataclasses.replace(splits, test=dataclasses.replace(splits.test, user=None, num_users=0))
    assert "no users" in refusal(Source(dataset_of(logged), userless))
    twice = dataclasses.replace(splits, test=splits.test.concatenate(splits.test))
    assert "repeat a pair" in refusal(Source(dataset_of(logged), twice))


def test_a_propensity_that_is_none_of_being_logged_is_refused() -> None:
    codes, _ = draw_exposure(np.random.default_rng(0))
    dataset, propensity = dataset_of(log_of(codes)), RelativePopularity()
    assert "relative exposure" in refusal(Source(dataset, Random()(dataset), propensity))
