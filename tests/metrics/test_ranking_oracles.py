"""Ranking metrics against ranx and ir-measures where no scores tie, and against every order of the rows that tie."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import AP, RR, P, R, Success, nDCG

from causalrec.metrics.average_precision import average_precision_of
from causalrec.metrics.capped_recall import capped_recall_of
from causalrec.metrics.dcg import dcg_of
from causalrec.metrics.hit import hit_of
from causalrec.metrics.mrr import reciprocal_rank_of
from causalrec.metrics.ndcg import ndcg_of
from causalrec.metrics.precision import precision_of
from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.recall import recall_of
from causalrec.metrics.top_k import TopRows

USERS, ITEMS, SEEDS, CUTS = 12, 15, range(30), (1, 5, 10)
OfRows = Callable[[RankedRows, int, int], tuple[torch.Tensor, torch.Tensor]]
METRICS: dict[str, OfRows] = {
    "map": average_precision_of,
    "mrr": reciprocal_rank_of,
    "hit_rate": hit_of,
    "precision": precision_of,
    "ndcg": ndcg_of,
    "recall": recall_of,
}
MEASURES = {"map": AP, "mrr": RR, "hit_rate": Success, "precision": P, "ndcg": nDCG, "recall": R}


def attainable(rows: RankedRows, num_users: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    return average_precision_of(rows, num_users, k, "attainable")


def lists_without_ties(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of every user, `[U,I]`; each user has a positive."""
    rng = np.random.default_rng(seed)
    score = rng.permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1) / ITEMS
    label = (rng.random((USERS, ITEMS)) < rng.uniform(0.05, 0.9, (USERS, 1))).astype(float)
    label[np.arange(USERS), rng.integers(ITEMS, size=USERS)] = 1
    return score, label


def rank(score: np.ndarray, label: np.ndarray) -> RankedRows:
    users = torch.arange(len(score)).repeat_interleave(score.shape[1])
    return rank_rows(torch.from_numpy(score.reshape(-1)), torch.from_numpy(label.reshape(-1)), users)


def ours(score: np.ndarray, label: np.ndarray, k: int) -> dict[str, np.ndarray]:
    rows = rank(score, label)
    return {name: of_rows(rows, len(score), k)[0].numpy() for name, of_rows in METRICS.items()}


