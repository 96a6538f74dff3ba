"""Objectives for logs of positives alone, and for clicks in slots: worked numbers, requests, and what a fit learns."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec import cli
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.split.splits import Splits
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR, bpr
from causalrec.estimators.objective.dice import DICE
from causalrec.estimators.objective.macr import MACR
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.pda import PDA
from causalrec.estimators.objective.position_ips import PositionIPS
from causalrec.estimators.objective.rel_mf import RelMF
from causalrec.estimators.objective.ubpr import UBPR
from causalrec.estimators.objective.wmf import WMF
from causalrec.evaluation.slice.full_ranking import full_ranking
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.propensity.relative_popularity import RelativePopularity
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings, seed_everything
from causalrec.types import OUTCOME, Batch, Floats, Outputs
from tests.evaluation.test_slices import flat

NAN = float("nan")
POSITIVE_ONLY: list[AbstractObjective] = [BPR(), UBPR(), WMF(), RelMF(), PDA(), MACR(), DICE()]


def batch_of(outcome: list[float], observed: list[float], propensity: list[float]) -> Batch:
    ids = torch.arange(len(outcome))
    return Batch(
        item=ids,
        treatment=ids,
        outcome=torch.tensor(outcome, dtype=torch.float32),
        observed=torch.tensor(observed, dtype=torch.float32),
        propensity=torch.tensor(propensity, dtype=torch.float32),
        weight=torch.ones(len(outcome)),
        features=torch.zeros(len(outcome), 0),
        user=ids,
    )


# --- BPR


def test_bpr_by_hand() -> None:
    outputs = Outputs({OUTCOME: torch.tensor([2.0, 0.0])}, "logit")
    outputs = dataclasses.replace(outputs, negatives=Outputs({OUTCOME: torch.tensor([0.0, math.log(3)])}, "logit"))
    term = BPR().terms(batch_of([1, 1], [1, 1], [1, 1]), outputs)["outcome"]
    assert term.value.tolist() == pytest.approx([math.log1p(math.exp(-2)), math.log(4)], rel=1e-6)
    assert (term.trains, term.normaliser) == (OUTCOME, None)
    assert BPR().score(outputs).tolist() == [2.0, 0.0], "the score itself: it is no probability"


def test_the_gradient_of_bpr_moves_both_items_by_the_chance_of_a_wrong_order() -> None:
    score, negative = torch.tensor([1.0]).requires_grad_(), torch.tensor([0.0]).requires_grad_()
    bpr(score, negative).sum().backward()
    wrong = 1 / (1 + math.e)
    assert score.grad is not None and score.grad.tolist() == pytest.approx([-wrong])
    assert negative.grad is not None and negative.grad.tolist() == pytest.approx([wrong])


# --- Rel-MF

RAW = torch.full((3,), math.log(3.0))  # P = 3/4
D1, D0 = -math.log(0.75), -math.log(0.25)


def test_rel_mf_by_hand() -> None:
    batch = batch_of([1, 0, 1], [1, 0, 1], [0.5, NAN, 0.1])
    term = RelMF(clip=0.25).terms(batch, Outputs({OUTCOME: RAW}, "logit"))["outcome"]
    assert term.value.tolist() == pytest.approx([2 * D1 - D0, D0, 4 * D1 - 3 * D0], rel=1e-5)
    assert (term.trains, term.normaliser) == (OUTCOME, None)


def test_the_gradient_of_rel_mf_is_prediction_less_debiased_label() -> None:
    raw = RAW.clone().requires_grad_()
    batch = batch_of([1, 0, 1], [1, 0, 1], [0.5, NAN, 0.1])
    RelMF(clip=0.25).terms(batch, Outputs({OUTCOME: raw}, "logit"))["outcome"].value.sum().backward()
    assert raw.grad is not None and raw.grad.tolist() == pytest.approx([0.75 - 2, 0.75, 0.75 - 4], rel=1e-5)


# --- clicks in slots


def test_position_ips_by_hand() -> None:
    batch = batch_of([1, 0, 0], [1, 1, 0], [0.5, 0.5, NAN])  # a click, no click in the same slot, a row not shown
    term = PositionIPS().terms(batch, Outputs({OUTCOME: RAW}, "logit"))["outcome"]
    assert term.value.tolist() == pytest.approx([2 * D1 - D0, D0, 0], rel=1e-5)
    assert term.normaliser is not None and term.normaliser.tolist() == [1, 1, 0]
    clipped = PositionIPS(clip=0.8).terms(batch, Outputs({OUTCOME: RAW}, "logit"))["outcome"].value
    assert clipped.tolist() == pytest.approx([1.25 * D1 - 0.25 * D0, D0, 0], rel=1e-5)


def test_position_ips_is_naive_where_every_slot_is_examined() -> None:
    batch, outputs = batch_of([1, 0, 0], [1, 1, 0], [1, 1, 1]), Outputs({OUTCOME: RAW}, "logit")
    terms = [objective.terms(batch, outputs)["outcome"] for objective in (PositionIPS(), Naive())]
    torch.testing.assert_close(terms[0].value, terms[1].value)


@pytest.mark.parametrize("objective", [RelMF(), PositionIPS()], ids=["RelMF", "PositionIPS"])
def test_its_term_reaches_the_outcome_network(objective: AbstractObjective) -> None:
    raw = RAW.clone().requires_grad_()
    terms = objective.terms(batch_of([1, 0, 1], [1, 0, 1], [0.5, NAN, 0.1]), Outputs({OUTCOME: raw}, "logit"))
    assert [term.trains for term in terms.values()] == list(objective.roles) == [OUTCOME]
    terms["outcome"].value.sum().backward()
    assert raw.grad is not None and raw.grad.isfinite().all() and raw.grad[0] != 0


# --- requests


@pytest.mark.parametrize(
    ("objective", "defined"),
    [(name, "positive_only") for name in ("bpr", "rel_mf", "pda", "macr", "dice")]
    + [("position_ips", "exposure_logged")],
)
def test_explicit_feedback_is_refused_in_one_line(
    objective: str, defined: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "dataset=ml100k", "dataset.threshold=4", f"objective={objective}"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    expected = f"objective={objective}: undefined for the explicit feedback of ml100k; it is defined for {defined}"
    assert said.endswith(expected)


# --- fits

USERS, ITEMS = 60, 40
BARE = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), "f4"), np.zeros((ITEMS, 0), "f4"), ())


def draw_positives() -> Splits:
    """Positives alone: two groups of users like two groups of items, and some items draw everyone."""
    rng = np.random.default_rng(0)
    alike = np.arange(USERS)[:, None] % 2 == np.arange(ITEMS) % 2
    odds = np.where(alike, 1.5, -1.5) + rng.normal(size=ITEMS) - 1.5
    codes = rng.permutation(np.flatnonzero(rng.random(odds.shape) < 1 / (1 + np.exp(-odds))))
    logs = []
    for pairs in np.split(codes, [int(0.7 * len(codes)), int(0.8 * len(codes))]):
        unit = np.ones(len(pairs), np.int64)
        logs.append(InteractionLog(pairs % ITEMS, unit, unit.astype("f4"), ITEMS, pairs // ITEMS, USERS))
    exposure = RelativePopularity()
    exposure.fit(logs[0], BARE)
    train, validation, test = (log.with_propensity(exposure.predict(log)) for log in logs)
    return Splits(train=train, validation=validation, test=test, test_is_randomised=False, duplicates=0, unseen=0)


def train_model(
    folder: Path, objective: AbstractObjective, train: InteractionLog, validation: InteractionLog | None, decay: float
) -> CausalModel:
    """Train to the best of 25 epochs on triples of the validation rows; without any, for 10 epochs."""
    seed_everything(0)
    inputs = EncoderInputs(train.num_users, train.num_items, (), Path(), Path())
    networks = {r: RoleNetwork(MF(inputs, width=4), Dot(0), ROLE_INPUTS.get(r, "pair")) for r in objective.roles}
    model = CausalModel(networks, "logit")
    module = CausalRecModule(model, objective, AdamW(weight_decay=decay), "naive")
    data = LogDataModule(train, validation or train, BARE, Balanced(batch_size=64), objective.space, 0, "triples")
    settings = TrainerSettings(max_epochs=25, patience=25, progress=False)
    fit = settings.fit(module, data, None, folder, "test", None if validation else 10)
    model.load_state_dict({k.removeprefix("model."): v for k, v in fit.state.items() if k.startswith("model.")})
    return model


def area(score: Tensor, label: Tensor, user: Tensor) -> float:
    """Mean over users of the share of (chosen, other) pairs in the right order; chance has 1/2."""
    shares = []
    for person in user.unique():
        chose, other = score[(user == person) & (label == 1)], score[(user == person) & (label == 0)]
        shares.append(float((chose[:, None] > other).double().mean()))
    return float(np.mean(shares))


@pytest.mark.long
@pytest.mark.parametrize("objective", POSITIVE_ONLY, ids=lambda o: type(o).__name__)
def test_a_few_epochs_on_positives_rank_what_is_chosen_next_better_than_chance(
    objective: AbstractObjective, tmp_path: Path
) -> None:
    splits = draw_positives()
    ranking = flat(full_ranking(splits))
    model = train_model(tmp_path, objective, splits.train, splits.validation, decay=0.1)
    score = torch.from_numpy(model.predict(ranking.user, ranking.item, BARE, objective))
    label, user = torch.from_numpy(ranking.label), torch.from_numpy(ranking.user)
    assert score.isfinite().all()
    assert area(score, label, user) > 0.65  # chance: 0.50, its standard error here 0.03
    shuffled = score[torch.randperm(len(score), generator=torch.Generator().manual_seed(0))]
    assert abs(area(shuffled, label, user) - 0.5) < 0.1


def draw_clicks(users: int, items: int) -> tuple[InteractionLog, Floats]:
    """Clicks of users on items in slots, the worse items mostly in the slots that are looked at; and the relevance."""
    rng = np.random.default_rng(0)
    relevance = rng.permutation(np.linspace(0.1, 0.9, items)).astype(np.float32)
    user, item = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    looked_at = np.where(rng.random(len(item)) < relevance[item], 0.1, 1.0).astype(np.float32)
    click = (rng.random(len(item)) < looked_at * relevance[item]).astype(np.float32)
    log = InteractionLog(item, np.ones(len(item), np.int64), click, items, user, users, propensity=looked_at)
    return log, relevance


def test_position_ips_learns_relevance_where_naive_learns_who_was_looked_at(tmp_path: Path) -> None:
    log, relevance = draw_clicks(users=250, items=10)
    assert log.user is not None
    correlations = {}
    for objective in (PositionIPS(clip=0.0), Naive()):
        score = train_model(tmp_path, objective, log, None, decay=1.0).predict(log.user, log.item, BARE, objective)
        correlations[type(objective)] = float(np.corrcoef(score.reshape(250, 10).mean(0), relevance)[0, 1])
    assert correlations[PositionIPS] > 0.8
    assert correlations[Naive] < 0.65


def test_ubpr_ranks_by_relevance_where_bpr_ranks_by_what_was_shown(tmp_path: Path) -> None:
    users, items, rng = 160, 20, np.random.default_rng(0)
    relevance = np.linspace(0.2, 0.9, items).astype(np.float32)
    theta = rng.permutation(np.where(np.arange(items) % 2, 0.9, 0.25)).astype(np.float32)
    user, item = np.nonzero(rng.random((users, items)) < theta * relevance)
    unit = np.ones(len(item), np.int64)
    log = InteractionLog(item, unit, unit.astype("f4"), items, user, users, propensity=theta[item])
    pairs = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    correlations = {}
    for objective in (UBPR(clip=0.0, clip_negative=False), BPR()):
        model = train_model(tmp_path, objective, log, None, decay=1.0)
        score = model.predict(*pairs, BARE, objective).reshape(users, items).mean(0)
        correlations[type(objective)] = [float(np.corrcoef(score, truth)[0, 1]) for truth in (relevance, theta)]
    assert correlations[UBPR][0] > 0.85 > 0.75 > correlations[BPR][0]
    assert correlations[BPR][1] > 0.8 > 0.5 > correlations[UBPR][1]
