"""Upworthy headlines: pairs within one test and image, both rates of each, whole tests held out."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import require
from test_upworthy import HEADER, arm

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets import upworthy
from causalrec.data.datasets.upworthy_headlines import UpworthyHeadlines, headlines, pair_headlines
from causalrec.data.log import InteractionLog
from causalrec.data.split.random import Random
from causalrec.data.text import texts_of
from causalrec.errors import DataError
from causalrec.running.prepare import plan_run

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
ARMS = [
    arm("t1", "One <b>short</b> line", 1000, 10),
    arm("t2", "Lone in its group", 900, 9, image="e1"),  # the image of another test
    arm("t1", "One short line", 3000, 50),  # the same headline and image: 60 of 4,000 together
    arm("t1", "Would 'you' take 3 of these?", 1000, 40, week=201445),
    arm("t1", "Another image", 1000, 90, image="e2"),
    arm("t2", "No image", 900, 9, image=""),
    arm("t2", "No image either", 900, 18, image=""),
    arm("t3", "Up", 200, 1),
    arm("t3", "Down", 400, 6),
    arm("t3", "Left", 500, 20),
    arm("t4", "Doubted", 100, 1, week=201330),
    arm("t4", "Doubted too", 100, 2, week=201330),
]
RATES = {"One short line": 1.5, "Would 'you' take 3 of these?": 4.0, "Up": 0.5, "Down": 1.5, "Left": 4.0}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write arms as the owner's file."""

    def write_arms(arms: list[list[str]] = ARMS) -> Path:
        path = tmp_path / "upworthy" / next(iter(upworthy.OFFICIAL.files))
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([["", *HEADER], *([k, *row] for k, row in enumerate(arms))])
        return tmp_path

    return write_arms


def all_rows(data: CausalDataset) -> InteractionLog:
    """Logged and held-out rows, by pair and treatment."""
    assert data.randomised is not None
    log = data.logged.concatenate(data.randomised)
    return log.take(np.lexsort((log.treatment, log.item)))


def pairs_of(data: CausalDataset) -> list[tuple[str, str]]:
    return list(data.item_table.select("first", "second").iter_rows())


@pytest.mark.parametrize("seed", range(4))
def test_each_pair_stands_under_both_headlines_with_the_rate_of_each(write: Write, seed: int) -> None:
    data = UpworthyHeadlines(seed=seed).load(write())
    log, pairs = all_rows(data), pairs_of(data)
    assert len(pairs) == 3 and log.item.tolist() == [0, 0, 1, 1, 2, 2] and log.treatment.tolist() == [0, 1] * 3
    assert log.outcome.tolist() == pytest.approx([RATES[headline] for pair in pairs for headline in pair])
    assert log.propensity is not None and (log.propensity == 0.5).all()


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_of_one_test_and_image_and_share_one_first(write: Write, seed: int) -> None:
    pairs = pairs_of(UpworthyHeadlines(seed=seed).load(write()))
    assert {frozenset(pair) for pair in pairs[:1]} == {frozenset(["One short line", "Would 'you' take 3 of these?"])}
    (first,) = {first for first, _ in pairs[1:]}
    assert {first, *(second for _, second in pairs[1:])} == {"Up", "Down", "Left"}


@pytest.mark.long
def test_the_first_is_drawn_evenly_and_a_group_draws_apart_from_others(write: Write) -> None:
    root = write()
    draws = [pairs_of(UpworthyHeadlines(seed=seed).load(root)) for seed in range(150)]
    counts = pl.Series([pairs[1][0] for pairs in draws]).value_counts()["count"].to_list()
    assert len(counts) == 3 and min(counts) > 30
    assert len({(pairs[0][0], pairs[1][0]) for pairs in draws}) == 6
    assert draws[7] == pairs_of(UpworthyHeadlines(seed=7).load(root))


def test_columns_are_the_second_less_the_first(write: Write) -> None:
    root = write()
    names = ["words", "characters", "question", "digits", "quotes", "second_person", "week"]
    by_first = {}
    for seed in range(10):
        table = UpworthyHeadlines(seed=seed).load(root).item_table
        by_first[table["first"][0]] = table.select(names).row(0)
    differences = (3, 14, 1, 1, 1, 1)
    assert by_first["One short line"] == (*differences, 97)
    assert by_first["Would 'you' take 3 of these?"] == (*(-value for value in differences), 97)


@pytest.mark.parametrize(
    ("column", "headline", "count"),
    [
        ("quotes", "He Said “No”", 1),
        ("quotes", 'He Said "No"', 1),
        ("quotes", "The 'F' Word", 1),
        ("quotes", "'Cause They're Here", 0),
        ("quotes", "It's Peoples' Choice", 0),
        ("second_person", "If You're Here", 1),
        ("second_person", "Look Yourself", 1),
        ("second_person", "A Young Man", 0),
        ("question", "Why? Because.", 1),
        ("digits", "The 1st", 1),
        ("digits", "The first", 0),
    ],
)
def test_what_a_column_counts(column: str, headline: str, count: int) -> None:
    group = pl.DataFrame(
        {
            "clickability_test_id": ["t", "t"],
            "eyecatcher_id": ["e", "e"],
            "headline": ["Plain", headline],
            "clicks": [1, 1],
            "impressions": [10, 10],
            "test_week": [201446, 201446],
        }
    )
    (pair,) = pair_headlines(headlines(group), 0).to_dicts()
    assert pair[column] == (count if pair["second"] == headline else -count)


