"""What every metric of lists keeps: worked by hand, exact replicates, no dependence on batches, honest intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Lists
from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import package_folder
from causalrec.data.log import InteractionLog
from causalrec.errors import CausalRecError, RequestError
from causalrec.estimators.bootstrap import cluster_weights
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.catalogue import CatalogueData, ListRequest
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.list.base import AbstractListMetric
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.reporting.compare import paired_test
from tests.metrics.toy_lists import toy_dataset, toy_facts, toy_lists

METRICS: dict[str, ComponentConfig[AbstractMetric]] = {
    name: validate_component(f"metric.{name}", node, AbstractMetric)
    for file in sorted((package_folder("conf") / "metric").glob("*.yaml"))
    for name, node in yaml.safe_load(file.read_text()).items()
}
OF_LISTS = {name: chosen for name, chosen in METRICS.items() if issubclass(chosen.target, AbstractListMetric)}
SETTINGS = {"intra_list_diversity": {"column": "genres"}}
CLUSTERS = 20


def build(name: str, clusters: int = CLUSTERS, **settings: object) -> AbstractListMetric:
    metric = OF_LISTS[name].replace(**{**SETTINGS.get(name, {}), **settings}).build(clusters)
    assert isinstance(metric, AbstractListMetric)
    return metric


def value(name: str, lists: Lists, clusters: int = CLUSTERS, **settings: object) -> float:
    metric = build(name, clusters, **settings)
    metric.update_lists(lists)
    return float(metric.compute())


def random_lists(users: int = CLUSTERS, seed: int = 0) -> Lists:
    """Lists of 5 of 12 items, some of them shorter, of users who liked some training items."""
    rng, items = np.random.default_rng(seed), 12
    toy = toy_dataset()
    user, item = rng.integers(0, users, 60), rng.integers(0, items, 60)
    log = InteractionLog(
        item, np.ones(60, np.int64), rng.integers(0, 2, 60).astype(np.float32), items, user, users, name="random"
    )
    table = pl.DataFrame({"genres": [["a"], ["a", "b"], ["c"], ["b", "c"]] * 3})
    dataset = dataclasses.replace(
        toy,
        logged=log,
        item_table=table,
        user_table=toy.user_table.clear(users),
        item_vectors={"look": rng.normal(size=(items, 3)).astype(np.float32)},
    )
    shown = np.array([rng.permutation(items)[:5] for _ in range(users)])
    shown[::4, 3:] = -1
    gain = np.where(shown >= 0, rng.random(shown.shape), 0).astype(np.float32)
    return Lists(np.arange(users), shown, gain, CatalogueFacts(dataset, log))


def rows(lists: Lists, index: np.ndarray) -> Lists:
    assert lists.gain is not None
    return Lists(lists.user[index], lists.item[index], lists.gain[index], lists.facts)


def gini(exposure: list[float]) -> float:
    pairs = sum(abs(a - b) for a in exposure for b in exposure)
    return pairs / (2 * len(exposure) * sum(exposure))


D2 = 1 / math.log2(3)  # of the second place
BY_HAND = [
    ("catalogue_coverage", {}, 3 / 4),
    ("exposure_gini", {}, gini([3, D2, D2, 0])),
    ("exposure_gini", {"discounted": False}, gini([3, 1, 1, 0])),
    ("exposure_entropy", {"discounted": False}, -(0.6 * math.log(0.6) + 0.4 * math.log(0.2)) / math.log(4)),
    ("average_popularity", {}, (1 / 4 + 1 / 8 + 1 / 4) / 3),
    ("novelty", {}, -(2 * math.log2(2 / 5) + (math.log2(2 / 5) + math.log2(1 / 5)) / 2) / 3),
    ("tail_share", {}, (1 / 2 + 1 / 2 + 0) / 3),  # item 1 is of the tail, item 2 is cold
    ("tail_share", {"border": 0.5}, 1.0),  # all but item 3
    ("intra_list_diversity", {}, (1 - 1 / math.sqrt(2) + 1) / 2),  # the third list is too short
    ("intra_list_diversity", {"column": "look"}, (1 - 1 / math.sqrt(2) + 1) / 2),
    ("calibration_kl", {}, 0.5 * math.log(0.5 / 0.5) + 0.5 * math.log(0.5 / 0.005)),  # user 1 alone liked genres
    ("list_gain", {}, (1 / 2 + 1 / 2 + 1) / 3),
    ("list_dcg", {}, (1 + D2 + 1) / 3),
]


@pytest.mark.parametrize(("name", "settings", "expected"), BY_HAND)
def test_each_is_what_a_hand_makes_of_toy_lists(name: str, settings: dict[str, object], expected: float) -> None:
    assert value(name, toy_lists(), 4, **settings) == pytest.approx(expected, abs=1e-7)


def test_a_title_is_compared_by_its_words() -> None:
    rare, both = math.log(5 / 2) + 1, math.log(5 / 3) + 1  # red and coat stand in two of four titles, the others in one
    first, second, third = {"red": both, "coat": both}, {"red": both, "hat": rare}, {"blue": rare, "coat": both}

    def cosine(mine: dict[str, float], theirs: dict[str, float]) -> float:
        lengths = [math.sqrt(sum(weight**2 for weight in each.values())) for each in (mine, theirs)]
        return sum(mine[word] * theirs.get(word, 0) for word in mine) / math.prod(lengths)

    expected = 1 - (cosine(first, second) + cosine(first, third)) / 2
    assert value("intra_list_diversity", toy_lists(), 4, column="title") == pytest.approx(expected, abs=1e-6)


def test_every_metric_of_lists_is_worked_by_hand() -> None:
    assert {name for name, _, _ in BY_HAND} == set(OF_LISTS) and len(OF_LISTS) == 10


@pytest.mark.parametrize("name", OF_LISTS)
def test_replicates_are_the_metric_of_resampled_lists(name: str) -> None:
    lists, weights = random_lists(), cluster_weights(CLUSTERS, 30, 1)
    metric = build(name)
    metric.update_lists(lists)
    if isinstance(metric, AbstractListMean):
        alone = np.array([value(name, rows(lists, np.array([user]))) for user in range(CLUSTERS)])
        defined = np.isfinite(alone)
        expected = (weights[:, defined] @ alone[defined]) / weights[:, defined].sum(1)
        np.testing.assert_allclose(metric.by_user_means(), alone, rtol=1e-6)
    else:
        copies = [np.repeat(np.arange(CLUSTERS), times.astype(int)) for times in weights]
        resampled = [dataclasses.replace(rows(lists, each), user=np.arange(CLUSTERS)) for each in copies]
        expected = np.array([value(name, each) for each in resampled])
    replicates = metric.replicates(torch.from_numpy(weights)).numpy()
    np.testing.assert_allclose(replicates, expected, rtol=1e-9)
    assert len(set(replicates)) > (1 if name == "catalogue_coverage" else 20)


@pytest.mark.parametrize("name", OF_LISTS)
def test_two_updates_equal_one_and_a_reset_forgets(name: str) -> None:
    lists, metric = random_lists(), build(name)
    for _ in range(2):
        for index in (np.arange(12, CLUSTERS), np.arange(12)):
            metric.update_lists(rows(lists, index))
        assert float(metric.compute()) == pytest.approx(value(name, lists), rel=1e-12)
        metric.reset()
    weights = torch.ones(1, CLUSTERS, dtype=torch.float64)
    metric.update_lists(lists)
    assert float(metric.replicates(weights)[0]) == pytest.approx(float(metric.compute()), rel=1e-12)


@pytest.mark.parametrize("name", OF_LISTS)
def test_it_is_of_lists_and_says_so(name: str) -> None:
    metric = build(name)
    assert metric.labels == {"lists"} and metric.higher_is_better is not None
    nothing = torch.zeros(1)
    with pytest.raises(CausalRecError, match="of lists"):
        metric.update(Scored(nothing, nothing, nothing.long(), 0.0))


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("catalogue_coverage", [[0, 1], [2, 3]], [[0, 1], [0, 1]]),
        ("exposure_gini", [[0, 1], [2, 3]], [[0, 1], [0, 1]]),
        ("exposure_entropy", [[0, 1], [2, 3]], [[0, 1], [0, 1]]),
        ("average_popularity", [[0, 2]], [[3, 0]]),
        ("tail_share", [[1, 2]], [[3, 0]]),
        ("novelty", [[0, 2]], [[3, 0]]),
        ("intra_list_diversity", [[0, 2]], [[0, 1]]),
    ],
)
def test_its_direction_is_that_of_what_it_is_about(name: str, better: list[list[int]], worse: list[list[int]]) -> None:
    lists = [Lists(np.arange(len(each)), np.array(each), None, toy_facts()) for each in (better, worse)]
    values = [value(name, each, 4) for each in lists]
    assert (values[0] > values[1]) == OF_LISTS[name].build(1).higher_is_better


def test_a_list_with_the_genres_that_its_user_liked_is_calibrated() -> None:
    lists = Lists(np.array([1]), np.array([[1, -1]]), None, toy_facts())
    assert value("calibration_kl", lists, 4) == pytest.approx(0, abs=1e-12)


def test_users_who_are_left_out_are_counted() -> None:
    metric = build("calibration_kl", 4)
    metric.update_lists(toy_lists())
    assert isinstance(metric, AbstractListMean)
    (line,) = metric.warnings
    assert line.startswith("2 of 3 users liked no training item, or are shown none, that the column")


def test_a_line_of_users_who_are_left_out_comes_once() -> None:
    lists = ListRequest(k=1, facts=toy_facts())
    rows = CatalogueData(name="lists", kind="lists", users=np.arange(4), num_users=4, num_items=4, lists=lists)
    of_genres = {
        "kl": validate_component("kl", {"_target_": _path("calibration_kl"), "column": "genres"}, AbstractMetric)
    }
    (score,) = Evaluator(of_genres, [rows], 0.5)(lambda data: data.item.astype(np.float32), "m")
    assert score.warnings == (
        "4 of 4 users liked no training item, or are shown none, that the column says something of, and are left out",
    )


def test_a_column_that_says_nothing_of_any_item_leaves_all_users_out() -> None:
    dataset = toy_dataset()
    silent = dataset.item_table.with_columns(title=pl.lit(""), genres=pl.lit(None, pl.List(pl.String)))
    facts = CatalogueFacts(dataclasses.replace(dataset, item_table=silent), dataset.logged)
    lists = dataclasses.replace(toy_lists(), facts=facts)
    assert math.isnan(value("intra_list_diversity", lists, 4, column="title"))
    assert math.isnan(value("intra_list_diversity", lists, 4, column="genres"))
    assert math.isnan(value("calibration_kl", lists, 4, column="genres"))


def test_nobody_liked_what_nobody_was_shown() -> None:
    train = toy_dataset().logged
    facts = CatalogueFacts(toy_dataset(), dataclasses.replace(train, treatment=np.zeros(len(train), np.int64)))
    assert len(facts.liked.item) == 0 and not facts.audience.any()


def test_extremes_of_exposure() -> None:
    facts = toy_facts()
    alike = Lists(np.arange(4), np.arange(4)[:, None], None, facts)
    single = Lists(np.arange(4), np.zeros((4, 1), np.int64), None, facts)
    assert [value(n, alike, 4) for n in ("exposure_gini", "exposure_entropy")] == pytest.approx([0, 1])
    assert [value(n, single, 4) for n in ("exposure_gini", "exposure_entropy")] == pytest.approx([3 / 4, 0])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("intra_list_diversity", {"column": "genre"}, "column=genre: no such column of items; did you mean 'genres'"),
        (
            "intra_list_diversity",
            {"column": "year"},
            "column=year: is of kind numeric, by which items are not compared",
        ),
        ("intra_list_diversity", {"column": None}, "column: name a column of items: genres, title, look"),
        ("intra_list_diversity", {"column": "title", "model": "/nowhere"}, "model=/nowhere: no such folder; name one"),
        ("intra_list_diversity", {"column": "look", "model": "/nowhere"}, "model=/nowhere: column look is no text"),
        ("calibration_kl", {"column": "title"}, "column=title: is of kind text, by which items are not compared"),
    ],
)
def test_a_column_that_cannot_be_read_is_refused(name: str, settings: dict[str, object], message: str) -> None:
    metric = validate_component("metric", {"_target_": _path(name), **settings}, AbstractMetric).build(1)
    with pytest.raises(RequestError) as refusal:
        metric.check(toy_dataset().card)
    assert str(refusal.value).startswith(message)


def test_without_columns_of_items_nothing_is_compared() -> None:
    with pytest.raises(RequestError, match=r"^column: toy has no column of items of categories or lists"):
        OF_LISTS["calibration_kl"].build(1).check(toy_dataset(()).card)


def test_a_folder_that_is_no_model_is_refused(tmp_path: object) -> None:
    metric = build("intra_list_diversity", 1, column="title", model=tmp_path)
    with pytest.raises(RequestError, match=r"^model=.*: no config.json in it"):
        metric.check(toy_dataset().card)


def _path(name: str) -> str:
    return str(OF_LISTS[name].to_dict()["_target_"])


class Draw:
    """Lists drawn without replacement, items by a power of their rank: what users of a population are shown."""

    def __init__(self, seed: int, items: int, power: float = 1.0) -> None:
        self.rng, self.items = np.random.default_rng(seed), items
        self.log_chance = -power * np.log(np.arange(1, items + 1))

    def scores(self, users: int) -> torch.Tensor:
        return torch.from_numpy((self.log_chance + self.rng.gumbel(size=(users, self.items))).astype(np.float32))

    def catalogue_scorer(self, data: CatalogueData, pairs_at_once: int) -> object:
        return lambda users: self.scores(len(users))

    def __call__(self, data: object) -> np.ndarray:
        raise AssertionError("is scored by its catalogue")


def slice_of(users: int, items: int, k: int) -> CatalogueData:
    rng, toy = np.random.default_rng(0), toy_dataset()
    size = 10 * users
    user, item = rng.integers(0, users, size), rng.zipf(1.5, size) % items
    log = InteractionLog(
        item, np.ones(size, np.int64), rng.integers(0, 2, size).astype(np.float32), items, user, users, name="drawn"
    )
    dataset = dataclasses.replace(
        toy,
        logged=log,
        item_table=pl.DataFrame({"genres": [[str(name)] for name in rng.choice(list("abcd"), items)]}),
        user_table=toy.user_table.clear(users),
        item_vectors={"look": np.ones((items, 2), np.float32)},
    )
    facts = CatalogueFacts(dataset, log)
    request = ListRequest(k=k, facts=facts, gains=lambda user, item: (item % 3).astype(np.float32))
    sizes = {"users": np.arange(users), "num_users": users, "num_items": items}
    return CatalogueData(name="lists", kind="lists", lists=request, jackknife=True, **sizes)  # type: ignore[arg-type]


def draws(count: int, users: int, items: int, k: int) -> list[list[Score]]:
    metrics = {name: chosen.replace(**SETTINGS.get(name, {})) for name, chosen in OF_LISTS.items()}
    evaluator = Evaluator(metrics, [slice_of(users, items, k)], 0.5)
    return [evaluator(Draw(seed, items), "draw") for seed in range(count)]  # type: ignore[arg-type]


@pytest.mark.long
def test_intervals_hold_the_expectation_at_as_many_users() -> None:
    """Of 300 draws; that of catalogue_coverage is wide, as leaving a group out loses what its users alone see."""
    scores = draws(300, 200, 150, 5)
    held = {}
    for k, name in enumerate(OF_LISTS):
        of_metric = [each[k] for each in scores]
        truth = np.mean([score.value for score in of_metric])
        held[name] = np.mean([score.low <= truth <= score.high for score in of_metric])
    assert all(0.9 <= share <= 0.99 + (name == "catalogue_coverage") * 0.01 for name, share in held.items()), held


@pytest.mark.long
def test_the_bias_of_a_jackknife_is_that_against_many_users() -> None:
    """Exact to a tenth for the entropy, whose bias falls as 1 / users; of the others it tells the direction."""
    users, items, k = 200, 150, 5
    scores = draws(60, users, items, k)
    many = Evaluator(OF_LISTS_OF_CATALOGUE, [slice_of(40_000, items, k)], 0.5)(Draw(99, items), "draw")  # type: ignore[arg-type]
    estimates = {}
    for limit in many:
        mine = [score for each in scores for score in each if score.metric == limit.metric]
        estimated = np.mean([float(score.note.removeprefix("bias ")) for score in mine])
        estimates[limit.metric] = (estimated, np.mean([score.value for score in mine]) - limit.value)
    for estimated, bias in estimates.values():
        assert np.sign(estimated) == np.sign(bias) and 0.4 < estimated / bias < 2.5, estimates
    estimated, bias = estimates["exposure_entropy"]
    assert estimated == pytest.approx(bias, rel=0.1), estimates


OF_LISTS_OF_CATALOGUE = {name: chosen for name, chosen in OF_LISTS.items() if chosen.target.of_catalogue}  # type: ignore[attr-defined]


@pytest.mark.long
def test_two_models_alike_differ_no_more_often_than_they_should() -> None:
    """The paired test of numbers of a catalogue, of 200 pairs of models drawn alike: about 5 % are called real."""
    evaluator = Evaluator(OF_LISTS_OF_CATALOGUE, [slice_of(60, 80, 4)], 0.5)
    p: dict[str, list[float]] = {name: [] for name in OF_LISTS_OF_CATALOGUE}
    for seed in range(200):
        pair = [evaluator(Draw(2 * seed + model, 80), "draw") for model in (0, 1)]  # type: ignore[arg-type]
        for mine, theirs in zip(*pair, strict=True):
            assert mine.jackknife is not None and theirs.jackknife is not None
            difference = np.array([mine.value - theirs.value])
            p[mine.metric].append(paired_test(difference, mine.jackknife - theirs.jackknife)[3])
    shares = {name: np.mean(np.array(each) < 0.05) for name, each in p.items()}
    assert max(shares.values()) <= 0.1, shares  # of 200, P(more than 20) is below 0.002


def test_the_interval_of_a_share_ends_at_its_bounds() -> None:
    of_coverage = {"catalogue_coverage": OF_LISTS["catalogue_coverage"]}
    (score,) = Evaluator(of_coverage, [slice_of(60, 12, 4)], 0.5)(Draw(0, 12), "draw")  # type: ignore[arg-type]
    assert score.value == 1.0 and (score.low, score.high) == (1.0, 1.0) and score.note == "bias +0.000"
    (score,) = Evaluator(of_coverage, [slice_of(60, 80, 4)], 0.5)(Draw(0, 80), "draw")  # type: ignore[arg-type]
    assert 0 < score.low < score.value < score.high <= 1 and score.n == 60
    assert score.jackknife is not None and score.jackknife.shape == (3, 20)
