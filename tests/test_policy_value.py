"""The task of policies' values, end to end: from the command line to the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.data.contexts import Contexts
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run

SMALL = ["task=policy_value", "dataset.rounds=600", "dataset.actions=4", "logger=none", "evaluation.replicates=50"]
MODEL = ["encoder.width=2", "selection.candidates=none", "selection.folds=1", "trainer.max_epochs=3"]
NO_MODEL = ["learner=null", "task/value_estimator=[ips,snips]"]
UNIFORM = ["task/policy=[uniform]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def scores_of(folder: Path, *overrides: str) -> tuple[RunRecord, dict[str, ScoreRecord]]:
    """Run a job and return its record with its scores by column."""
    assert cli.main(["train", *overrides, "name=row", "--rerun"]) == 0
    (path,) = folder.glob("runs/default/row/*/record.json")
    record = RunRecord.load(path)
    return record, {f"{score.metric}@{score.slice}": score for score in record.scores}


def refusal(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    assert cli.main(["train", *overrides]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0, error
    return error


def test_values_are_those_of_the_test_rounds_by_hand(folder: Path) -> None:
    overrides = [*SMALL, *NO_MODEL, *UNIFORM]
    record, scores = scores_of(folder, *overrides)
    config = validate_config(compose_config(normalise_overrides([*overrides, "name=row"])))
    prepared = PreparedCache().prepare(config, plan_run(config))
    log = prepared.splits.test
    assert log.propensity is not None and prepared.dataset.context_oracle is not None
    weight = 0.25 / log.propensity.astype(float)
    assert scores["ips@uniform"].value == pytest.approx((weight * log.outcome).mean(), rel=1e-6)
    assert scores["snips@uniform"].value == pytest.approx((weight * log.outcome).sum() / weight.sum(), rel=1e-6)
    assert scores["on_policy@logged"].value == pytest.approx(log.outcome.mean(), rel=1e-6)
    assert scores["true_value@uniform"].value == pytest.approx(
        prepared.dataset.context_oracle(Contexts.of_log(log)).mean(), rel=1e-6
    )
    assert scores["effective_rounds@uniform"].value == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-6)
    gain = scores["ips@uniform-logged"]
    assert gain.value == pytest.approx((weight * log.outcome - log.outcome).mean(), rel=1e-5)
    assert gain.low is not None and gain.high is not None and gain.low < gain.value < gain.high
    assert "Rounds: 300, of the logged part; propensities as logged." in record.task.footnotes


def test_a_model_of_rewards_serves_the_doubly_robust_and_folds_evaluate_every_round(folder: Path) -> None:
    record, scores = scores_of(folder, *SMALL, *MODEL, *UNIFORM, "task.folds=3")
    assert {"dm@uniform", "dr@uniform"} <= scores.keys()
    assert scores["dr@uniform"].n == 600
    assert any("rewards modelled by 3 folds" in line for line in record.task.footnotes)
    assert abs((scores["dr@uniform"].value or 0) - (scores["true_value@uniform"].value or 0)) < 0.1


def test_the_value_of_the_logging_policy_is_the_mean_reward_of_its_rounds(folder: Path) -> None:
    _, scores = scores_of(folder, *SMALL, *NO_MODEL, "task/policy=[uniform,logged]")
    assert scores["ips@logged"].value == pytest.approx(scores["on_policy@logged"].value, rel=1e-6)
    assert scores["mean_weight@logged"].value == pytest.approx(1, rel=1e-6)


def test_few_effective_rounds_stand_beside_the_number(folder: Path) -> None:
    record, scores = scores_of(folder, *SMALL, *NO_MODEL, "task/policy=[uniform]", "dataset.beta=-6")
    effective = scores["effective_rounds@uniform"].value or 0
    assert effective < 300
    assert any(f"{effective:.0f} effective rounds" in line for line in record.warnings)


def test_a_difference_is_marked_by_the_policy_of_fewer_rounds(folder: Path) -> None:
    policies = ["task/policy=[uniform,epsilon_greedy]", "task.compare_to=epsilon_greedy"]
    sizes = ["dataset.rounds=3000", "dataset.actions=30"]
    others = [text for text in SMALL if not text.startswith("dataset.")]
    _, scores = scores_of(folder, *others, *sizes, *NO_MODEL, *policies)
    few = scores["ips@epsilon_greedy"].note
    assert few.endswith(" effective rounds") and not scores["ips@uniform"].note
    assert scores["ips@uniform-epsilon_greedy"].note == few


def test_a_parameter_that_is_chosen_gives_one_column(folder: Path) -> None:
    estimators = "task/value_estimator=[ips,clipped_ips,subgaussian_ips]"
    _, scores = scores_of(folder, *SMALL, "learner=null", estimators, *UNIFORM)
    assert {"clipped_ips@uniform", "subgaussian_ips@uniform"} <= scores.keys()
    assert not any("[" in column for column in scores)
    assert scores["clipped_ips@uniform"].note.startswith("parameter ")
    assert "parameter" not in scores["ips@uniform"].note


def test_propensities_that_a_policy_is_estimated_by_take_the_place_of_those_logged(folder: Path) -> None:
    model = [
        "+task.logging_policy={_target_:causalrec.policies.uniform.Uniform}",
    ]
    record, scores = scores_of(folder, *SMALL, *NO_MODEL, *UNIFORM, *model)
    assert scores["ips@uniform"].value == pytest.approx(scores["on_policy@logged"].value, rel=1e-6)
    assert any("estimated by task.logging_policy" in line for line in record.task.footnotes)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["learner=null"], "value_estimator=dm: reads a model of the reward; set learner=network, or leave dm out"),
        ([*NO_MODEL, "task/policy=[softmax]"], "task.policies: uniform missing, which is mandatory"),
        ([*NO_MODEL, *UNIFORM, "task.compare_to=best"], "task.compare_to=best: is no policy of this run; there are"),
        (
            [*NO_MODEL, *UNIFORM, "+task.policies.mf_cold={_target_:causalrec.policies.uniform.Uniform}"],
            "task.policies.mf_cold: tables leave out what ends in _cold",
        ),
        ([*NO_MODEL, "dataset=coat", *UNIFORM], "needs rounds whose actions were drawn with logged probabilities"),
        (["objective=factual"], "objective=factual: estimates effect, but task=policy_value reads a model of the mean"),
        ([*NO_MODEL, *UNIFORM, "task.folds=0"], "task.folds=0: input should be"),
        (
            [*NO_MODEL, *UNIFORM, "dataset=rating_bandit", "propensity=popularity"],
            "propensity=popularity: is the chance that a pair is logged, not that of an action in a round",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    assert message in refusal(capsys, *[text for text in SMALL if "dataset" not in text], *overrides)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task/value_estimator=[ips]", "dataset.deficient=2"],
            "policy uniform: 50.00% of its mass is on actions that the log could not have taken",
        ),
        (["task/value_estimator=[mips]"], "value_estimator=mips: reads the categories of actions, which these data"),
    ],
)
def test_what_the_rounds_cannot_tell_is_refused_before_anything_learns(
    folder: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    assert cli.main(["train", *SMALL, "learner=null", *UNIFORM, *overrides]) == 2
    assert message in capsys.readouterr().err


def test_rounds_of_rare_actions_may_not_be_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["dataset.rounds=400", "dataset.actions=200", "split.unseen=drop"]
    others = [text for text in SMALL if not text.startswith("dataset.")]
    assert cli.main(["train", *others, *sizes, *NO_MODEL, *UNIFORM]) == 2
    assert "test rounds by the action taken, so that propensities are no more" in capsys.readouterr().err


def test_propensities_of_pairs_are_none_of_rounds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["task=policy_value", "dataset=ml100k_semisynthetic", "logger=none", *NO_MODEL, *UNIFORM]
    assert cli.main(["train", *overrides]) == 1
    assert "its propensities say which pairs were logged" in capsys.readouterr().err


def test_support_may_be_assumed_and_is_then_a_footnote(folder: Path) -> None:
    record, scores = scores_of(folder, *SMALL, *NO_MODEL, *UNIFORM, "dataset.deficient=2", "task.assume_support=true")
    assert scores["unsupported_mass@uniform"].value == pytest.approx(0.5)
    assert (scores["mean_weight@uniform"].value or 1) == pytest.approx(0.5, abs=0.1)
    assert any(line.startswith("Support is assumed") for line in record.task.footnotes)


def test_a_user_is_predicted_once_and_rounds_of_a_user_share_a_fold() -> None:
    from causalrec.data.log import InteractionLog
    from causalrec.tasks.reward_models import fold_of_rounds

    user = np.repeat(np.arange(10), 3)
    log = InteractionLog(
        item=np.zeros(30, np.int64),
        treatment=np.ones(30, np.int64),
        outcome=np.zeros(30, np.float32),
        num_items=2,
        user=user,
        num_users=10,
    )
    fold = fold_of_rounds(log, 5, 0)
    assert np.bincount(fold).tolist() == [6] * 5
    assert all(len(set(fold[user == u])) == 1 for u in range(10))


def test_estimators_are_ranked_beside_their_values_and_nothing_else_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*SMALL, *NO_MODEL, "task/policy=[uniform,logged]"]
    record, scores = scores_of(folder, *overrides, "task.rank_estimators=true", "task.ranking_draws=7")
    (folder / "plain").mkdir()
    monkeypatch.chdir(folder / "plain")
    _, plain = scores_of(folder / "plain", *overrides)
    ranking = {f"{name}_rmse@{policy}" for name in ("ips", "snips") for policy in ("uniform", "logged")}
    assert scores.keys() - plain.keys() == ranking
    assert {column: scores[column].value for column in plain} == {c: score.value for c, score in plain.items()}
    for column in ranking:
        score = scores[column]
        assert score.low is not None and score.high is not None and 0 < score.low <= (score.value or 0) <= score.high
        assert score.higher_is_better is False
    assert any("in 7 draws of rewards" in line for line in record.task.footnotes)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.ranking_draws=9", *NO_MODEL], "task.ranking_draws=9: are those of a ranking, and there is none; set"),
        (
            ["task.rank_estimators=true", "learner=null", "task/value_estimator=[ips]"],
            "task.rank_estimators=true: compares estimators, and ips is alone; choose more",
        ),
        (["task.rank_estimators=true", "task.ranking_draws=1", *NO_MODEL], "task.ranking_draws=1: input should be"),
    ],
)
def test_a_ranking_that_has_nothing_to_rank_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    assert message in refusal(capsys, *SMALL, *UNIFORM, *overrides)
    assert not (folder / "runs").exists()


def test_policies_that_learn_from_rounds_learn_from_those_of_the_other_folds(folder: Path) -> None:
    """A baseline that orders actions by the rewards of the very rounds that judge it looks better than it is."""
    noise = ["dataset.rounds=300", "dataset.actions=30", "dataset.beta=0", "dataset.context_dim=1"]
    greedy = ["task/policy=[uniform,top_k]", "task.policies.top_k.k=1"]
    overrides = [text for text in SMALL if "dataset" not in text]
    _, scores = scores_of(folder, *overrides, *NO_MODEL, *noise, *greedy, "task.folds=2")
    assert scores["snips@top_k"].n == 300
    gap = (scores["snips@top_k"].value or 0) - (scores["true_value@top_k"].value or 0)
    assert abs(gap) < 0.25, "in-sample the best of thirty actions with ten rounds each has about .3 too much"
