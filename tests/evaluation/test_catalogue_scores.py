"""Whole catalogues, a block of users at a time: the numbers of all rows at once, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from causalrec.config.component import validate_component
from causalrec.data.log import InteractionLog
from causalrec.data.popularity import LEVELS, popularity_levels
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.gpt4rec import GPT4Rec
from causalrec.encoders.mf import MF
from causalrec.errors import CausalRecError, RequestError
from causalrec.estimators.jackknife import two_way_variance
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.macr import MACR
from causalrec.estimators.objective.pda import PDA
from causalrec.estimators.objective.rel_mf import RelMF
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.evaluation.baseline.bias_logistic import BiasLogistic
from causalrec.evaluation.baseline.constant import Constant
from causalrec.evaluation.baseline.popularity import Popularity
from causalrec.evaluation.baseline.user_mean import UserMean
from causalrec.evaluation.baseline_scores import BaselinePredictor
from causalrec.evaluation.catalogue_predictions import blocks_of_rows
from causalrec.evaluation.catalogue_scores import block_users, require_block_memory
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.jackknife import GROUPS
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.full_ranking import full_ranking
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.catalogue_scorer import TowerScorer
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.metrics.auc import AUC
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.top_k import top_scores
from causalrec.models import CausalModel
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.types import OUTCOME, Floats, Ints, LabelKind
from tests.evaluation.test_slices import METRICS, flat, log_of, random_splits

USERS, ITEMS = 40, 30
SPLITS = random_splits()
AT_K = {name: metric for name, metric in METRICS.items() if getattr(metric.target, "at_k", True)}  # no row is read


def scores_of(
    data: SliceData | CatalogueData, predict: Callable[[SliceData], Floats], memory: float = 512
) -> list[Score]:
    return Evaluator(METRICS, [data], 1.0, replicates=20, memory=memory)(predict, "model")


def model_of(objective: AbstractObjective, features: FeatureMatrix, encoder: type = MF) -> NetworkPredictor:
    torch.manual_seed(1)
    history = dataclasses.replace(SPLITS.train, time=np.arange(len(SPLITS.train)))
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path(), history_log=history)
    networks = {
        role: RoleNetwork(encoder(inputs, width=4), Dot(len(features)), ROLE_INPUTS.get(role, "pair"), features)
        for role in objective.roles
    }
    model = CausalModel(networks, "logit")
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.3)
    return NetworkPredictor(model, features, objective)


def numbers(users: int, items: int) -> FeatureMatrix:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(count, width)).astype(np.float32) for count, width in ((USERS, users), (ITEMS, items))]
    return FeatureMatrix(tuple(map(str, range(users + items))), ("item", "user"), *blocks)


def levels() -> FeatureMatrix:
    """A number and a wide category of users, a wide list and a number of items."""
    numbers_of_both, rng = numbers(1, 1), np.random.default_rng(1)
    return dataclasses.replace(
        numbers_of_both,
        names=tuple(map(str, range(13))),
        dense=np.array([0, 12]),
        user_levels=rng.integers(1, 7, size=(USERS, 1)),
        item_levels=np.stack([rng.integers(7, 10, size=ITEMS), rng.choice([-1, 10, 11], ITEMS)], 1),
    )


def three_scores(rows: SliceData) -> Floats:
    """Scores of three values, so that every list is cut within a tie."""
    return (rows.item * 7 % 3 + rows.user % 2).astype(np.float32)


PREDICTORS = {
    "ties": three_scores,
    "constant": lambda rows: np.full(len(rows), 0.5, np.float32),
    "bpr": model_of(BPR(), numbers(0, 0)),
    "columns": model_of(RelMF(), numbers(2, 3)),
    "levels": model_of(RelMF(), levels()),
    "branches": model_of(MACR(reference=0.3), numbers(1, 1)),
    "elu": model_of(PDA(), numbers(0, 0)),
    "histories": model_of(BPR(), numbers(0, 0), GPT4Rec),
}


@pytest.mark.parametrize("memory", [0.004, 512])
@pytest.mark.parametrize("name", PREDICTORS)
def test_every_metric_of_a_ranking_in_blocks_is_that_of_all_rows(name: str, memory: float) -> None:
    ranking, predict = full_ranking(SPLITS), PREDICTORS[name]
    assert block_users(ranking, int(memory * 1e6), rows=False) == (4 if memory < 1 else 139_810)
    streamed, at_once = scores_of(ranking, predict, memory), scores_of(flat(ranking), predict)
    assert [score.metric for score in streamed] == [score.metric for score in at_once] and len(at_once) > 3
    for mine, theirs in zip(streamed, at_once, strict=True):
        assert (mine.value, mine.n) == (pytest.approx(theirs.value, abs=1e-6), theirs.n), mine.metric
        np.testing.assert_allclose(mine.replicates, theirs.replicates, atol=1e-6)
        assert mine.jackknife is not None and theirs.jackknife is not None
        np.testing.assert_allclose(mine.jackknife[0], theirs.jackknife[0], atol=1e-6)  # without groups of users
        np.testing.assert_array_equal(mine.jackknife[0], mine.jackknife[2])  # items stay fixed


def test_histories_are_scored_by_products_too() -> None:
    predictor = PREDICTORS["histories"]
    assert isinstance(predictor, NetworkPredictor)
    scorer = predictor.catalogue_scorer(full_ranking(SPLITS), pairs_at_once=100)
    assert isinstance(scorer, TowerScorer) and scorer.histories is not None
    every = dataclasses.replace(full_ranking(SPLITS), excluded=None, users=np.arange(USERS))  # events among candidates
    scores = predictor.catalogue_scorer(every, pairs_at_once=100)(every.users)
    codes = np.arange(USERS * ITEMS)
    expected = predictor.model.predict(codes // ITEMS, codes % ITEMS, predictor.features, predictor.objective)
    np.testing.assert_allclose(scores.numpy().ravel(), expected, atol=1e-5)


@pytest.mark.parametrize("level", ["head", "torso", "tail"])
def test_positives_of_a_level_stand_among_all_items(level: str) -> None:
    ranking, items = full_ranking(SPLITS), popularity_levels(SPLITS.train, (0.2, 0.8)) == LEVELS.index(level)
    rows = flat(ranking)
    labelled = dataclasses.replace(rows, label=rows.label * items[rows.item])
    streamed = Evaluator(METRICS, [ranking.of_items("level", items), ranking], 1.0, replicates=20)(three_scores, "m")
    for mine, theirs in zip(streamed, scores_of(labelled, three_scores), strict=False):
        assert (mine.slice, mine.value) == ("level", pytest.approx(theirs.value, abs=1e-6)), mine.metric
    assert streamed[0].n == labelled.label.sum() and len(streamed) == 2 * len(scores_of(labelled, three_scores))


def test_users_of_a_level_are_ranked_as_if_they_were_all() -> None:
    ranking, some = full_ranking(SPLITS), np.arange(USERS) % 3 == 1
    streamed = scores_of(ranking.of_users("some", some), three_scores)
    rows = flat(ranking)
    at_once = scores_of(rows.take(np.flatnonzero(some[rows.user])), three_scores)
    assert [score.value for score in streamed] == [pytest.approx(score.value, abs=1e-6) for score in at_once]
    assert streamed[0].n == at_once[0].n


def ndcg_by_hand(train: InteractionLog, validation: InteractionLog, test: InteractionLog, k: int) -> float:
    """NDCG@k of popularity over the test users with an unseen positive, ties in expectation, in plain NumPy."""
    popular = np.bincount(train.item, minlength=train.num_items)
    discount, values = 1 / np.log2(np.arange(k) + 2), []
    seen, chosen = (
        set(np.concatenate([log.codes for log in logs]).tolist()) for logs in ((train, validation), (test,))
    )
    for user in np.unique(test.users).tolist():
        left = [i for i in range(train.num_items) if user * train.num_items + i not in seen]
        positives = {i for i in left if user * train.num_items + i in chosen}
        if not positives:
            continue
        gain, rank = 0.0, 0
        for value in sorted({popular[i] for i in left}, reverse=True):
            ties = [i for i in left if popular[i] == value]
            hits = len(positives & set(ties))
            gain += hits / len(ties) * discount[rank : rank + len(ties)].sum()
            rank += len(ties)
        values.append(gain / discount[: len(positives)].sum())
    return float(np.mean(values))


def test_the_ndcg_of_popularity_is_that_of_twenty_lines() -> None:
    baseline = Popularity()
    baseline.fit(SPLITS.train)
    metric = {"ndcg": validate_component("ndcg", {"_target_": "causalrec.metrics.ndcg.NDCG", "k": 10}, AbstractMetric)}
    (score,) = Evaluator(metric, [full_ranking(SPLITS)], 1.0, replicates=2)(BaselinePredictor(baseline), "popularity")
    expected = ndcg_by_hand(SPLITS.train, SPLITS.validation, SPLITS.test, 10)
    assert score.value == pytest.approx(expected, abs=1e-9) and 0.1 < expected < 0.9


@pytest.mark.parametrize("baseline", [Popularity(), BiasLogistic(l2=(1.0,)), UserMean(), Constant()])
def test_a_baseline_predicts_a_catalogue_as_it_predicts_pairs(baseline: AbstractBaseline) -> None:
    rng = np.random.default_rng(3)
    train = dataclasses.replace(SPLITS.train, outcome=(rng.random(len(SPLITS.train)) < 0.5).astype(np.float32))
    baseline.fit(train)
    data = dataclasses.replace(full_ranking(SPLITS), excluded=None)
    scores = BaselinePredictor(baseline).catalogue_scorer(data, 100)(data.users).numpy()
    pairs = np.repeat(data.users, ITEMS), np.tile(np.arange(ITEMS), len(data.users))
    np.testing.assert_allclose(scores.ravel(), baseline.predict(*pairs), atol=1e-6)


@pytest.mark.parametrize("items", [5, 300, 1_000])
@pytest.mark.parametrize("k", [1, 5])
def test_the_greatest_scores_are_those_of_a_sort(items: int, k: int) -> None:
    score = torch.from_numpy(np.random.default_rng(0).integers(0, 50, (20, items)).astype(np.float32))
    torch.testing.assert_close(top_scores(score, k)[0], score.sort(1, descending=True).values[:, :k])


def truth_of(user: Ints, item: Ints) -> Floats:
    return (((user * 7 + item * 3) % 11) / 11).astype(np.float32)


@pytest.mark.parametrize(("kind", "arm"), [("rate", 0), ("effect", 1)])
def test_true_numbers_of_all_pairs_are_met_in_blocks_as_at_once(kind: LabelKind, arm: int) -> None:
    data = CatalogueData(
        name="all_pairs",
        kind=kind,
        users=np.arange(USERS),
        num_users=USERS,
        num_items=ITEMS,
        truth=truth_of,
        drawn_truth=truth_of,
        arm=arm,
    )
    (rows,) = blocks_of_rows(data, USERS * ITEMS)
    rows = dataclasses.replace(rows, drawn_effect=rows.label if arm else None)
    streamed, at_once = scores_of(data, three_scores, memory=0.2), scores_of(rows, three_scores)
    assert block_users(data, 200_000, rows=True) == 6
    assert [score.metric for score in streamed] == [score.metric for score in at_once] and len(at_once) > 3
    for mine, theirs in zip(streamed, at_once, strict=True):
        assert (mine.value, mine.n) == (pytest.approx(theirs.value, abs=1e-6), theirs.n), mine.metric
        np.testing.assert_allclose(mine.replicates, theirs.replicates, atol=1e-6)


def test_a_bound_too_small_for_the_items_of_a_user_is_refused_with_the_arithmetic() -> None:
    ranking = full_ranking(SPLITS)
    require_block_memory([ranking], AT_K, 0.001)
    message = r"memory_mb=0.0001: on full_ranking one user's 30 items take 16 bytes each, half .* set .*memory_mb=1 or"
    with pytest.raises(RequestError, match=message):
        require_block_memory([ranking], AT_K, 0.0001)
    with pytest.raises(RequestError, match=r"one user's 30 items take 512 bytes each"):
        require_block_memory([ranking], {"map_uncut": METRICS["map_uncut"]}, 0.001)


def test_a_metric_that_keeps_rows_is_refused_where_they_do_not_fit() -> None:
    metric = dataclasses.replace(METRICS["auc"], target=KeepsRows)
    with pytest.raises(RequestError, match=r"on full_ranking rows keeps \d+ rows of 512 bytes, half .*memory_mb=1 or"):
        require_block_memory([full_ranking(SPLITS)], {"rows": metric}, 0.5)


class KeepsRows(AUC):
    """An AUC of choices, which sorts all rows at once."""

    labels = frozenset({"ranking"})


def test_a_metric_of_all_rows_is_exact_in_blocks() -> None:
    metric = {"rows": dataclasses.replace(METRICS["auc"], target=KeepsRows)}
    ranking = full_ranking(SPLITS)
    of_data = (Evaluator(metric, [data], 1.0, replicates=5)(three_scores, "m") for data in (ranking, flat(ranking)))
    (streamed,), (at_once,) = of_data
    assert streamed.value == pytest.approx(at_once.value, abs=1e-9)


def test_users_fewer_than_groups_are_a_group_each() -> None:
    """The standard error is that of a mean of five numbers, whatever else the log has of users."""
    ranking = full_ranking(SPLITS)
    few = ranking.of_users("few", np.isin(np.arange(USERS), ranking.users[::8]))
    table = np.random.default_rng(0).random((USERS, ITEMS)).astype(np.float32)
    alone = dataclasses.replace(few, subset_of=None)  # a part of a slice keeps no values by user
    score, other = (
        next(each for each in scores_of(data, lambda rows: table[rows.user, rows.item]) if each.metric == "ndcg@5")
        for data in (few, alone)
    )
    by_user = other.by_user
    assert score.jackknife is not None and by_user is not None
    by_user = by_user[few.users]
    assert score.jackknife.shape == (3, len(few.users)) and len(few.users) < GROUPS
    assert two_way_variance(score.jackknife) == pytest.approx(np.var(by_user, ddof=1) / len(by_user), rel=1e-4)


def test_a_prediction_that_is_no_number_is_named() -> None:
    def nan_of_item_three(rows: SliceData) -> Floats:
        return np.where(rows.item == 3, np.nan, rows.item).astype(np.float32)

    with pytest.raises(CausalRecError, match=r"^model: \d+ of .* predictions on the slice full_ranking are not finite"):
        scores_of(full_ranking(SPLITS), nan_of_item_three)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read as Linux tells them")
def test_a_ranking_takes_no_more_memory_than_it_may() -> None:
    users, items, megabytes = 1_500, 8_000, 12  # the scores alone are 48 MB
    log = log_of(*((u, u) for u in range(users)), users=users, items=items)
    splits = dataclasses.replace(SPLITS, train=log, validation=log.take(np.arange(1)), test=log.take(np.arange(users)))
    splits = dataclasses.replace(splits, test=dataclasses.replace(log, item=(log.item + 1) % items))
    inputs = EncoderInputs(users, items, (), Path(), Path())
    model = CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=32), Dot(0))}, "logit")
    blocks = [np.zeros((count, 0), np.float32) for count in (users, items)]
    predictor, ranking = NetworkPredictor(model, FeatureMatrix((), (), *blocks), BPR()), full_ranking(splits)
    few = ranking.of_users("few", np.arange(users) < 100)
    Evaluator(AT_K, [dataclasses.replace(few, subset_of=None)], 1.0, replicates=2, memory=megabytes)(predictor, "warm")
    evaluator = Evaluator(AT_K, [ranking], 1.0, replicates=2, memory=megabytes)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_of("VmRSS")
    evaluator(predictor, "model")
    assert memory_of("VmHWM") - before < megabytes * 1e6


def memory_of(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024
