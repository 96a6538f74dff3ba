"""Accuracy and macro F1 against scikit-learn, and the majority they are read beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from causalrec.config.component import ComponentConfig
from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.majority import Majority
from causalrec.evaluation.catalogue_predictions import means
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.accuracy import Accuracy
from causalrec.metrics.base import Scored, Subsets
from causalrec.metrics.macro_f1 import MacroF1
from causalrec.metrics.mse import MSE

RNG = np.random.default_rng(0)
TRUE = RNG.choice(4, 300, p=[0.6, 0.25, 0.1, 0.05]).astype(np.float32)
CHANCES = RNG.dirichlet(np.ones(4), 300).astype(np.float32)
CHANCES[:, 3] = 0  # never the likeliest
USER = RNG.integers(20, size=300)


def scored_rows(chosen: bool = True) -> Scored:
    prediction, label, cluster = (torch.from_numpy(a) for a in (means(CHANCES), TRUE, USER))
    return Scored(prediction, label, cluster, 0.7, torch.from_numpy(CHANCES.argmax(1)) if chosen else None)


def test_against_scikit_learn() -> None:
    accuracy, macro = Accuracy(20), MacroF1(20)
    for metric in (accuracy, macro):
        metric.update(scored_rows())
    chosen = CHANCES.argmax(1)
    assert float(accuracy.compute()) == pytest.approx(sk.accuracy_score(TRUE, chosen))
    assert float(macro.compute()) == pytest.approx(sk.f1_score(TRUE, chosen, average="macro", zero_division=0))


def test_a_mean_outcome_alone_counts_as_the_nearest_class() -> None:
    accuracy, macro, nearest = Accuracy(20), MacroF1(20), np.floor(means(CHANCES) + 0.5)
    for metric in (accuracy, macro):
        metric.update(scored_rows(chosen=False))
    assert float(accuracy.compute()) == pytest.approx(sk.accuracy_score(TRUE, nearest))
    assert float(macro.compute()) == pytest.approx(sk.f1_score(TRUE, nearest, average="macro", zero_division=0))
    half = Accuracy(1)
    half.update(Scored(torch.tensor([0.5, 0.49]), torch.tensor([1.0, 0.0]), torch.zeros(2, dtype=torch.int64), 0.5))
    assert float(half.compute()) == 1


@pytest.mark.parametrize("metric", [Accuracy, MacroF1])
def test_parts_keep_the_likeliest_class(metric: type[Accuracy | MacroF1]) -> None:
    masks = torch.from_numpy(RNG.random((3, 300)) < 0.5)
    for subset_value, mask in zip(metric(20).on_subsets(Subsets(scored_rows(), masks, 20)), masks, strict=True):
        alone = metric(20)
        alone.update(scored_rows().where(mask))
        assert float(subset_value) == pytest.approx(float(alone.compute()), rel=1e-9)


def test_the_evaluator_reads_chances_as_their_mean_and_the_likeliest() -> None:
    item = np.zeros(300, np.int64)
    slice_data = SliceData(name="logged", kind="graded", user=USER, item=item, label=TRUE, num_users=20)
    metrics = {"accuracy": ComponentConfig(Accuracy, {}), "mse": ComponentConfig(MSE, {})}
    values = {s.metric: s.value for s in Evaluator(metrics, [slice_data], 0.7, replicates=5)(lambda _: CHANCES, "ours")}
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(TRUE, CHANCES.argmax(1)))
    assert values["mse"] == pytest.approx(((CHANCES @ np.arange(4) - TRUE) ** 2).mean(), rel=1e-5)


def test_the_majority_is_the_commonest_training_outcome() -> None:
    outcome = np.array([2, 0, 1, 2, 1, 2], np.float32)
    log = InteractionLog(np.zeros(6, np.int64), np.ones(6, np.int64), outcome, 1)
    baseline = Majority()
    baseline.fit(log)
    assert baseline.predict(np.zeros(3, np.int64), np.zeros(3, np.int64)).tolist() == [2, 2, 2]
