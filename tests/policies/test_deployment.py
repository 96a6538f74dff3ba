"""`causalrec recommend RUN --policy NAME`: what it writes, whom it draws for, and that its file is a log of rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest
from conftest import FakeML100K
from scipy.stats import chi2

from causalrec import cli
from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.datasets.rating_bandit import RatingBandit
from causalrec.data.log import InteractionLog
from causalrec.data.tabular.table_config import EntityTableConfig
from causalrec.errors import RequestError
from causalrec.policies.base import PolicySource, take_probability
from causalrec.policies.scores.base import AbstractScores
from causalrec.policies.softmax import Softmax
from causalrec.policies.thompson import Thompson
from causalrec.policies.top_k import TopK
from causalrec.records.run_record import RunRecord
from causalrec.running.deployment import Deployment, draw_actions
from causalrec.running.run_ids import IdMatch, check_untrained
from causalrec.running.run_scores import RunScores
from causalrec.running.trained_run import TrainedRun
from causalrec.types import Doubles, Ints

USERS, ITEMS = 40, 30
QUICK = ["trainer=smoke", "logger=none", "evaluation.replicates=20", "selection.candidates=none"]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Call]:
    """Run the command in an empty folder, with fake files of ML-100K."""
    data = fake_ml100k(tmp_path / "data", users=USERS, items=ITEMS, ratings=500)
    monkeypatch.setenv("CAUSALREC_DATA", str(data))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    yield run


def train(call: Call, seeds: str) -> None:
    """Train seeds of one row, `runs/default/run`."""
    request = ["dataset=ml100k_semisynthetic", "dataset.test_items=10", "dataset.exposed=0.3", "objective=naive"]
    assert call("train", "-m", *QUICK, *request, f"seed={seeds}", "name=run")[0] == 0


def folder(seed: int) -> Path:
    (path,) = Path("runs/default/run").glob(f"seed{seed}-*")
    return path


def chi_square(counts: Ints, probability: Doubles, draws: int) -> float:
    """How likely counts [M,A] as far from `draws` times their probability are."""
    statistic = ((counts - draws * probability) ** 2 / (draws * probability)).sum()
    return float(chi2.sf(statistic, counts.shape[0] * (counts.shape[1] - 1)))


def test_a_deployment_holds_what_the_policy_drew_and_its_probability(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(call, "0")
    deploy = ["recommend", str(folder(0)), "--policy", "softmax", "--set", "temperature=0.01", "--rounds", "300"]
    code, out, err = call(*deploy, "--all", "--out", "shown.csv")
    assert (code, err) == (0, ""), err
    assert out.startswith(f"policy: softmax(temperature=0.01) of run/{folder(0).name}\n") and "rows: 12000" in out
    table = pl.read_csv("shown.csv")
    assert table.columns == ["user", "item", "propensity", "round", "policy"] and len(table) == USERS * 300
    assert table["round"].to_list() == [*range(1, 301)] * USERS and table["policy"].n_unique() == 1
    run = TrainedRun.load(folder(0))
    scores = run.score_catalogue(np.arange(USERS)) / 0.01
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    user, item = table["user"].to_numpy() - 1, table["item"].to_numpy() - 1  # the raw ids of the files
    np.testing.assert_allclose(table["propensity"], probability[user, item], rtol=1e-12)
    counts = np.zeros((USERS, ITEMS), np.int64)
    np.add.at(counts, (user, item), 1)
    assert chi_square(counts, probability, 300) > 1e-3
    assert chi_square(counts, np.roll(probability, 1, axis=1), 300) < 1e-9, "the test would see another policy"
    assert pl.read_csv("shown.items.csv")["item"].to_list() == [*range(1, ITEMS + 1)]

    before = {path: path.read_bytes() for path in Path().glob("*.csv")}
    code, _, err = call(*deploy, "--all", "--out", "shown.csv")
    assert code == 2 and err == "causalrec: --out shown.csv: shown.csv is there already; name a file that is not\n"
    for seed, same in (("0", True), ("1", False)):
        assert call(*deploy, "--all", "--seed", seed, "--out", f"again{seed}.csv")[0] == 0
        assert (Path(f"again{seed}.csv").read_bytes() == before[Path("shown.csv")]) == same
        Path(f"again{seed}.csv").unlink(), Path(f"again{seed}.items.csv").unlink()

    def cut(deployment: Deployment) -> Iterator[tuple[Ints, Ints, Doubles]]:
        yield np.array([0]), np.array([[1]]), np.array([[0.5]])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Deployment, "_draw", cut)
        assert call(*deploy, "--all", "--out", "cut.csv")[0] != 0
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before, "whole or not at all"

    Path("few.txt").write_text("7\n\n3\n")
    assert call(*deploy[:3], "top_k", "--set", "k=1", "--users", "few.txt", "--out", "few.csv")[0] == 0
    few = pl.read_csv("few.csv")
    best = run.score_catalogue(np.array([6, 2])).argmax(1) + 1
    assert few["user"].to_list() == [7, 3] and few["item"].to_list() == best.tolist() and (few["propensity"] == 1).all()
    for policy in ("uniform", "epsilon_greedy", "mixture"):
        assert call(*deploy[:3], policy, "--user", "3", "--out", f"{policy}.csv")[0] == 0
        (chance,) = pl.read_csv(f"{policy}.csv")["propensity"]
        assert 0 < chance <= 1 and (policy != "uniform" or chance == pytest.approx(1 / ITEMS))


def answer(rows: pl.DataFrame, dataset: CausalDataset, name: str) -> CausalDataset:
    """Join rewards drawn from the truth to a deployment, and load it as one's own table."""
    assert dataset.oracle is not None
    rate = dataset.oracle.rate(rows["user"].to_numpy() - 1, rows["item"].to_numpy() - 1)
    reward = (np.random.default_rng(5).random(len(rows)) < rate).astype(int)
    rows.with_columns(pl.Series("reward", reward)).write_csv(f"{name}.csv")
    items = EntityTableConfig(file="shown.items.csv", id="item") if name == "answered" else None
    tables = CsvTables(
        threshold=None,
        folder="./",
        interactions=f"{name}.csv",
        outcome="reward",
        kind="reward",
        feedback="exposure_logged",
        propensity="propensity",
        rounds=True,
        repeats="allowed",
        items=items,
    )
    return tables.load(Path())