def test_tests_of_doubted_weeks_are_left_out_and_the_card_says_so(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    root = write()
    with caplog.at_level("INFO"):
        data = UpworthyHeadlines().load(root)
    assert "upworthy_headlines: 1 tests, 2 arms of doubted weeks left out" in caplog.text
    assert "5 headlines in 2 groups of 2 tests" in caplog.text
    assert str(data.card.randomised).endswith("201325..201402, whose randomisation the owners doubt, left out")
    with_doubted = UpworthyHeadlines(keep_unreliable=True)
    assert with_doubted.load(root).user_table["test"].to_list() == ["t1", "t3", "t4"]
    assert str(with_doubted.card.randomised).endswith("doubt, kept")


def many(groups: int) -> list[list[str]]:
    sizes = np.random.default_rng(0).integers(2, 7, groups)
    return [arm(f"t{k}", f"Headline {n}", 100, n + 1) for k, size in enumerate(sizes) for n in range(size)]


@pytest.mark.parametrize("seed", range(5))
def test_whole_tests_are_held_out_and_as_many_pairs_whatever_the_seed(write: Write, seed: int) -> None:
    data = UpworthyHeadlines(seed=seed, test_share=0.3).load(write(many(40)))
    assert data.randomised is not None and data.logged.user is not None and data.randomised.user is not None
    assert not set(data.logged.user) & set(data.randomised.user)
    assert set(data.logged.user) | set(data.randomised.user) == set(range(40))
    assert len(data.randomised) == 2 * round(0.3 * data.logged.num_items)
    test = [data.user_table["test"][int(user)] for user in data.randomised.user]
    assert data.user_ids is not None and data.user_ids.to_list() == [f"t{k}" for k in range(40)]
    assert len(set(test)) == len(np.unique(data.randomised.user))


def test_the_seed_chooses_the_held_out_tests_and_one_is_always_left(write: Write) -> None:
    root = write(many(40))
    held = {tuple(np.unique(UpworthyHeadlines(seed=seed).load(root).randomised.user)) for seed in range(5)}  # type: ignore[union-attr, arg-type]
    assert len(held) == 5
    for share in (0.01, 0.99):
        data = UpworthyHeadlines(test_share=share).load(write())
        assert data.randomised is not None and len(data.logged) and len(data.randomised)


def test_a_lone_test_with_a_pair_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="1 tests have a pair; two are needed to hold one out"):
        UpworthyHeadlines().load(write(ARMS[:7]))


def test_splits_keep_both_rows_of_a_held_out_pair(write: Write) -> None:
    data = UpworthyHeadlines().load(write(many(40)))
    splits = Random()(data)
    assert data.randomised is not None
    assert len(splits.train) + len(splits.validation) == len(data.logged)
    assert np.array_equal(splits.test.codes, data.randomised.codes) and splits.duplicates == 0
    assert (np.unique(splits.test.item, return_counts=True)[1] == 2).all()
    assert splits.train.propensity is not None and (splits.train.propensity == 0.5).all()


def test_the_text_of_a_pair_tells_both_headlines_in_order() -> None:
    table = pl.DataFrame({"first": ["Up"], "second": ["Down"]})
    assert texts_of(table, UpworthyHeadlines().item_text, ["first", "second"]) == ("First: Up Second: Down",)


def test_effects_are_identified_by_randomisation_and_read_both_texts(tmp_path: Path) -> None:
    runs = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache")]
    spec = validate_config(compose_config(["task=effect", "dataset=upworthy_headlines", "propensity=logged", *runs]))
    adjustment = spec.components.task.identify(spec, spec.components.dataset.card)
    assert (adjustment.estimand, adjustment.training.strategy, adjustment.evaluation.strategy) == (
        "effect",
        "randomised",
        "randomised",
    )
    features = plan_run(spec).views
    assert set(features.outcome) == set(features.modifiers) == {c.name for c in UpworthyHeadlines().card.columns}
    assert features.controls == features.propensity == ()


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_the_real_file_has_the_counts_the_card_states(seed: int) -> None:
    require(upworthy.COMPACT)
    arms, _ = upworthy.load_arms(DATA, "upworthy", keep_unreliable=False)
    shown = headlines(arms)
    groups = shown.n_unique(["clickability_test_id", "eyecatcher_id"])
    data = UpworthyHeadlines(seed=seed).load(DATA)
    assert (len(shown), groups, data.logged.num_users, data.logged.num_items) == (8_826, 2_028, 1_969, 6_798)
    assert data.card.size == "6,798 pairs of 8,826 headlines in 2,028 groups (one test, one image) of 1,969 tests"
    assert data.randomised is not None and len(data.randomised) == 2 * 1_360
    log = all_rows(data)
    effect = log.outcome[1::2] - log.outcome[::2]
    assert abs(effect.mean()) < 0.05 and effect.std() == pytest.approx(0.555, abs=0.02)
    assert shown["impressions"].median() == 3_150
