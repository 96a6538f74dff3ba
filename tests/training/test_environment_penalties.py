"""Penalties of invariance: worked numbers, environments by column and period, weights, states, resuming, stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.coral import Coral
from causalrec.estimators.penalty.environments import AbstractEnvironmentPenalty
from causalrec.estimators.penalty.group_dro import LOG_SHARES, GroupDRO
from causalrec.estimators.penalty.mmd import MMD
from causalrec.estimators.penalty.vrex import VREx
from causalrec.estimators.representation_distance import mmd
from causalrec.features.batch_columns import batch_column
from causalrec.training.fit_request import FitRequest
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.penalty_states import PenaltyStates
from causalrec.training.stacked.merge import penalty_value
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Batch, Outputs, Term
from tests.training.test_stacked import ITEMS, TRAIN, USERS, largest, task

KINDS: list[type[AbstractEnvironmentPenalty]] = [VREx, GroupDRO, Coral, MMD]


def dataset(**changes: Any) -> CausalDataset:
    columns = (
        Column("user", "user", "id"),
        Column("site", "user", "category"),
        Column("age", "user", "numeric"),
        Column("same", "user", "category"),
    )
    card = DatasetCard("toy", "", "", (), {}, columns, "click", "explicit")
    users = pl.DataFrame({"site": ["a", "b"] * (USERS // 2), "age": range(USERS), "same": ["x"] * USERS})
    return CausalDataset(card, TRAIN, users, pl.DataFrame({"i": range(ITEMS)}), **changes)


def rows(site: list[int], weight: list[float] | None = None) -> Batch:
    weights = torch.ones(len(site)) if weight is None else torch.tensor(weight)
    ids = torch.zeros(len(site), dtype=torch.int64)
    return Batch(
        item=ids,
        treatment=ids,
        outcome=weights,
        observed=weights,
        propensity=weights,
        weight=weights,
        features=torch.zeros(len(site), 0),
        user=ids,
        columns={"site": torch.tensor(site)},
    )


def outputs_of(
    losses: list[float], vectors: torch.Tensor | None = None, normaliser: torch.Tensor | None = None
) -> Outputs:
    term = Term(torch.tensor(losses, requires_grad=True), OUTCOME, normaliser=normaliser)
    pair = {} if vectors is None else {OUTCOME: (vectors, torch.ones_like(vectors))}
    return Outputs({OUTCOME: torch.tensor(losses)}, "logit", vectors=pair, terms={"error": term})


def test_the_variance_of_risks_is_that_of_a_hand_and_reads_weights_and_normalisers() -> None:
    vrex = VREx(environment="site").bind(dataset())
    value = penalty_value(vrex, rows([0, 0, 1, 1], [1, 3, 1, 1]), outputs_of([1.0, 2.0, 3.0, 5.0]))
    assert float(value) == pytest.approx(((7 / 4 - 4) / 2) ** 2)
    weighed = outputs_of([1.0, 2.0, 3.0, 5.0], normaliser=torch.tensor([2.0, 2.0, 1.0, 3.0]))
    assert float(penalty_value(vrex, rows([0, 0, 1, 1]), weighed)) == pytest.approx(((3 / 4 - 2) / 2) ** 2)
    value.backward()  # type: ignore[no-untyped-call]
    assert float(penalty_value(vrex, rows([1, 1]), outputs_of([1.0, 2.0]))) == 0, "one environment alone says nothing"


def test_the_worst_environment_gains_weight_and_an_absent_one_keeps_its_own() -> None:
    dro, states = GroupDRO(environment="site", step_size=0.5).bind(dataset()), PenaltyStates()
    from causalrec.training.stacked.merge import reduce_term

    def step(site: list[int], losses: list[float]) -> float:
        batch = rows(site)
        ratios = dro.ratios(batch, outputs_of(losses))
        return float(states.combine("dro", dro, {name: reduce_term(term, batch) for name, term in ratios.items()}))

    share = np.exp(0.5 * np.array([1.0, 3.0]))
    share /= share.sum()
    assert step([0, 1], [1.0, 3.0]) == pytest.approx(share @ [1.0, 3.0])
    assert step([0], [1.0]) == pytest.approx(1.0)
    share = share * np.exp([0.5, 0])
    np.testing.assert_allclose(states.by_name["dro"][LOG_SHARES].exp(), share / share.sum(), rtol=1e-6)


def test_distances_of_representations_are_those_of_a_hand() -> None:
    vectors = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 4.0], [3.0, 1.0]])
    batch, out = rows([0, 0, 1, 1]), outputs_of([0.0] * 4, vectors)
    first, second = vectors[:2].T, vectors[2:].T
    by_hand = ((first.cov() - second.cov()) ** 2).sum() / 16 + ((first.mean(1) - second.mean(1)) ** 2).sum() / 2
    assert float(penalty_value(Coral(environment="site").bind(dataset()), batch, out)) == pytest.approx(float(by_hand))
    width = (torch.cdist(vectors, vectors).square().mean() / 2).sqrt()
    of_arms = mmd(vectors, torch.tensor([0, 0, 1, 1]), bandwidth=float(width))
    assert float(penalty_value(MMD(environment="site").bind(dataset()), batch, out)) == pytest.approx(float(of_arms))
    same = outputs_of([0.0] * 4, vectors[[0, 1, 0, 1]])
    for kind in (Coral, MMD):
        assert float(penalty_value(kind(environment="site").bind(dataset()), batch, same)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [Coral, MMD])
def test_rows_count_by_their_weights_in_distances_of_representations(kind: type[AbstractEnvironmentPenalty]) -> None:
    """The scale of weights says nothing, a row of weight 0 is no row, and they change what is compared."""
    vectors = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 4.0], [3.0, 1.0], [9.0, 9.0]])
    penalty = kind(environment="site").bind(dataset())

    def value(weight: list[float]) -> float:
        count = len(weight)
        out = outputs_of([0.0] * count, vectors[:count])
        return float(penalty_value(penalty, rows([0, 0, 1, 1, 1][:count], weight), out))

    equal = value([1.0] * 4)
    assert value([7.0] * 4) == pytest.approx(equal, rel=1e-5)
    assert value([1.0, 1.0, 1.0, 1.0, 0.0]) == pytest.approx(equal, rel=1e-5)
    assert value([0.0, 0.0, 1.0, 1.0]) == 0, "an environment whose rows count nothing is absent"
    assert abs(value([1.0, 3.0, 1.0, 1.0]) - equal) > 1e-3


def test_a_weighted_distance_is_that_of_repeated_rows() -> None:
    vectors = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 4.0], [3.0, 1.0]])
    weighted = outputs_of([0.0] * 4, vectors)
    repeated = outputs_of([0.0] * 6, vectors[[0, 1, 1, 1, 2, 3]])
    penalty = MMD(environment="site").bind(dataset())
    by_weight = penalty_value(penalty, rows([0, 0, 1, 1], [1, 3, 1, 1]), weighted)
    assert float(by_weight) == pytest.approx(
        float(penalty_value(penalty, rows([0, 0, 0, 0, 1, 1]), repeated)), rel=1e-5
    )


def test_numbers_and_times_are_cut_into_as_many_rows_each() -> None:
    log = TRAIN
    ages = VREx(environment="age", groups=3).bind(dataset())
    batch = Batch(**{**vars(rows([0] * len(log))), "columns": {"age": torch.from_numpy(log.users).float()}})
    counts = torch.bincount(ages.environment_of(batch))
    assert len(counts) == 3 and counts.min() > len(log) / 6
    from dataclasses import replace

    timed = replace(log, time=np.arange(len(log)) * 10)
    periods = VREx(environment="time", groups=4).bind(replace(dataset(), logged=timed))
    batch = replace(batch, time=torch.arange(len(log)) * 10)
    assert torch.bincount(periods.environment_of(batch)).tolist() == pytest.approx([len(log) / 4] * 4, abs=1)
    assert periods.reads_time and not ages.reads_time and periods.columns == ()


@pytest.mark.parametrize("kind", KINDS)
def test_environments_that_cannot_be_compared_are_refused(kind: type[AbstractEnvironmentPenalty]) -> None:
    with pytest.raises(
        RequestError, match=r"environment=same: all training rows are of one environment, and two or more are"
    ):
        kind(environment="same").bind(dataset())
    with pytest.raises(RequestError, match=r"environment=time: the log has no times; name a column"):
        kind(environment="time").bind(dataset())
    with pytest.raises(RequestError, match=r"'sight', but toy has no such column; did you mean 'site'"):
        kind(environment="sight").bind(dataset())


# --- fits


def fit_request(folder: Path, penalty: AbstractEnvironmentPenalty, objective: Any = None, **changes: Any) -> FitRequest:
    columns = {} if penalty.reads_time else {penalty.environment: batch_column(dataset(), penalty.environment, "x")}
    return task(folder, objective or Naive(), penalties={"p": penalty.bind(dataset())}, columns=columns, **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", [Naive(), IPS()], ids=["naive", "ips"])
def test_each_trains_beside_objectives_and_changes_the_fit(
    kind: type[AbstractEnvironmentPenalty], objective: Any, tmp_path: Path
) -> None:
    plain = task(tmp_path / "plain", objective).fit()
    fit = fit_request(tmp_path / "with", kind(environment="site", weight=3.0), objective).fit()
    assert largest(plain.state, fit.state) > 1e-4 and all(value.isfinite().all() for value in fit.state.values())
    none = fit_request(tmp_path / "none", kind(environment="site", weight=0.0), objective).fit()
    assert largest(plain.state, none.state) == 0


@pytest.mark.parametrize("kind", [VREx, Coral, MMD])
def test_stacked_fits_are_those_made_alone(kind: type[AbstractEnvironmentPenalty], tmp_path: Path) -> None:
    requests = [fit_request(tmp_path / f"{w}", kind(environment="site", weight=w)) for w in (0.5, 2.0)]
    assert reason_to_fit_alone(requests[0]) is None
    for mine, alone in zip(fit_stacked(requests, lambda size: 99), [each.fit() for each in requests], strict=True):
        assert not isinstance(mine, Exception) and largest(mine.state, alone.state) < 1e-8


def test_a_penalty_with_a_state_is_fitted_alone_and_says_so(tmp_path: Path) -> None:
    assert reason_to_fit_alone(fit_request(tmp_path, GroupDRO(environment="site"))) == "penalty=p does not stack"


class Stop(Exception):
    """Ends a fit from within."""


@pytest.mark.parametrize("at", [1, 4])
def test_a_fit_with_a_state_goes_on_to_the_same_bits(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainerSettings(progress=False, max_epochs=3, patience=9, precision="64-true", checkpoint_steps=1)
    penalty = GroupDRO(environment="site", step_size=0.5, weight=2.0)
    request = [
        fit_request(tmp_path / name, penalty, trainer=settings, optimizer=AdamW(lr=0.05)) for name in ("uncut", "cut")
    ]
    uncut, calls, step = request[0].fit(), [0], CausalRecModule.training_step

    def stopping(module: CausalRecModule, batch: Batch, batch_idx: int) -> None:
        calls[0] += 1
        if calls[0] == at + 1:
            raise Stop
        step(module, batch, batch_idx)

    monkeypatch.setattr(CausalRecModule, "training_step", stopping)
    with pytest.raises(Stop):
        request[1].fit()
    monkeypatch.setattr(CausalRecModule, "training_step", step)
    resumed = request[1].fit()
    assert all(torch.equal(resumed.state[name], value) for name, value in uncut.state.items())
