"""Whole rankings judged by a sample: unbiased over draws of exposure, intervals that hold the truth, refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import package_folder
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_sample import PairSample
from causalrec.data.split.random import Random
from causalrec.data.split.temporal import Temporal
from causalrec.errors import RequestError
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.inclusion import met_codes
from causalrec.evaluation.metric_warnings import undefined_metrics, unjudged_samples
from causalrec.evaluation.slice.base import OUTCOME_KINDS, SliceData, select_all
from causalrec.evaluation.slice.by_column import ColumnSlice
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.lists import ListsSlice
from causalrec.evaluation.slice.weighted_ranking import WeightedRankingSlice
from causalrec.metrics.base import AbstractMetric
from causalrec.types import Doubles, Floats, Ints
from tests.evaluation.slice_source import Source

ITEMS, K = 40, 5
COVERAGE = {"_target_": "causalrec.metrics.list.catalogue_coverage.CatalogueCoverage"}
FILES = [
    package_folder("conf") / "metric" / f"weighted_{name}.yaml" for name in ("precision", "dcg", "recall_count", "ap")
]
METRICS: dict[str, ComponentConfig[AbstractMetric]] = {
    name.partition("@")[0]: validate_component(name, {**node, "k": K}, AbstractMetric)
    for file in FILES
    for name, node in yaml.safe_load(file.read_text()).items()
}


@dataclasses.dataclass(frozen=True)
class World:
    """Users whose scores, outcomes and exposures all rise with the same taste."""

    score: Floats
    outcome: Floats
    propensity: Floats

    @staticmethod
    def draw(users: int, seed: int) -> World:
        rng = np.random.default_rng(seed)
        taste = rng.normal(size=(users, ITEMS)) + rng.normal(size=(users, 1)) / 2
        score = (taste + rng.normal(size=taste.shape)).round(1)  # with ties
        outcome = rng.random(taste.shape) < 1 / (1 + np.exp(-taste))
        propensity = 0.15 + 0.6 / (1 + np.exp(-taste))
        return World(*(column.astype(np.float32) for column in (score, outcome, propensity)))

    def log(self, codes: Ints, name: str = "log", **columns: Any) -> InteractionLog:
        return InteractionLog(
            item=codes % ITEMS,
            treatment=np.ones(len(codes), np.int64),
            outcome=self.outcome.ravel()[codes],
            num_items=ITEMS,
            user=codes // ITEMS,
            num_users=len(self.score),
            name=name,
            **columns,
        )

    def dataset(self, logged: InteractionLog, randomised: InteractionLog | None = None, **card: Any) -> CausalDataset:
        facts = {"feedback": "explicit", "unseen": "keep", "randomised": None if randomised is None else "yes", **card}
        columns = (Column("side", "user", "category"), Column("kind", "item", "category"))
        toy = DatasetCard("toy", "test", "none", (), {}, columns, "click", **facts)
        users = pl.DataFrame({"side": np.where(np.arange(len(self.score)) % 2, "odd", "even")})
        return CausalDataset(toy, logged, users, pl.DataFrame({"kind": ["a", "b"] * (ITEMS // 2)}), randomised)

    def logged_source(self, seed: int) -> Source:
        """Pairs exposed by chance, of which a half is the test."""
        shown = np.random.default_rng([seed, 1]).random(self.propensity.shape) < self.propensity
        codes = np.flatnonzero(shown)
        dataset = self.dataset(self.log(codes, propensity=self.propensity.ravel()[codes]))
        return Source(dataset, Random(validation=0.1, test=0.5, seed=seed)(dataset))

    def randomised_source(self, seed: int, per_user: int = 12) -> Source:
        """Items of each user, drawn uniformly, beside a log that follows taste."""
        rng = np.random.default_rng([seed, 2])
        logged = np.flatnonzero(rng.random(self.propensity.shape) < self.propensity / 2)
        tested = np.concatenate(
            [u * ITEMS + rng.choice(ITEMS, per_user, replace=False) for u in range(len(self.score))]
        )
        dataset = self.dataset(self.log(logged), self.log(tested, "test"))
        return Source(dataset, Random(validation=0.1)(dataset))

    def truth(self, source: Source) -> CatalogueData:
        """The same rankings, judged by the outcomes of all candidates."""
        data = ranking_of(source)
        candidate = np.zeros(self.score.shape, bool)
        candidate[data.users] = True
        candidate.ravel()[met_codes(source.splits)] = False
        every = self.log(np.flatnonzero(candidate))
        return dataclasses.replace(data, name="truth", sample=PairSample.of(every, *np.ones((2, len(every)))))

    def predict(self, data: SliceData) -> Floats:
        return self.score[data.user, data.item]


def ranking_of(source: Source) -> CatalogueData:
    (data,) = WeightedRankingSlice().select(source)
    return data


def compare(world: World, source: Source, **settings: Any) -> dict[str, tuple[Score, float]]:
    """Score the rankings by metric, beside the truth."""
    data = [dataclasses.replace(each, jackknife=False) for each in (ranking_of(source), world.truth(source))]
    scores = Evaluator(METRICS, data, 0.5, **settings)(world.predict, "model")
    truth = {score.metric: score.value for score in scores if score.slice == "truth"}
    return {score.metric: (score, truth[score.metric]) for score in scores if score.slice != "truth"}


def draw_source(world: World, kind: str, seed: int) -> Source:
    return world.logged_source(seed) if kind == "logged" else world.randomised_source(seed)


def z_score(errors: Doubles) -> float:
    return abs(float(np.mean(errors))) / float(np.std(errors, ddof=1) / np.sqrt(len(errors)))


@pytest.fixture(scope="module", params=["logged", "randomised"])
def errors(request: pytest.FixtureRequest) -> dict[str, Doubles]:
    """What each metric misses the truth by, over 200 draws of exposure."""
    world = World.draw(60, 0)
    compared = [compare(world, draw_source(world, request.param, seed), replicates=2) for seed in range(1000, 1200)]
    return {name: np.array([each[name][0].value - each[name][1] for each in compared]) for name in METRICS}


@pytest.mark.parametrize("name", [name for name in METRICS if not name.endswith("snips")])
def test_weighted_forms_are_unbiased_over_200_draws_of_exposure(errors: dict[str, Doubles], name: str) -> None:
    assert z_score(errors[name]) < 1.97  # the interval of the mean holds 0


@pytest.mark.parametrize("name", [name for name in METRICS if name.endswith("snips")])
def test_snips_errs_less_and_its_bias_is_small(errors: dict[str, Doubles], name: str) -> None:
    assert np.std(errors[name]) < 0.8 * np.std(errors[name.removesuffix("_snips")])
    assert abs(np.mean(errors[name])) < 0.2 * np.std(errors[name])


def test_probabilities_that_forget_what_training_took_are_biased() -> None:
    world, shares = World.draw(60, 0), []
    for seed in range(40):
        source = world.logged_source(seed)
        data, truth = ranking_of(source), world.truth(source)
        propensity = source.splits.test.propensity
        assert data.sample is not None and propensity is not None
        sample = PairSample.of(source.splits.test, propensity.astype(np.float64), np.ones(len(propensity)))
        naive = dataclasses.replace(data, name="naive", sample=sample)
        chosen = {"weighted_precision": METRICS["weighted_precision"]}
        values = [score.value for score in Evaluator(chosen, [naive, truth], 0.5, replicates=2)(world.predict, "model")]
        shares.append(values[0] / values[1])
    assert np.mean(shares) > 1.15


def test_users_without_a_test_row_count_too() -> None:
    world = World.draw(60, 0)
    codes = np.arange(0, 60 * ITEMS, 4)
    dataset = world.dataset(world.log(codes, propensity=np.full(len(codes), 0.25, np.float32)))
    source = Source(dataset, Random(test=0.05)(dataset))
    assert len(np.unique(source.splits.test.users)) < 40
    assert ranking_of(source).users.tolist() == np.unique(source.splits.train.users).tolist() == list(range(60))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["logged", "randomised"])
def test_intervals_hold_the_truth_of_a_population(kind: str) -> None:
    """Users are drawn anew with each exposure, as the bootstrap has it: .90 to .99 of 400 intervals of 95 %."""
    many = World.draw(20_000, 1)
    population = compare(many, draw_source(many, kind, 0), replicates=2)
    holds: dict[str, list[bool]] = {name: [] for name in METRICS}
    for seed in range(400):
        world = World.draw(100, 10 + seed)
        for name, (score, _) in compare(world, draw_source(world, kind, seed), replicates=200).items():
            holds[name].append(score.low <= population[name][1] <= score.high)
    shares = {name: float(np.mean(held)) for name, held in holds.items()}
    assert {name: share for name, share in shares.items() if not 0.9 <= share <= 0.99} == {}, shares


def test_values_of_scores_do_not_depend_on_blocks_or_on_other_slices() -> None:
    world = World.draw(60, 0)
    source = world.randomised_source(0)
    (lists,) = ListsSlice(k=3).select(source)
    assert lists.rows_key == ranking_of(source).rows_key  # the same users and candidates, ranked for another kind
    metrics = {**METRICS, "catalogue_coverage": validate_component("catalogue_coverage", COVERAGE, AbstractMetric)}
    together = Evaluator(metrics, [lists, ranking_of(source)], 0.5, memory=0.01)(world.predict, "model")
    alone = Evaluator(METRICS, [ranking_of(source)], 0.5)(world.predict, "model")
    assert [score.slice for score in together] == ["lists"] + ["weighted_ranking"] * len(METRICS)
    for mine, theirs in zip(together[1:], alone, strict=True):
        assert (mine.value, mine.low, mine.high, mine.n) == pytest.approx(
            (theirs.value, theirs.low, theirs.high, theirs.n)
        )
        assert mine.jackknife is not None and mine.jackknife.shape[0] == 3


def test_users_of_a_column_are_ranked_alone_and_items_are_refused() -> None:
    world = World.draw(60, 0)
    source = world.randomised_source(0)
    of_users = ColumnSlice(column="side", of=WeightedRankingSlice())
    odd = [data for data in of_users.select(source) if data.name.endswith("odd")]
    score, *_ = Evaluator(METRICS, odd, 0.5)(world.predict, "model")
    halves = dataclasses.replace(ranking_of(source), users=np.arange(1, 60, 2))
    expected, *_ = Evaluator(METRICS, [halves], 0.5)(world.predict, "model")
    assert (score.slice, score.value, score.n) == ("weighted_ranking_side=odd", expected.value, expected.n)
    with pytest.raises(RequestError, match=r"column=kind: is one of items, and weighted_ranking can be cut by users"):
        list(ColumnSlice(column="kind", of=WeightedRankingSlice()).select(source))


def test_a_block_observed_whole_is_ranked_among_its_items_alone() -> None:
    score = np.random.default_rng(0).random((6, ITEMS)).astype(np.float32)
    world = dataclasses.replace(World.draw(6, 0), score=score)
    block = np.array([user * ITEMS + item for user in range(3) for item in range(0, ITEMS, 4)])
    dataset = world.dataset(world.log(np.arange(3 * ITEMS, 6 * ITEMS)), world.log(block), unbiased="fully_observed")
    data = ranking_of(Source(dataset, Random()(dataset)))
    assert data.list_lengths.tolist() == [10] * 3
    (scored, *_) = Evaluator({"p": METRICS["weighted_precision"]}, [data], 0.5, replicates=2)(world.predict, "model")
    score_table, outcome = world.score[:3, ::4], world.outcome[:3, ::4]
    values = [outcome[u][score_table[u] > np.sort(score_table[u])[-K - 1]].sum() / K for u in range(3)]
    assert scored.value == pytest.approx(np.mean(values))


def test_the_note_says_what_the_weights_rest_on() -> None:
    world = World.draw(60, 0)
    note = ranking_of(world.randomised_source(0)).note
    assert "720 test rows" in note and "the user's test rows over the user's items without a logged row" in note
    assert "greatest weight" in note and "\n" not in note
    assert "(as logged)" in ranking_of(world.logged_source(0)).note


def test_graded_outcomes_leave_average_precision_out_with_a_line() -> None:
    world = World.draw(60, 0)
    graded = dataclasses.replace(world, outcome=world.outcome * 4)
    source = graded.randomised_source(0)
    data = ranking_of(source)
    scores = {score.metric: score.value for score in Evaluator(METRICS, [data], 0.5)(world.predict, "model")}
    assert not any("ap" in name for name in scores) and scores["weighted_precision"] > 1
    (line,) = undefined_metrics(METRICS, [data])
    assert line == (
        "weighted_ap, weighted_ap_snips are left out on weighted_ranking: they count positives, and outcomes are graded"
    )


def test_a_sample_that_no_metric_is_of_is_named() -> None:
    data = ranking_of(World.draw(60, 0).randomised_source(0))
    auc = validate_component("auc", {"_target_": "causalrec.metrics.auc.AUC"}, AbstractMetric)
    assert "weighted_ranking: no metric of the run is of it" in unjudged_samples({"auc": auc}, [data])[0]
    assert unjudged_samples(METRICS, [data]) == []


def test_what_is_refused_is_named_by_the_slice() -> None:
    world = World.draw(60, 0)
    logged = world.log(np.arange(0, 60 * ITEMS, 3), time=np.arange(60 * ITEMS // 3))
    dataset = world.dataset(logged)
    with pytest.raises(RequestError, match=r"^slice=weighted_ranking: split: its test is no random draw .* set split="):
        select_all({"weighted_ranking": WeightedRankingSlice()}, Source(dataset, Temporal()(dataset)), OUTCOME_KINDS)
    with pytest.raises(RequestError, match=r"use slice=\[full_ranking\]"):
        WeightedRankingSlice().check(dataclasses.replace(dataset.card, feedback="positive_only"))
