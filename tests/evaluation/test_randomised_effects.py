"""Effects on randomised rows are weighed by how these were drawn, never by propensities of an observational log."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import last_of_each

from causalrec import cli
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.estimators.cross_fitting import CROSSFIT_ROLES
from causalrec.estimators.objective.x_learner import XLearner
from causalrec.evaluation.scored_rows import scored_rows
from causalrec.evaluation.slice.uplift import UpliftSlice
from causalrec.metrics.auuc import AUUC
from causalrec.metrics.base import Scored
from causalrec.metrics.qini import Qini
from causalrec.metrics.uplift_area import compiled_area
from causalrec.metrics.uplift_at_k import UpliftAtK
from causalrec.prepared import PreparedData
from causalrec.running.prepare import _randomised_validation
from causalrec.training.criterion import validation_errors
from causalrec.types import ARMS, EFFECT, Batch, Doubles, Floats, Ints, Outputs
from tests.evaluation.slice_source import without_columns

ROWS = 3000
DATA = EffectSimulation(units=600, confounding=1.5, randomised=ROWS).load(Path("absent"))
SHARE = np.array([0.2, 0.7])  # of the treated where nudge is 0 and 1


def difference_in_means(log: InteractionLog, rows: Any = slice(None)) -> float:
    outcome, treated = log.outcome[rows].astype(np.float64), log.treatment[rows] == 1
    return float(outcome[treated].mean() - outcome[~treated].mean())


def nudges(log: InteractionLog) -> Ints:
    return DATA.user_table["nudge"].to_numpy()[log.users]


def draw_by_strata() -> InteractionLog:
    """The same units, treated by strata, in which the outcome differs too."""
    assert DATA.randomised is not None and DATA.potential is not None
    log, rng = DATA.randomised, np.random.default_rng(0)
    treatment = (rng.random(len(log)) < SHARE[nudges(log)]).astype(np.int64)
    means = DATA.potential.means(log.users, log.item)[np.arange(len(log)), treatment]
    outcome = means + 3 * nudges(log) + rng.normal(size=len(log))
    return dataclasses.replace(log, treatment=treatment, outcome=outcome.astype(np.float32))


def arm_shares(log: InteractionLog, strata: tuple[str, ...]) -> Floats:
    """What a run with these test rows, drawn so, weighs them by."""
    dataset = dataclasses.replace(DATA, card=dataclasses.replace(DATA.card, strata=strata))
    prepared = SimpleNamespace(splits=SimpleNamespace(test=log, test_is_randomised=True), dataset=dataset)
    probabilities: Floats = PreparedData.test_probabilities.func(prepared)  # type: ignore[arg-type]
    return probabilities


def uplift_of_a_constant(log: InteractionLog, strata: tuple[str, ...] = ()) -> float:
    source = SimpleNamespace(
        dataset=DATA,
        splits=SimpleNamespace(test=log, test_is_randomised=True),
        test_probabilities=arm_shares(log, strata),
        test_clusters=(),
        features=without_columns(),
        adjusts=True,
    )
    (data,) = UpliftSlice().select(source)  # type: ignore[arg-type]
    assert data.treatment is not None and data.propensity is not None
    columns = (torch.zeros(len(data)), torch.from_numpy(data.label), torch.from_numpy(data.cluster))
    of_arms = (torch.from_numpy(data.treatment), torch.from_numpy(data.propensity))
    metric = UpliftAtK(data.num_clusters)
    metric.update(Scored(*columns, 0.0, None, *of_arms))
    return float(metric.compute())


def test_a_run_reads_the_sign_and_the_size_of_effects_off_a_randomised_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fit = ["selection.folds=1", "trainer.progress=false", "trainer.max_epochs=1", "trainer.limit_batches=2"]
    fit += ["selection.candidates={optimizer.weight_decay:[0.1]}", "logger=none", "evaluation.replicates=20"]
    data = ["dataset.units=600", "dataset.confounding=1.5", f"dataset.randomised={ROWS}"]
    metrics = ["metric=[rank_weighted_effect,uplift_at_k]"]
    assert cli.main(last_of_each("train", "task=effect", "--json", *fit, *data, *metrics)) == 0
    (record,) = json.loads(capsys.readouterr().out)
    values = {(score["model"], score["metric"]): score["value"] for score in record["scores"] + record["baselines"]}
    (name,) = {score["model"] for score in record["scores"]}
    assert DATA.randomised is not None
    assert values[name, "autoc"] > 0.5
    assert values[name, "average_effect"] == pytest.approx(difference_in_means(DATA.randomised), abs=0.2)
    expected = pytest.approx(difference_in_means(DATA.randomised), abs=1e-5)
    assert values["constant_effect", "uplift_at_k"] == expected


def test_a_constant_among_strata_gains_the_mean_over_them() -> None:
    log, stratum = draw_by_strata(), nudges(draw_by_strata())
    expected = np.mean(stratum == 0) * difference_in_means(log, stratum == 0)
    expected += np.mean(stratum == 1) * difference_in_means(log, stratum == 1)
    assert uplift_of_a_constant(log, ("nudge",)) == pytest.approx(expected, abs=1e-5)
    assert uplift_of_a_constant(log) == pytest.approx(difference_in_means(log), abs=1e-5)
    assert difference_in_means(log) - expected > 1, "the strata differ in their outcomes"


def test_logged_propensities_weigh_a_randomised_test_where_there_are_some() -> None:
    log = draw_by_strata()
    treated = SHARE[nudges(log)]
    received: Doubles = np.where(log.treatment == 1, treated, 1 - treated)
    value = uplift_of_a_constant(log.with_propensity(received.astype(np.float32)))
    assert value == pytest.approx(uplift_of_a_constant(log, ("nudge",)), abs=0.15)


def test_an_arm_that_a_stratum_lacks_is_one_line() -> None:
    log = draw_by_strata()
    without = log.take((log.treatment == 0) | (nudges(log) == 0))
    with pytest.raises(DataError, match=r"^[^\n]*1 of 2 strata of the randomised rows lack an arm \(first: arm 1\)"):
        arm_shares(without, ("nudge",))


@pytest.mark.parametrize("strata", [(), ("nudge",)])
def test_selection_on_randomised_rows_prefers_the_true_effect(strata: tuple[str, ...]) -> None:
    dataset = dataclasses.replace(DATA, card=dataclasses.replace(DATA.card, strata=strata))
    rows = _randomised_validation(draw_by_strata(), dataset)
    assert rows.propensity is not None and DATA.potential is not None
    stratum = nudges(rows) if strata else np.zeros(ROWS, np.int64)
    for level in np.unique(stratum):
        treated = (rows.treatment == 1) & (stratum == level)
        assert rows.propensity[treated] == pytest.approx(treated.sum() / (stratum == level).sum())
    means = DATA.potential.means(rows.users, rows.item).astype(np.float64) + 3 * nudges(rows)[:, None]
    columns = (rows.item, rows.treatment, rows.outcome, np.ones(ROWS), rows.propensity, np.ones(ROWS))
    batch = Batch(*map(torch.from_numpy, columns), features=torch.zeros(ROWS, 0), user=torch.from_numpy(rows.users))

    def criterion(shift: float) -> float:
        arms = torch.from_numpy(np.stack([means[:, 0], means[:, 1] + shift], 1))
        effect = torch.stack([torch.zeros(ROWS), arms[:, 1] - arms[:, 0]], 1)
        outcomes = {role: {ARMS: torch.from_numpy(means)} for role in CROSSFIT_ROLES}
        outputs = Outputs({}, "identity", components={**outcomes, EFFECT: {ARMS: effect}})
        error, weight = validation_errors(XLearner(), outputs, batch, "naive", 0.0)
        return float((error * weight).sum() / weight.sum())

    assert 0 < criterion(0.0) < min(criterion(-0.3), criterion(0.3))


def test_rows_of_an_arm_or_none_stand_for_the_rows_of_all_arms() -> None:
    """In one stratum a third arm takes nine rows of ten, and the effect of the first is there alone."""
    data = EffectSimulation(units=100, arms=2, randomised=ROWS).load(Path("absent"))
    assert data.randomised is not None
    stratum, rng = data.user_table["nudge"].to_numpy()[data.randomised.users], np.random.default_rng(1)
    chances = np.array([[0.45, 0.45, 0.1], [0.05, 0.05, 0.9]])[stratum]
    treatment = (rng.random(ROWS)[:, None] > chances.cumsum(1)).sum(1)
    outcome = (4.0 * stratum * (treatment == 1) + rng.normal(size=ROWS) / 10).astype(np.float32)
    source = SimpleNamespace(
        dataset=data,
        splits=SimpleNamespace(
            test=dataclasses.replace(data.randomised, treatment=treatment, outcome=outcome), test_is_randomised=True
        ),
        test_probabilities=chances.astype(np.float32),
        test_clusters=(),
        features=without_columns(),
        adjusts=True,
    )
    first, _ = UpliftSlice().select(source)  # type: ignore[arg-type]
    scored = scored_rows(first, rng.normal(size=(len(first), 2)).astype(np.float32), 0.0)
    metric = UpliftAtK(first.num_clusters, share=1.0)
    metric.update(scored)
    assert float(metric.compute()) == pytest.approx(4 * stratum.mean(), abs=0.3), "0.4 by these rows alone"
    for area in (Qini(first.num_clusters), AUUC(first.num_clusters)):
        rows, weights = area._sort(scored), torch.ones(2, first.num_clusters, dtype=torch.float64)
        column = scored.cluster[rows.order]
        compiled = area.finish(compiled_area(rows, weights, column, area.by_arm), rows)
        torch.testing.assert_close(compiled, area._values(rows, weights, column))
