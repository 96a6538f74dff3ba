"""Scores of rank-weighted effects: outcomes less a regression that no model is in, nor a row of the same cluster."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from causalrec.config.component import ComponentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.outcome_regression import centre_outcomes
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.uplift import UpliftSlice
from causalrec.features.views import FeatureMatrix
from causalrec.metrics.rank_weighted_effect import RankWeightedEffect
from causalrec.types import Doubles, Floats
from tests.evaluation.slice_source import Source

METRICS = {
    "autoc": ComponentConfig(RankWeightedEffect, {}),
    "rate_qini": ComponentConfig(RankWeightedEffect, {"weighting": "qini"}),
}
CARD = DatasetCard("toy", "test", "none", (), {}, (), "reward", "exposure_logged", arms=("arm 1",))


def draw_slice(seed: int, n: int = 400, scale: float = 1.0, shift: float = 0.0, share: float = 0.5) -> SliceData:
    """The uplift slice of a randomised test whose outcome two columns drive; the effect grows with the second."""
    rng = np.random.default_rng(seed)
    x, treatment = rng.normal(size=(n, 3)).astype(np.float32), (rng.random(n) < share).astype(np.int64)
    outcome = 3 * x[:, 0] + x[:, 1] * (1 + treatment) + rng.normal(size=n)
    probability = np.where(treatment == 1, share, 1 - share).astype(np.float32)
    label = (scale * outcome + shift).astype(np.float32)
    log = InteractionLog(np.zeros(n, np.int64), treatment, label, 1, np.arange(n), n, propensity=probability)
    table = pl.DataFrame({"id": np.arange(n)})
    splits = Splits(train=log, validation=log, test=log, test_is_randomised=True, duplicates=0, unseen=0)
    features = FeatureMatrix(("x0", "x1", "x2"), (), x, np.zeros((1, 0), np.float32))
    source = Source(CausalDataset(CARD, log, table, pl.DataFrame({"id": [0]})), splits, features=features)
    (data,) = UpliftSlice().select(source)
    return dataclasses.replace(data, columns={"x1": x[:, 1].astype(np.float64)})


def values(data: SliceData) -> Doubles:
    evaluator = Evaluator(METRICS, [data], 0.0, replicates=20)
    scores = evaluator(lambda rows: np.asarray(rows.columns["x1"], np.float32)[:, None], "m")
    return np.array([[score.value, score.high - score.low] for score in scores])


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 10.0), (4.0, -100.0)])
def test_what_is_added_to_outcomes_moves_no_value_and_what_they_are_multiplied_by_does(
    scale: float, shift: float
) -> None:
    np.testing.assert_allclose(
        values(draw_slice(0, scale=scale, shift=shift)), scale * values(draw_slice(0)), rtol=1e-4
    )


@pytest.mark.parametrize("share", [0.5, 0.15])
def test_centred_scores_have_the_same_mean_and_spread_less(share: float) -> None:
    """The outcomes' own spread is about 3, and that of what columns leave 1."""
    centred, plain = [], []
    for seed in range(60):
        data = draw_slice(seed, share=share)
        centred.append(values(data)[:, 0])
        plain.append(values(dataclasses.replace(data, centred_label=None))[:, 0])
    truth = np.array([0.9032, 1 / (2 * np.sqrt(np.pi))])  # covariances of z, normal, with -log(1 - F(z)) and F(z)
    error = np.std(centred, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(centred, axis=0) - truth) < 3.5 * error).all()
    assert (np.std(centred, axis=0) < 0.6 * np.std(plain, axis=0)).all()


def regress(outcome: Floats, x: Floats, cluster: np.ndarray | None = None) -> Floats:  # type: ignore[type-arg]
    rows = np.arange(len(outcome)) if cluster is None else cluster
    return centre_outcomes(outcome, np.ones(len(outcome)), lambda some: x[some], x.shape[1], rows)


def test_what_columns_tell_is_gone_whatever_their_unit_and_the_rest_stays() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    noise = rng.normal(size=600)
    outcome = (x @ np.array([3.0, 0, -2, 1]) + noise + 7).astype(np.float32)
    left = regress(outcome, x)
    assert np.corrcoef(left, noise)[0, 1] > 0.98
    np.testing.assert_allclose(regress(outcome, x * np.float32(1000) + np.float32(5)), left, atol=2e-2)
    constant = np.concatenate([x, np.ones((600, 1), np.float32)], 1)
    np.testing.assert_allclose(regress(outcome, constant), left, atol=1e-3)


def test_more_columns_than_rows_do_not_make_it_worse_than_a_mean() -> None:
    rng = np.random.default_rng(2)
    x, outcome = rng.normal(size=(120, 200)).astype(np.float32), rng.normal(size=120).astype(np.float32)
    assert regress(outcome, x).std() < 1.15 * outcome.std()


def test_no_row_of_a_cluster_is_in_what_predicts_its_others() -> None:
    """Outcomes are those of the cluster alone, which a column names: only rows of the same one could tell them."""
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(40), 10)
    outcome = rng.normal(size=40)[cluster].astype(np.float32)
    x = (cluster[:, None] == np.arange(40)).astype(np.float32)
    assert regress(outcome, x, cluster).std() > 0.95 * outcome.std()
    assert regress(outcome, x).std() < 0.4 * outcome.std()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_are_no_error(rows: int) -> None:
    outcome = np.arange(rows, dtype=np.float32)
    assert np.isfinite(regress(outcome, np.ones((rows, 2), np.float32))).all()


def test_the_rows_of_one_cluster_are_each_by_themselves() -> None:
    outcome = np.array([1, 3, 5, 7, 9, 11], np.float32)
    assert regress(outcome, np.zeros((6, 0), np.float32), np.zeros(6, np.int64)).std() > 0
