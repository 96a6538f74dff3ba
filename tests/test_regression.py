"""A regression as the reward model: what it reads, what it refuses, and that it is the same when it is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import SliceData
from causalrec.features.views import FeatureMatrix
from causalrec.learners.outcome_columns import OutcomeColumns
from causalrec.learners.regression import RegressionLearner, RegressionPredictor
from causalrec.prepared import PreparedData
from causalrec.records.run_record import RunRecord
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run
from causalrec.training.selection import fit_sequentially

SMALL = ["task=policy_value", "learner=regression", "dataset.rounds=600", "dataset.actions=4", "logger=none"]
SMALL += ["evaluation.replicates=50", "task/policy=[uniform]", "name=row"]
TREE = ["learner=boosted_regression", "learner.binary_model.estimator=sklearn.tree.DecisionTreeClassifier"]
SHARE = ["learner=boosted_regression", "learner.binary_model.estimator=sklearn.dummy.DummyClassifier"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def prepare(*overrides: str) -> tuple[ExperimentConfig, PreparedData, RegressionLearner]:
    config = validate_config(compose_config(normalise_overrides([*SMALL, *overrides])))
    learner = config.components.learner
    assert isinstance(learner, RegressionLearner)
    return config, PreparedCache().prepare(config, plan_run(config)), learner


def rows_of(log: InteractionLog) -> SliceData:
    return SliceData(
        name="test",
        kind="outcome",
        user=log.users,
        item=log.item,
        label=log.outcome,
        num_users=log.num_users,
        columns=log.columns,
    )


def test_columns_are_numbers_then_an_entry_for_each_id() -> None:
    numbers = FeatureMatrix(
        names=("age", "year"),
        ids=("user", "item"),
        user_block=np.array([[0.5], [1.5]], np.float32),
        item_block=np.array([[7.0], [8.0], [9.0]], np.float32),
    )
    columns = OutcomeColumns(numbers, users=0, items=3)
    log = InteractionLog(
        user=np.array([1, 0]),
        item=np.array([2, 0]),
        treatment=np.ones(2, np.int64),
        outcome=np.zeros(2, np.float32),
        num_users=2,
        num_items=3,
    )
    assert columns.read(log.users, log.item, log).toarray().tolist() == [[1.5, 9, 0, 0, 1], [0.5, 7, 1, 0, 0]]
    assert len(columns) == 5


def test_a_constant_classifier_predicts_the_share_of_ones_among_training_and_validation(folder: Path) -> None:
    config, prepared, learner = prepare(*SHARE)
    predictor = learner.fit(config, prepared, fit_sequentially)
    outcome = np.concatenate([prepared.train.outcome, prepared.validation.outcome])
    assert 0 < outcome.mean() < 1
    assert predictor(rows_of(prepared.splits.test)) == pytest.approx(outcome.mean(), rel=1e-6)


def test_a_tree_repeats_the_rows_that_it_has_learnt_for_it_reads_context_and_action(folder: Path) -> None:
    config, prepared, learner = prepare(*TREE)
    predicted = learner.fit(config, prepared, fit_sequentially)(rows_of(prepared.train))
    assert predicted.tolist() == prepared.train.outcome.tolist()


def test_what_is_loaded_predicts_the_same(folder: Path) -> None:
    config, prepared, learner = prepare("learner=boosted_regression")
    rows = rows_of(prepared.splits.test)
    first = learner.fit(config, prepared, fit_sequentially)(rows)
    again = learner.predictor(config, prepared, ())
    assert isinstance(again, RegressionPredictor)
    assert again(rows).tolist() == first.tolist()
    assert first.std() > 0


def test_outcomes_that_are_all_the_same_are_predicted_without_a_fit(folder: Path) -> None:
    config, prepared, learner = prepare("dataset.outcome=reward", "dataset.reward_sd=1.0")
    for log in (prepared.train, prepared.validation):
        log.outcome[:] = 2.0
    assert learner.predictor(config, prepared, ())(rows_of(prepared.splits.test)) == pytest.approx(2.0)


def test_a_run_has_values_by_the_model(folder: Path) -> None:
    assert cli.main(["train", *SMALL, "task.folds=3"]) == 0
    (path,) = folder.glob("runs/default/row/*/record.json")
    scores = {f"{score.metric}@{score.slice}": score for score in RunRecord.load(path).scores}
    dr, truth = scores["dr@uniform"], scores["true_value@uniform"]
    assert dr.low is not None and dr.high is not None and truth.value is not None
    assert dr.low - 0.05 < truth.value < dr.high + 0.05
    assert "dm@uniform" in scores


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"estimator": "os.system"}}, "learner.model.estimator=os.system: name a public class below sklearn"),
        ({"model": {"estimator": "sklearn.linear_model.LogisticRegression"}}, "is not a regressor"),
        ({"binary_model": {"estimator": "sklearn.linear_model.Ridge"}}, "is not a classifier"),
        ({"binary_model": {"estimator": "sklearn.svm.LinearSVC"}}, "gives no probabilities; choose a classifier"),
        ({"model": {"estimator": "sklearn.linear_model.Ridge", "alfa": 1}}, "learner.model.alfa: unknown key"),
    ],
)
def test_other_estimators_are_refused(settings: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(RequestError, match=message.replace(".", r"\.")):
        RegressionLearner(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["selection.folds=3"], "learner=regression is fitted once, on training and validation rows"),
        (["objective=ips"], "objective"),
        (["dataset=lastfm", "task=exposed_mean"], "learner=regression"),
    ],
)
def test_what_it_does_not_read_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    common = [text for text in SMALL if "dataset" not in text and (len(overrides) == 1 or "task" not in text)]
    assert cli.main(["train", *common, *overrides]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and error.count("\n") == 0, error