def as_run(score: np.ndarray, label: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return judgements and a run, as evaluation libraries of retrieval read them."""
    users = {f"u{u:02}": u for u in range(len(score))}
    judged = {name: {f"i{i:02}": 1 for i in np.flatnonzero(label[u])} for name, u in users.items()}
    return judged, {name: {f"i{i:02}": float(x) for i, x in enumerate(score[u])} for name, u in users.items()}


RANX = """
import json, sys
import ranx
lists, names = json.load(sys.stdin)
scores = [ranx.evaluate(ranx.Qrels(q), ranx.Run(r), names, return_mean=False) for q, r in lists]
print(json.dumps([{name: list(values) for name, values in of_seed.items()} for of_seed in scores]))
"""


def test_without_ties_they_are_those_of_ranx() -> None:
    lists = [lists_without_ties(seed) for seed in SEEDS]
    names = [f"{name}@{k}" for name in METRICS for k in CUTS]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}  # to compile ranx takes a minute
    request = json.dumps([[as_run(*of_seed) for of_seed in lists], names])
    command = [sys.executable, "-c", RANX]
    done = subprocess.run(command, input=request, capture_output=True, text=True, env=environment, check=True)
    for seed, theirs in enumerate(json.loads(done.stdout)):
        for k in CUTS:
            for name, values in ours(*lists[seed], k).items():
                np.testing.assert_allclose(values, theirs[f"{name}@{k}"], rtol=1e-6, err_msg=f"{name} {seed}")


@pytest.mark.parametrize("k", CUTS)
def test_without_ties_they_are_those_of_ir_measures(k: int) -> None:
    for seed in SEEDS:
        score, label = lists_without_ties(seed)
        measures = {name: measure @ k for name, measure in MEASURES.items()}
        theirs: dict[str, dict[str, float]] = {name: {} for name in METRICS}
        named = {str(measure): name for name, measure in measures.items()}
        for entry in ir_measures.iter_calc(list(measures.values()), *as_run(score, label)):
            theirs[named[str(entry.measure)]][entry.query_id] = entry.value
        for name, values in ours(score, label, k).items():
            expected = [theirs[name][f"u{u:02}"] for u in range(USERS)]
            np.testing.assert_allclose(values, expected, rtol=1e-6, err_msg=f"{name} {seed}")


def test_uncut_average_precision_is_that_of_ir_measures() -> None:
    for seed in SEEDS:
        score, label = lists_without_ties(seed)
        mean = ir_measures.calc_aggregate([AP], *as_run(score, label))[AP]
        assert float(average_precision_of(rank(score, label), USERS)[0].mean()) == pytest.approx(mean, rel=1e-9)


def over_all_orders(of_rows: OfRows, score: np.ndarray, label: np.ndarray, k: int) -> float:
    """Return the mean of a metric of one list over every order that its scores allow."""
    untied = torch.arange(len(score), 0, -1)
    values = []
    for order in itertools.permutations(range(len(score))):
        if (np.diff(score[list(order)]) <= 0).all():
            rows = rank_rows(untied, torch.from_numpy(label[list(order)]), torch.zeros(len(score), dtype=torch.int64))
            values.append(float(of_rows(rows, 1, k)[0]))
    return float(np.mean(values))


TIED = METRICS | {"attainable": attainable, "capped_recall": capped_recall_of, "dcg": dcg_of}


@pytest.mark.parametrize("name", TIED)
def test_with_ties_they_are_the_mean_over_all_orders_of_the_tied_rows(name: str) -> None:
    rng, of_rows = np.random.default_rng(5), TIED[name]
    for _ in range(12):
        size, k = rng.integers(2, 7), int(rng.integers(1, 7))
        score, label = rng.integers(0, 3, size) / 2, (rng.random(size) < 0.5).astype(float)
        expected = over_all_orders(of_rows, score, label, k)
        assert float(of_rows(rank(score[None], label[None]), 1, k)[0]) == pytest.approx(expected, abs=1e-12)
        positives = torch.from_numpy(np.flatnonzero(label))
        top = TopRows.of(torch.from_numpy(score)[None], k)
        ranked = top.rank_positives(torch.zeros_like(positives), torch.from_numpy(score)[positives])
        assert float(of_rows(ranked, 1, k)[0]) == pytest.approx(expected, abs=1e-12), "of the head of a catalogue"


def test_ties_of_a_large_catalogue_are_those_of_one_run() -> None:
    items, positives, k = 20_000, 40, 100  # a constant: the expectation of the first positive's rank by a plain loop
    none_yet, hit, reciprocal = 1.0, 0.0, 0.0
    for j in range(k):
        chance = none_yet * positives / (items - j)
        hit, reciprocal, none_yet = hit + chance, reciprocal + chance / (j + 1), none_yet - chance
    label = np.zeros(items)
    label[:positives] = 1
    rows = rank(np.zeros((1, items)), label[None])
    assert float(hit_of(rows, 1, k)[0]) == pytest.approx(hit, rel=1e-9)
    assert float(reciprocal_rank_of(rows, 1, k)[0]) == pytest.approx(reciprocal, rel=1e-9)
    assert float(hit_of(rows, 1, items)[0]) == pytest.approx(1, rel=1e-9)


def test_a_tie_across_users_is_none() -> None:
    score, label = np.array([[1.0, 0.5], [0.5, 0.2]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    values = ours(score, label, 2)
    np.testing.assert_allclose(values["mrr"], [0.5, 1.0])
    np.testing.assert_allclose(values["map"], [0.5, 1.0])


def test_the_two_denominators_of_average_precision_by_hand() -> None:
    # ranks 1 and 3 of four positives, k = 3: (1 + 2/3) over 4, or over the 3 that fit
    score, label = np.array([[5.0, 4, 3, 2, 1]]), np.array([[1.0, 0, 1, 1, 1]])
    rows = rank(score, label)
    assert float(average_precision_of(rows, 1, 3)[0]) == pytest.approx((1 + 2 / 3) / 4)
    assert float(attainable(rows, 1, 3)[0]) == pytest.approx((1 + 2 / 3) / 3)
    assert float(average_precision_of(rows, 1)[0]) == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 5) / 4)
