"""The probability of every treatment: where it comes from, and that batches of every kind carry it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from causalrec.config.compose import compose_all
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.errors import DataError, RequestError
from causalrec.estimators.objective.dr import DR
from causalrec.estimators.objective.x_learner import XLearner
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.arm_propensities import arm_propensities
from causalrec.propensity.logged import Logged
from causalrec.propensity.treatment import Treatment
from causalrec.running.prepare import plan_run
from causalrec.training.datamodule import LogDataModule, LogTensors
from causalrec.training.folds import fold_logs
from causalrec.training.stacked.batches import StackedBatches
from causalrec.types import Floats
from tests.training.test_outcome_unit import request

ROWS = 90


def log_of(arms: int, propensity: Floats | None = None) -> tuple[InteractionLog, FeatureMatrix]:
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(ROWS, 1)).astype(np.float32)
    pull = np.column_stack([np.zeros(ROWS), numbers[:, 0], -numbers[:, 0]])[:, : arms + 1]
    treatment = (pull + rng.gumbel(size=pull.shape)).argmax(1)
    outcome = rng.normal(size=ROWS).astype(np.float32)
    given = np.full(ROWS, 0.5, np.float32) if propensity is None else propensity
    log = InteractionLog(np.zeros(ROWS, np.int64), treatment, outcome, 1, np.arange(ROWS), ROWS, propensity=given)
    return log, FeatureMatrix(("x",), (), numbers, np.zeros((1, 0), np.float32), ())


def fitted_model(log: InteractionLog, features: FeatureMatrix) -> Treatment:
    propensity = Treatment()
    propensity.fit(log, features)
    return propensity


def test_with_one_arm_they_are_what_the_propensity_of_the_treatment_received_leaves() -> None:
    """Whatever model it is of: one that was logged, too, though it differs by row."""
    log, _ = log_of(1, np.linspace(0.1, 0.9, ROWS, dtype=np.float32))
    assert log.propensity is not None
    probabilities = arm_propensities(Logged(), log, 1)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities[np.arange(ROWS), log.treatment], log.propensity, rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_of_several_arms_they_are_those_that_the_propensities_of_the_log_are_of() -> None:
    """Those of the model, though others were logged; or the log's own, as of randomised rows."""
    log, features = log_of(2)
    propensity = fitted_model(log, features)
    modelled = propensity.treatment_probabilities(log, 2)
    stated = np.tile(np.array([0.5, 0.25, 0.25], np.float32), (ROWS, 1))
    for logged in (None, stated):
        rows = replace(log, propensity=propensity.predict(log), arm_probabilities=logged)
        np.testing.assert_array_equal(arm_propensities(propensity, rows, 2), modelled)
    randomised = replace(log, propensity=stated[np.arange(ROWS), log.treatment], arm_probabilities=stated)
    np.testing.assert_array_equal(arm_propensities(propensity, randomised, 2), stated)
    some = randomised.take(np.arange(7))
    np.testing.assert_array_equal(arm_propensities(propensity, some.concatenate(some), 2), stated[:14])


def test_with_one_arm_a_fitted_propensity_is_not_put_aside_for_a_logged_one() -> None:
    log, _ = log_of(1, np.linspace(0.1, 0.9, ROWS, dtype=np.float32))
    stated = replace(log, arm_probabilities=np.full((ROWS, 2), 0.5, np.float32))
    np.testing.assert_array_equal(arm_propensities(Logged(), stated, 1), arm_propensities(Logged(), log, 1))


def test_probabilities_of_other_treatments_are_refused_in_one_line() -> None:
    log, _ = log_of(1)
    thirds = np.tile(np.array([0.5, 0.5, 0.0], np.float32), (ROWS, 1))
    with pytest.raises(DataError, match=r"^log: has no probabilities of 2 treatments; choose propensity=tr") as error:
        arm_propensities(Logged(), replace(log, arm_probabilities=thirds), 1)
    assert "\n" not in str(error.value)


def test_training_and_validation_batches_carry_them_as_far_as_they_are_asked_for() -> None:
    log, features = log_of(2)
    propensity = fitted_model(log, features)
    train, validation = log.take(np.arange(60)), log.take(np.arange(60, ROWS))
    settings: Any = (train, validation, features, Balanced(batch_size=20), "logged", 0)
    data = LogDataModule(*settings, arm_propensities=lambda rows: arm_propensities(propensity, rows, 2))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            assert batch.user is not None and batch.arm_propensities is not None
            expected = propensity.treatment_probabilities(log, 2)[batch.user.numpy()]
            np.testing.assert_allclose(batch.arm_propensities.numpy(), expected, rtol=1e-6)
    assert next(iter(LogDataModule(*settings).train_dataloader())).arm_propensities is None


def test_pairs_that_were_never_logged_have_equal_ones() -> None:
    """Which a penalty may draw; no objective over such pairs may read them."""
    log, features = log_of(1)
    log = replace(log.take(np.arange(60)), num_users=ROWS)
    tensors = LogTensors(log, features, arm_propensities=lambda rows: arm_propensities(Logged(), rows, 1))
    batch = tensors.batch(next(iter(Balanced(batch_size=60).epoch(log, "all_pairs", 0, 0))))
    assert batch.arm_propensities is not None and 0 < int(batch.observed.sum()) < len(batch)
    assert (batch.arm_propensities[batch.observed == 0] == 0.5).all()


def test_an_objective_over_pairs_that_were_never_logged_may_not_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DR, "reads_arm_propensities", True)
    with pytest.raises(
        RequestError, match=r"^objective=dr: reads the probability of each treatment, which only logged"
    ):
        plan_run(compose_all([["dataset=coat", "objective=dr", "logger=none"]])[0])


def test_parts_of_folds_and_stacked_batches_carry_those_of_their_rows() -> None:
    log, features = log_of(2)
    propensity = fitted_model(log, features)

    def of_rows(rows: InteractionLog) -> Floats:
        return arm_propensities(propensity, rows, 2)

    (train, validation), *_ = fold_logs(log, 3)
    changes = {"train": train, "validation": validation, "features": features, "arm_propensities": of_rows}
    requests = [request("x_learner", "t_net", **changes, seed=seed) for seed in (0, 1)]
    batches = StackedBatches(requests, torch.float64, torch.device("cpu"))
    for batch in (*batches.training(0), *batches.validation()):
        assert batch.user is not None and batch.arm_propensities is not None
        expected = propensity.treatment_probabilities(log, 2)[batch.user.numpy()]
        np.testing.assert_allclose(batch.arm_propensities.numpy(), expected, rtol=1e-6)


def test_the_objective_says_that_it_reads_them() -> None:
    assert XLearner.reads_arm_propensities and XLearner.space == "logged"
