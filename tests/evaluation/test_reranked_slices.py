"""Lists ordered anew beside the plain ones: scored on the same predictions, with what they gain, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec import cli
from causalrec.config.component import validate_component
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.errors import RequestError
from causalrec.estimators.jackknife import t_interval
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.reranked_slices import Rerankers, reranked_gains, with_reranked
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.lists import ListsSlice
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.metrics.base import AbstractMetric
from causalrec.rerankers.base import AbstractReranker
from causalrec.types import Floats
from tests.evaluation.slice_source import Source

USERS, ITEMS = 40, 25
METRICS = {
    "catalogue_coverage": validate_component(
        "metric", {"_target_": "causalrec.metrics.list.catalogue_coverage.CatalogueCoverage"}, AbstractMetric
    )
}


def source() -> Source:
    rng = np.random.default_rng(0)
    log = InteractionLog(
        user=np.repeat(np.arange(USERS), 4),
        item=np.concatenate([rng.choice(ITEMS, 4, replace=False) for _ in range(USERS)]),
        treatment=np.ones(4 * USERS, np.int64),
        outcome=rng.integers(0, 2, 4 * USERS).astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
        name="toy",
    )
    card = DatasetCard("toy", "test", "none", (), {}, (Column("genre", "item", "category"),), "click", "explicit")
    items = pl.DataFrame({"genre": [list("aaabc")[k % 5] for k in range(ITEMS)]})
    dataset = CausalDataset(card, log, pl.DataFrame({"x": [0] * USERS}), items)
    train, test = log.take(np.arange(0, len(log), 2)), log.take(np.arange(1, len(log), 2))
    splits = Splits(
        train=train, validation=test.take(np.arange(0)), test=test, test_is_randomised=False, duplicates=0, unseen=0
    )
    return Source(dataset, splits)


def mmr(**settings: Any) -> Rerankers:
    node = {"_target_": "causalrec.rerankers.mmr.MMR", "column": "genre", **settings}
    return {"mmr": validate_component("reranker.mmr", node, AbstractReranker)}


def slices(rerankers: Rerankers) -> list[CatalogueData]:
    selected = with_reranked({"lists": list(ListsSlice(k=3).select(source()))}, rerankers)
    return [data for data in selected["lists"] if isinstance(data, CatalogueData)]


def by_item(rows: SliceData) -> Floats:
    return (-rows.item * (1 + 0.01 * rows.user)).astype(np.float32)


def test_the_lists_of_a_re_ranker_follow_the_plain_ones_weight_by_weight() -> None:
    data = slices(mmr(curve=(0.25, 0.75)))
    assert [each.name for each in data] == ["lists", "lists_mmr", "lists_mmr_0.25", "lists_mmr_0.75"]
    assert all(each.subset_of is data[0] for each in data[1:])
    assert len({str(each.identity) for each in data}) == 4, "scores of another weight are other scores"
    assert data[1].note == data[3].note
    names = "lists_mmr at weight 0.5, lists_mmr_0.25 at weight 0.25, lists_mmr_0.75 at weight 0.75"
    assert data[1].note == (f"{names}: 3 of each user's best 100 of lists, ordered anew by mmr (column=genre).")


def test_other_slices_stay_as_they_are() -> None:
    rows = list(HeldOutSlice().select(source()))
    assert with_reranked({"test": rows}, mmr()) == {"test": rows}
    assert [each.name for each in slices({})] == ["lists"]


def test_at_weight_0_scores_are_those_of_the_plain_lists_and_nothing_is_gained() -> None:
    data = slices(mmr(weight=0.0))
    scores = Evaluator(METRICS, data, 0.5, replicates=20)(by_item, "model")
    assert scores[1].value == scores[0].value > 0
    np.testing.assert_array_equal(scores[1].replicates, scores[0].replicates)
    (gain,) = reranked_gains(scores, data, 0.95, 20)
    assert (gain.slice, gain.value, gain.low, gain.high) == ("lists_mmr-lists", 0.0, 0.0, 0.0)


def test_a_gain_is_paired_by_users_and_has_replicates_for_the_mean_of_seeds() -> None:
    data = slices(mmr(weight=0.9))
    scores = Evaluator(METRICS, data, 0.5, replicates=20)(by_item, "model")
    plain, reranked = scores
    (gain,) = reranked_gains(scores, data, 0.9, 20)
    assert plain.jackknife is not None and reranked.jackknife is not None
    assert gain.value == pytest.approx(reranked.value - plain.value) and gain.value != 0
    assert (gain.low, gain.high) == t_interval(gain.value, reranked.jackknife - plain.jackknife, 0.9)
    assert gain.low < gain.value < gain.high and len(gain.replicates) == 20
    others = [replace(score, model="another") for score in scores[:1]]
    assert reranked_gains([*others, scores[1]], data, 0.9, 20) == [], "of one model alone"


def test_two_slices_of_one_name_are_refused() -> None:
    rerankers = {**mmr(curve=(0.25,)), "mmr_0.25": mmr()["mmr"]}
    with pytest.raises(RequestError, match=r"two slices would be called 'lists_mmr_0\.25'; leave a re-ranker"):
        slices(rerankers)


REFUSED = {
    "+slice=[lists] reranker=[mmr]": "reranker.mmr.column: name a column of items: title, genre",
    "+slice=[lists] reranker=[mmr] reranker.mmr.column=genres": "reranker.mmr.column=genres: no such column of items; "
    "did you mean 'genre'?",
    "+slice=[lists] reranker=[xquad] reranker.xquad.column=title": "reranker.xquad.column=title: is of kind text",
    "+slice=[lists] reranker=[xquad] reranker.xquad.weight=2": "reranker.xquad.weight",
    "+slice=[lists] reranker=[mmr] reranker.mmr.column=genre reranker.mmr.curve=[0.5]": "reranker.mmr",
    "reranker=[xquad]": "reranker=[xquad]: no slice has lists to order anew; add '+slice=[lists]'",
    "+slice=[lists] reranker=[xquad]": "reranker=[xquad]: no metric judges lists, so that nothing would tell what it "
    "changes",
}


@pytest.mark.usefixtures("newcomer")
@pytest.mark.parametrize(("request_text", "line"), REFUSED.items(), ids=[*map(str, range(len(REFUSED)))])
def test_a_re_ranker_without_what_it_needs_is_one_line(
    request_text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "dataset=ml100k", "dataset.threshold=4", *request_text.split()]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"causalrec: {line}") and err.count("\n") == 1, err


@pytest.mark.usefixtures("newcomer")
def test_a_run_prints_a_line_for_each_weight(capsys: pytest.CaptureFixture[str]) -> None:
    request = [
        "dataset=ml100k",
        "dataset.threshold=4",
        "trainer=smoke",
        "evaluation.replicates=20",
        "metric=[catalogue_coverage]",
    ]
    lists = ["+slice=[lists]", "reranker=[mmr]", "reranker.mmr.column=genre", "reranker.mmr.curve=[0.25]"]
    assert cli.main(["train", *request, *lists]) == 0
    out = capsys.readouterr().out
    assert "lists ordered anew by mmr" in " ".join(out.split()), "a title may go on in the next line"
    lines = [line.split("  ")[0] for line in out.splitlines() if ", weight" in line]
    assert lines == [f"mf-dr_jl, weight {weight}" for weight in ("0", "0.25", "0.5")]
    assert out.count("@lists_mmr") == 0, "the table of scores holds the plain lists alone"
