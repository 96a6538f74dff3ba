"""Few validation rows are replaced by folds, which keep units of assignment whole."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.data.assignment_unit import assignment_unit
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.sweeps.fit_counts import job_summary
from causalrec.training.folds import AUTO_FOLDS, FEW_ROWS, Folds, automatic_folds, fold_logs, settle_folds

USERS, ITEMS = 20, 15


def log_of(rows: int) -> InteractionLog:
    codes = np.random.default_rng(0).choice(USERS * ITEMS, rows, replace=False)
    treatment, outcome = np.ones(rows, np.int64), np.ones(rows, np.float32)
    return InteractionLog(
        codes % ITEMS,
        treatment,
        outcome,
        ITEMS,
        codes // ITEMS,
        USERS,
        propensity=np.full(rows, 0.5, np.float32),
    )


def with_arms(treatment: np.ndarray, user: np.ndarray | None, item: np.ndarray) -> InteractionLog:
    rows = len(treatment)
    users = 0 if user is None else int(user.max()) + 1
    outcome, propensity = np.zeros(rows, np.float32), np.full(rows, 0.5, np.float32)
    log = InteractionLog(item, treatment, outcome, int(item.max()) + 1, user, users, propensity=propensity)
    unit = assignment_unit(log)
    return log if unit is None else dataclasses.replace(log, unit=unit.ids, unit_level=unit.level)


def config_of(*overrides: str) -> ExperimentConfig:
    return validate_config(compose_config(normalise_overrides([*overrides])))


def folds_of(rows: int, *overrides: str) -> Folds:
    config = config_of(*overrides)
    assert config.components.learner is not None
    return config.components.learner.folds(config, rows)


def test_folds_partition_the_rows_and_scale_propensities_to_their_share() -> None:
    log = log_of(103)
    folds = list(fold_logs(log, 4))
    assert sorted(code for _, held in folds for code in held.codes) == sorted(log.codes)
    for train, held in folds:
        assert not np.isin(train.codes, held.codes).any() and len(train) + len(held) == 103
        assert train.propensity is not None and held.propensity is not None
        np.testing.assert_allclose(train.propensity, 0.5 * len(train) / 103, rtol=1e-5)
        np.testing.assert_allclose(held.propensity, 0.5 * len(held) / 103, rtol=1e-5)


@pytest.mark.parametrize("folds", [2, 5, 50])
def test_the_number_of_folds_is_the_number_of_parts(folds: int) -> None:
    assert [len(held) for _, held in fold_logs(log_of(50), folds)] == [50 // folds] * folds


def test_more_folds_than_rows_or_units_are_refused() -> None:
    with pytest.raises(RequestError, match=re.escape("selection.folds=51: there are 50 rows to fold; set selection.")):
        next(fold_logs(log_of(50), 51))
    user = np.repeat(np.arange(5), 10)
    by_user = with_arms(user % 2, user, np.tile(np.arange(10), 5))
    with pytest.raises(RequestError, match=r"selection\.folds=6: there are 5 units of assignment to fold"):
        next(fold_logs(by_user, 6))


def test_folds_of_effects_keep_units_of_assignment_whole() -> None:
    user = np.repeat(np.arange(12), 5)
    log = with_arms(np.random.default_rng(0).permutation(12)[user] % 2, user, np.tile(np.arange(5), 12))
    for train, held in fold_logs(log, 4):
        assert train.user is not None and held.user is not None
        assert not np.isin(held.user, train.user).any() and len(np.unique(held.user)) == 3
        assert held.propensity is not None and (held.propensity == 0.5).all(), "p(arm | row) is no share"


def test_units_are_dealt_arm_by_arm_and_automatic_folds_give_way_where_they_cannot() -> None:
    user, item = np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40)
    rare = with_arms((user < 4).astype(np.int64), user, item)  # 4 treated users of 40
    for train, held in fold_logs(rare, 4):
        assert train.treatment.sum() == 15 and held.treatment.sum() == 5
    automatic, requested = Folds(4, "auto"), Folds(4, "as asked for", requested=True)
    assert settle_folds(automatic, rare) == automatic
    single = with_arms((user < 1).astype(np.int64), user, item)
    settled = settle_folds(automatic, single)
    assert settled.count == 1 and settled.warning is not None and "every row of arm 1 is in one fold" in settled.warning
    with pytest.raises(RequestError, match=r"selection\.folds=4: every row of arm 1 is in one fold, without which"):
        settle_folds(requested, single)
    few = with_arms(np.repeat([0, 1, 1], 20), np.repeat([0, 1, 2], 20), np.tile(np.arange(20), 3))
    assert settle_folds(automatic, few) == Folds(
        1,
        "there are 3 units of assignment to fold",
        "chosen on one part and not by folds: there are 3 units of assignment to fold",
    )
    assert settle_folds(Folds(1), few) == Folds(1)


def test_a_criterion_of_randomised_rows_is_not_folded_nor_called_short_of_biased_ones() -> None:
    request = ["dataset=coat", "selection.criterion=randomised", "split.propensity_sample=0.1"]
    folds = folds_of(660, *request, "selection.randomised_budget=464")
    assert folds.count == 1 and folds.warning is None and folds.reason.startswith("selection.criterion=randomised")


def test_the_unit_is_the_coarsest_level_within_which_treatment_hardly_varies() -> None:
    rng = np.random.default_rng(1)
    user, item = np.repeat(np.arange(300), 10), np.tile(np.arange(10), 300)
    assert assignment_unit(with_arms(rng.integers(2, size=3000), user, item)) is None
    rare = (rng.random(3000) < 0.02).astype(np.int64)
    assert assignment_unit(with_arms(rare, user, item)) is None, "94 % of users are constant by the rarity alone"
    by_user = rng.integers(2, size=300)[user]
    for log, level, ids in (
        (with_arms(by_user, user, item), "user", user),
        (with_arms(item % 2, user, item), "item", item),
        (with_arms(item % 2, None, item), "item", item),
    ):
        unit = assignment_unit(log)
        assert unit is not None and unit.level == level
        np.testing.assert_array_equal(unit.ids, ids)
    one_row_each = np.arange(3000)
    assert assignment_unit(with_arms(by_user, one_row_each, np.arange(3000))) is None


def test_folds_are_automatic_below_2000_validation_rows() -> None:
    assert folds_of(FEW_ROWS - 1) == Folds(AUTO_FOLDS, "1999 validation rows, fewer than 2000")
    assert folds_of(FEW_ROWS) == Folds(1, "2000 validation rows, 2000 or more")
    assert folds_of(10, "selection.folds=3") == Folds(3, "as asked for", requested=True)


@pytest.mark.parametrize(
    ("overrides", "hindrance"),
    [
        (["encoder=bert", "encoder.user=[history]"], "encoder=bert reads histories"),
        (["encoder=hybrid", "encoder.user=[id,history]"], "encoder=hybrid reads histories"),
        (["encoder=bert4rec"], "encoder=bert4rec reads histories"),
        (["encoder=cross"], "encoder=cross reads histories"),
        (["split=cold_items"], "validation items have no training row"),
        (["split=few_shot"], "so many training rows are what is studied"),
        (["augmentation=[tail_oversampling]"], "augmentation=tail_oversampling changes training rows alone"),
    ],
)
def test_where_folds_cannot_stand_in_one_part_is_held_out_and_the_run_says_so(
    overrides: list[str], hindrance: str
) -> None:
    folds = folds_of(660, "dataset=ml100k", *overrides)
    assert folds.count == 1 and folds.reason.startswith(hindrance)
    assert (
        folds.warning is not None
        and folds.warning.startswith("chosen on 660 validation rows")
        and hindrance in folds.warning
    )
    assert folds_of(FEW_ROWS, "dataset=ml100k", *overrides).warning is None


@pytest.mark.parametrize("overrides", [["encoder=bert"], ["encoder=hybrid"], ["split=temporal"], []])
def test_nothing_hinders_folds_else(overrides: list[str]) -> None:
    assert folds_of(660, "dataset=ml100k", *overrides).count == AUTO_FOLDS


def test_one_fit_needs_no_folds_and_one_candidate_has_them_for_its_epochs() -> None:
    assert folds_of(10, "selection.candidates={optimizer.weight_decay:[0.1]}").count == AUTO_FOLDS
    assert folds_of(10, "selection.candidates=none") == Folds(1, "one fit was asked for")


def test_a_warning_is_only_of_what_is_hindered() -> None:
    assert automatic_folds(5, None).warning is None and automatic_folds(5, "x").count == 1


@pytest.mark.parametrize(
    ("overrides", "fits"),
    [
        (["selection.folds=3"], "13 fits, choosing"),
        ([], "4 fits, or 17 fits by 4 folds under 2,000 validation rows, choosing"),
        (["dataset=ml100k", "encoder=bert4rec"], "4 fits, choosing"),
        (["selection.candidates=none"], "1 fit"),
    ],
)
def test_the_number_of_fits_is_told_before_they_begin(overrides: list[str], fits: str) -> None:
    assert fits in job_summary(config_of(*overrides))


def test_the_same_rows_are_folded_once_so_that_jobs_of_a_stack_share_their_batches() -> None:
    rows = log_of(100)
    train, validation = fold_logs(rows, 4)[1]
    assert fold_logs(rows, 4)[1][0] is train and fold_logs(rows, 4)[1][1] is validation
    assert len(fold_logs(rows, 5)) == 5
    assert fold_logs(log_of(100), 4)[1][0] is not train