def rounds_source(dataset: CausalDataset, test: InteractionLog | None = None) -> PolicySource:
    return PolicySource(dataset=dataset, train=dataset.logged, test=test or dataset.logged, seed=0)


def test_an_answered_deployment_judges_another_run(call: Call, tmp_path: Path) -> None:
    train(call, "0,1")
    shown = ["--policy", "softmax", "--set", "temperature=0.02", "--rounds", "150", "--all", "--out", "shown.csv"]
    assert call("recommend", str(folder(0)), *shown)[0] == 0
    truth = ML100KSemisynthetic(test_items=10, exposed=0.3).load(tmp_path / "data")
    rows = pl.read_csv("shown.csv")
    answered = answer(rows, truth, "answered")
    assert answered.logged.num_items == ITEMS and answered.item_ids is not None
    log, contexts = answered.logged, Contexts.of_log(answered.logged)
    target = Softmax(scores=RunScores(folder=folder(1)), temperature=0.01).bind(rounds_source(answered))
    distribution = target(contexts)
    assert log.propensity is not None and np.abs(distribution.sum(1) - 1).max() < 1e-12
    weight = take_probability(distribution, log.item) / log.propensity
    terms = weight * log.outcome
    assert weight.std() > 0.3 and weight.mean() == pytest.approx(1, abs=4 * weight.std() / np.sqrt(len(weight)))
    assert truth.oracle is not None and answered.user_ids is not None
    user = answered.user_ids.cast(int).to_numpy()[:, None] - 1
    item = answered.item_ids.cast(int).to_numpy()[None, :] - 1
    each = target(Contexts(count=USERS, num_actions=ITEMS, num_users=USERS, user=np.arange(USERS)))
    value = (each * truth.oracle.rate(user, item)).sum(1).mean()
    error = terms.std() / np.sqrt(len(terms))
    assert terms.mean() == pytest.approx(value, abs=3 * error) and error < 0.02
    run = TrainedRun.load(folder(1))
    exact = np.exp(run.score_catalogue(user[:, 0])[:, item[0]] / 0.01)
    np.testing.assert_allclose(each, exact / exact.sum(1, keepdims=True), rtol=1e-9)

    heads = Thompson(scores=RunScores(folder=folder(0)), prior=0.0).bind(rounds_source(answered))(contexts)
    both = [TopK(scores=RunScores(folder=folder(seed)), k=1).bind(rounds_source(answered))(contexts) for seed in (0, 1)]
    np.testing.assert_allclose(heads, np.mean(both, 0)), "of two seeds, each a draw"

    scores: AbstractScores = RunScores(folder=folder(0))
    some_items = answer(rows.filter(pl.col("item") < 9), truth, "some")
    with pytest.raises(
        RequestError, match=r"is a run of ml100k_semisynthetic, whose 30 items are not the 8 of csv \(8"
    ):
        scores.bind(rounds_source(some_items))
    other_users = replace(answered, user_ids=pl.Series([f"u{k}" for k in range(USERS)]))
    with pytest.raises(RequestError, match=r"lacks 40 of 40 users of the rounds of csv \(first: u0\)"):
        scores.bind(rounds_source(other_users))
    nameless = replace(answered, item_ids=None)
    with pytest.raises(RequestError, match="items are not the 30 of csv"):
        scores.bind(rounds_source(nameless))

    prepared = run.prepared
    held_out = rounds_source(prepared.dataset, prepared.splits.test)
    assert scores.bind(held_out)(Contexts.of_log(prepared.splits.test)).shape == (len(prepared.splits.test), ITEMS)
    trained_rows = prepared.train.take(np.arange(12))
    with pytest.raises(RequestError, match="was trained on 12 of the 12 rounds that the policy is judged by; choose"):
        scores.bind(rounds_source(prepared.dataset, trained_rows))
    with pytest.raises(RequestError, match="its draws are its finished runs, 2, and 3 are needed"):
        scores.draws(rounds_source(answered), 3)
    card = answered.card
    RunScores(folder=Path("runs/default/run")).check(card)  # a row is fine for draws, not for one run
    with pytest.raises(RequestError, match="holds several runs; name one of"):
        RunScores(folder=Path("runs/default/run")).bind(rounds_source(answered))
    with pytest.raises(RequestError, match="no record of a run"):
        RunScores(folder=Path("nowhere")).check(card)


