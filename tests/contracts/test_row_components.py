"""Every split, sampler and augmentation below conf/ keeps its contract, whoever adds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.config.component import validate_component
from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.data.audit import audit
from causalrec.data.augmentation.base import AbstractAugmentation, augment_rows
from causalrec.data.card import Column
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractSampler
from causalrec.data.split.base import AbstractSplit
from causalrec.errors import RequestError
from causalrec.running.prepare import plan_run
from tests.contracts.test_components import COMPONENTS
from tests.data.test_split import ITEMS, USERS, codes, dataset, log_of

CONTRACTS = {"split": AbstractSplit, "sampler": AbstractSampler, "augmentation": AbstractAugmentation}
NEEDED = {"feature_shift": {"column": "year", "below": 1985}, "user_shift": {"column": "age", "at_least": 25}}


def built(group: str) -> list[Any]:
    nodes = [(label, node) for room, label, node in COMPONENTS if room == group]
    full = [(label, {**node, **NEEDED.get(label, {})}) for label, node in nodes]
    return [pytest.param(validate_component(group, node, CONTRACTS[group]).build(), id=label) for label, node in full]


def timed_dataset(randomised: bool) -> CausalDataset:
    rng = np.random.default_rng(0)
    logged = log_of(codes(420, 1), time=rng.permutation(420), propensity=np.full(420, 0.8, np.float32))
    data = dataset(logged, log_of(codes(60, 2)) if randomised else None, unseen="keep")
    card = replace(
        data.card, columns=(*data.card.columns, Column("age", "user", "numeric"), Column("year", "item", "numeric"))
    )
    ages, years = (pl.Series(name, np.arange(n) + low) for name, n, low in (("age", USERS, 15), ("year", ITEMS, 1980)))
    tables = {"user_table": data.user_table.with_columns(ages), "item_table": data.item_table.with_columns(years)}
    return replace(data, card=card, **tables)


def with_titles(data: CausalDataset) -> CausalDataset:
    """The data set with words of its items, which some augmentations read."""
    titles = pl.Series("title", [f"kind {k % 5}" for k in range(len(data.item_table))])
    card = replace(data.card, columns=(*data.card.columns, Column("title", "item", "text")))
    return replace(data, card=card, item_table=data.item_table.with_columns(titles))


@pytest.mark.parametrize("split", built("split"))
@pytest.mark.parametrize("randomised", [False, True])
def test_a_split_gives_disjoint_logged_rows_and_draws_them_by_its_settings_alone(
    split: AbstractSplit, randomised: bool
) -> None:
    data = timed_dataset(randomised)
    splits = split(data)
    logs = [splits.train, splits.validation, *([] if randomised else [splits.test])]
    rows = np.concatenate([log.codes for log in logs])
    assert len(np.unique(rows)) == len(rows) and np.isin(rows, data.logged.codes).all()
    assert split(data).hashes == splits.hashes and splits.test_is_randomised == randomised
    if randomised:
        assert data.randomised is not None and np.isin(splits.test.codes, data.randomised.codes).all()
    for log in logs:  # the sum of 1/p over a split estimates the same number of pairs
        assert log.propensity is not None
        whose = slice(None) if log.pool is None else log.pool.holds(data.logged.users, data.logged.item)
        np.testing.assert_allclose(log.propensity, 0.8 * len(log) / len(data.logged.item[whose]), rtol=1e-6)
    assert audit(data, splits, split).leaked_rows == 0
    reads_test = splits.context is not None and np.isin(splits.test.codes, splits.context.codes).any()
    assert bool(reads_test) <= split.history_reads_test
    assert split.resampled_by <= set(vars(split)), "names settings that it has"


@pytest.mark.parametrize("sampler", built("sampler"))
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sampler_meets_each_logged_row_once_and_follows_seed_and_epoch(
    sampler: AbstractSampler, weighted: bool
) -> None:
    weight = np.linspace(0.5, 1.5, 420).astype(np.float32) if weighted else None
    log = log_of(codes(420, 1), weight=weight, time=np.arange(420)[::-1])
    for space in sorted(sampler.spaces):
        batches = list(sampler.epoch(log, space, 3, 1))
        assert len(batches) == sampler.batches(log, space)
        rows = np.concatenate([batch.row for batch in batches])
        assert set(range(420)) <= set(rows.tolist())
        for batch in batches:
            assert batch.row.shape == batch.user.shape == batch.item.shape == batch.weight.shape
            assert batch.weight.dtype == np.float32 and (batch.weight >= 0).all()
            assert (batch.item < ITEMS).all() and (batch.user < USERS).all()
        again = np.concatenate([batch.row for batch in sampler.epoch(log, space, 3, 1)])
        other = np.concatenate([batch.row for batch in sampler.epoch(log, space, 3, 2)])
        assert rows.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("augmentation", built("augmentation"))
def test_an_augmentation_gives_rows_of_the_log_s_columns_by_the_seed_alone(augmentation: AbstractAugmentation) -> None:
    data = with_titles(timed_dataset(randomised=False))
    first, again = (augment_rows({"it": augmentation}, data.logged, data, 5) for _ in range(2))
    assert isinstance(first, InteractionLog) and first.codes.tolist() == again.codes.tolist()
    assert first.row_weights.tolist() == again.row_weights.tolist()
    assert first.codes.tolist() != data.logged.codes.tolist(), "it changes something"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["sampler=logged", "objective=dr_jl"],
            "objective=dr_jl: averages over all_pairs rows, but sampler=logged draws",
        ),
        (
            ["augmentation=[tail_oversampling]", "selection.folds=3"],
            "selection.folds=3: augmentation=tail_oversampling changes training rows alone, and folds validate on all",
        ),
        (["split=few_shot", "split.shots=3"], "split.shots: unknown key; known: base, history_rows,"),
        (["split=few_shot", "split.base.seeds=3"], "split.base.seeds: unknown key; did you mean 'seed'"),
        (["split=leave_last", "split.test=0.1"], "split.test: unknown key; did you mean 'test_rows'"),
        (["sampler.tries=3"], "sampler.tries: unknown key; "),
        (
            ["selection.criterion=mar_val"],
            "selection.criterion='mar_val': input should be 'ips', 'naive' or 'randomised'",
        ),
        (
            ["augmentation=[tail_oversampling]", "augmentation.tail_oversampling.factor=1"],
            "augmentation.tail_oversampling.factor=1: input should be greater than or equal to 2",
        ),
    ],
)
def test_rows_that_do_not_go_together_are_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_run(compose_all([normalise_overrides(overrides)])[0])
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