RUN = ["recommend", "runs/none"]
DRAW = [*RUN, "--policy", "uniform"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (RUN, "recommend: no user; give one of --user ID, --users FILE, --new-users FILE or --all\n"),
        ([*RUN, "--all"], "recommend: lists of many users go into a file; name it by --out FILE.parquet"),
        ([*RUN, "--all", "--rounds", "3", "--out", "x.csv"], "--rounds: is of a policy; name one by --policy"),
        ([*RUN, "--user", "1", "--set", "k=3"], "--set: is of a policy or a re-ranker; name one by --policy or"),
        (DRAW, "recommend: no user; give one of --user ID, --users FILE or --all"),
        ([*DRAW, "--all", "--user", "1"], "recommend: --user and --all; give one of"),
        ([*DRAW, "--all", "--top", "3", "--out", "x.csv"], "--top: is of a ranking; a policy draws among all items"),
        ([*DRAW, "--all", "--include-seen"], "--include-seen: is of a ranking"),
        ([*DRAW, "--all"], "--policy: what it draws goes into a file; name it by --out FILE.csv"),
        ([*DRAW, "--all", "--out", "x.txt"], "--out x.txt: is written as CSV; name a file that ends in .csv"),
        ([*DRAW, "--all", "--out", "x.csv", "--rounds", "0"], "--rounds 0: from 1 to 1,000,000"),
        ([*DRAW, "--all", "--out", "x.csv", "--seed", "-1"], "--seed -1: at least 0"),
        ([*DRAW, "--all", "--out", "there.csv"], "--out there.csv: there.items.csv is there already"),
        ([*DRAW, "--all", "--out", "x.csv"], "runs/none/record.json: no record of a run"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.items.csv").touch()
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["there.items.csv"]


def test_wrong_settings_and_users_are_one_line(call: Call) -> None:
    train(call, "0")
    for options, message in (
        (["--policy", "softmx"], "--policy softmx: no such policy; did you mean 'softmax'"),
        (
            ["--policy", "softmax", "--set", "temprature=1"],
            "softmax.temprature: unknown key; did you mean 'temperature'",
        ),
        (["--policy", "softmax", "--set", "temperature=0"], "softmax.temperature=0: input should be greater than 0"),
        (
            ["--policy", "softmax", "--set", "temperature"],
            "--set temperature: is no setting of softmax; write KEY=VALUE",
        ),
        (["--policy", "softmax", "--set", "_target_=os.system"], "is no setting of softmax"),
        (["--policy", "softmax", "--set", "scores={}"], "the scores are those of the run; leave it out"),
        (["--policy", "softmax", "--set", "temperature=[1"], "'[1' is no value in YAML; quote it"),
        (["--policy", "thompson"], "its draws are its finished runs, 1, and 2 are needed; train more seeds of"),
        (["--policy", "logged"], "estimate them: policy estimated_frequencies or estimated_logistic"),
    ):
        code, out, err = call("recommend", str(folder(0)), *options, "--user", "1", "--out", "x.csv")
        assert code == 2 and message in err and err.count("\n") == 1 and out == "", err
    for users, message in (
        ("", "--users few.txt: holds no id; write the ids of users, one a line"),
        ("3\n4\n3\n", "--users few.txt: line 3: user 3 stands in line 1; --rounds N draws several"),
        ("999\n", "user 999: ml100k_semisynthetic has no such user"),
    ):
        Path("few.txt").write_text(users)
        code, _, err = call("recommend", str(folder(0)), "--policy", "uniform", "--users", "few.txt", "--out", "x.csv")
        assert code == 2 and message in err and err.count("\n") == 1, err
    code, _, err = call("recommend", str(folder(0)), "--policy", "uniform", "--users", "no.txt", "--out", "x.csv")
    assert code == 2 and "--users no.txt: is no text that can be read" in err
    assert not Path("x.csv").exists()


def test_an_action_without_mass_is_never_drawn() -> None:
    probability = np.array([[0.0, 0.3, 0.0, 0.7, 0.0]])
    ends = np.array([[0.0, np.nextafter(0.3, 0), 0.3, np.nextafter(1.0, 0)]])
    assert draw_actions(probability, ends).tolist() == [[1, 1, 3, 3]]


TASK_CONF = """\
_target_: causalrec.data.datasets.csv.CsvTables
folder: ./
interactions: answered.csv
items: {file: shown.items.csv, id: item}
outcome: reward
kind: reward
threshold: null
feedback: exposure_logged
propensity: propensity
rounds: true
repeats: allowed
"""


def test_a_deployment_answered_by_the_truth_is_evaluated_within_its_interval(call: Call, tmp_path: Path) -> None:
    """The whole way by the command line: train, deploy, answer, describe the table in YAML, evaluate another run."""
    train(call, "0,1")
    shown = ["--policy", "softmax", "--set", "temperature=0.02", "--rounds", "100", "--all", "--out", "shown.csv"]
    assert call("recommend", str(folder(0)), *shown)[0] == 0
    truth = ML100KSemisynthetic(test_items=10, exposed=0.3).load(tmp_path / "data")
    answer(pl.read_csv("shown.csv"), truth, "answered")
    for group in ("dataset", "graph"):
        Path(f"conf/{group}").mkdir(parents=True)
    Path("conf/dataset/deployed.yaml").write_text(TASK_CONF)
    Path("conf/graph/deployed.yaml").write_text(
        "_target_: causalrec.graph.causal_graph.CausalGraph\n"
        "edges: ['user, item -> exposure, outcome', exposure -> outcome]\n"
    )
    target = (
        "{_target_:causalrec.policies.softmax.Softmax,temperature:0.01,"
        f"scores:{{_target_:causalrec.running.run_scores.RunScores,folder:{folder(1)}}}}}"
    )
    request = ["task=policy_value", "--config-dir", "conf", "dataset=deployed", "learner=null", "logger=none"]
    request += ["task/policy=[uniform]", f"+task.policies.other={target}", "task/value_estimator=[ips,snips]"]
    code, _, err = call("train", *request, "task.folds=2", "evaluation.replicates=200", "name=value")
    assert code == 0, err
    (path,) = Path("runs/default/value").glob("*/record.json")
    scores = {f"{score.metric}@{score.slice}": score for score in RunRecord.load(path).scores}
    assert truth.oracle is not None
    run, users = TrainedRun.load(folder(1)), np.arange(USERS)
    chance = np.exp((ranks := run.score_catalogue(users) / 0.01) - ranks.max(1, keepdims=True))
    rate = truth.oracle.rate(users[:, None], np.arange(ITEMS)[None, :])
    value = float((chance / chance.sum(1, keepdims=True) * rate).sum(1).mean())
    for column in ("ips@other", "snips@other"):
        score = scores[column]
        assert score.low is not None and score.high is not None and score.low < value < score.high, column
        assert score.high - score.low < 0.2
    assert (scores["on_policy@logged"].value or 0) == pytest.approx(pl.read_csv("answered.csv")["reward"].mean())


def test_another_draw_of_a_simulation_holds_rounds_that_a_run_has_not_learnt_from(
    fake_ml100k: FakeML100K, tmp_path: Path
) -> None:
    """Rounds repeat pairs, so that those of two draws have pairs in common, and are other rounds."""
    data = fake_ml100k(tmp_path / "data", users=USERS, items=ITEMS, ratings=500)
    learnt, redrawn = (RatingBandit(rounds=300, draw=draw).load(data) for draw in (0, 1))
    first, second = learnt.logged.take(np.arange(200)), learnt.logged.take(np.arange(200, 300))
    splits = SimpleNamespace(test=second, randomised_sample=None)
    prepared = SimpleNamespace(dataset=learnt, train=first, validation=first, splits=splits)
    run = cast("TrainedRun", SimpleNamespace(prepared=prepared, config=SimpleNamespace(folder="runs/x")))
    match = IdMatch(np.arange(USERS), np.arange(ITEMS))
    check_untrained(run, rounds_source(redrawn), match)
    check_untrained(run, rounds_source(learnt, second), match)
    with pytest.raises(RequestError, match=r"was trained on .* of the 300 rounds that the policy is judged by"):
        check_untrained(run, rounds_source(learnt), match)
