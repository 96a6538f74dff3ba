"""Item biases with a prior: worked numbers, special cases, and what columns that tell the effects are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from causalrec.data.augmentation.tail_oversampling import tail_items
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.bias_prior import PACE, ItemBiasPrior
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.optimizer import AdamW, AdamWRows
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Doubles, Floats
from tests.training.test_stacked import ITEMS, TRAIN, USERS, VIEW, largest, task

NUMBERS = np.random.default_rng(1).normal(size=(ITEMS, 2)).astype(np.float32)


def inputs(log: InteractionLog | None = TRAIN, numbers: Floats | None = NUMBERS, items: int = ITEMS) -> EncoderInputs:
    return EncoderInputs(USERS, items, (), Path(), Path(), item_features=numbers, history_log=log)


def test_terms_and_the_step_of_the_variance_are_those_worked_by_hand() -> None:
    log = replace(TRAIN.take(np.arange(4)), item=np.array([0, 0, 0, 1]))
    encoder = MF(inputs(log), width=2, prior="features").double()
    prior = encoder.item_prior
    assert prior is not None and prior.counts[:3].tolist() == [3, 1, 0]
    ids = np.array([0, 1, 2])
    batch = inference_batch(ids * 0, ids, VIEW).map_tensors(lambda c: c.double() if c.is_floating_point() else c)
    batch = replace(batch, observed=torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    with torch.no_grad():
        encoder.item_table.bias[:3] = torch.tensor([0.5, -1.0, 9.0])
        prior.variance.fill_(0.25)
    value = encoder.prior_terms(batch, torch.zeros(3, dtype=torch.float64), "logit")
    assert value is not None
    torch.testing.assert_close(value, torch.tensor([0.25 / 0.5 / 3, 1 / 0.5, 0.0], dtype=torch.float64))
    posterior = [1 / (3 * 0.25 + 4), 1 / (0.25 + 4)]  # the curvature at even odds is a quarter
    target = (0.25 + posterior[0] + 1 + posterior[1]) / 2
    assert float(prior.variance) == pytest.approx(0.25 + PACE * (target - 0.25))
    encoder.eval()
    batch = replace(batch, outcome=torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64))
    before = float(prior.variance)
    value = encoder.prior_terms(batch, torch.zeros(3, dtype=torch.float64), "identity")
    assert value is not None and float(value[1].detach()) == pytest.approx(2 * (1 + 9) / 2 / (2 * before))
    assert float(prior.variance) == before, "what is only looked at does not move it"


def test_without_coefficients_it_is_plain_mf_and_an_infinite_variance_adds_nothing() -> None:
    torch.manual_seed(0)
    plain = MF(inputs(), width=3)
    torch.manual_seed(0)
    other = MF(inputs(), width=3, prior="features").eval()
    ids = torch.arange(ITEMS)
    assert other.item_prior is not None and torch.equal(plain.items(ids), other.items(ids))
    with torch.no_grad():
        other.item_prior.coefficients.copy_(torch.tensor([2.0, -1.0]))
        other.item_table.bias.fill_(1.0)
        other.item_prior.variance.fill_(torch.inf)
    added = other.items(ids)[:, -1].detach() - plain.items(ids)[:, -1].detach()
    torch.testing.assert_close(added, torch.from_numpy(NUMBERS @ np.array([2.0, -1.0], np.float32)) + 1)
    value = other.prior_terms(inference_batch(np.zeros(2, np.int64), np.arange(2), VIEW), torch.zeros(2), "log")
    assert value is not None and value.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (inputs(numbers=np.zeros((ITEMS, 0), np.float32)), "has no numbers of items"),
        (inputs(log=None), "has no users"),
        (inputs(items=0), "has no items"),
    ],
)
def test_a_view_without_what_it_reads_is_refused(given: EncoderInputs, message: str) -> None:
    with pytest.raises(RequestError, match=rf"encoder\.prior=features: the outcome view {message}.*prior=none"):
        ItemBiasPrior(given)


def request_of(folder: Path, objective: IPS | DRJL, **changes: object) -> FitRequest:
    def model() -> CausalModel:
        roles = objective.roles
        return CausalModel(
            {role: RoleNetwork(MF(inputs(), width=3, prior="features"), Dot(len(VIEW))) for role in roles}, "logit"
        )

    return task(folder, objective, model=model, **changes)


@pytest.mark.parametrize("objective", [IPS(), DRJL()], ids=lambda each: type(each).__name__)
def test_stacked_fits_are_those_made_alone(tmp_path: Path, objective: IPS | DRJL) -> None:
    requests = [
        request_of(tmp_path / f"{seed}", objective, seed=seed, optimizer=AdamW(lr=0.05, weight_decay=0.1 * seed))
        for seed in range(2)
    ]
    for mine, alone in zip(fit_stacked(requests, lambda size: 99), [each.fit() for each in requests], strict=True):
        assert not isinstance(mine, Exception) and largest(mine.state, alone.state) < 1e-8
    state = requests[0].fit().state
    assert float(state["model.networks.outcome.encoder.item_prior.variance"]) != 1
    assert float(state["model.networks.outcome.encoder.item_prior.coefficients"].abs().sum()) > 0


def test_steps_of_the_rows_of_a_batch_alone_are_those_of_the_whole_table_without_decay(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=2, patience=2, precision="64-true")
    changes = {"trainer": settings, "sampler": Balanced(batch_size=200)}  # every item stands in the only batch
    none = {"lr": 0.05, "weight_decay": 0.0, "bias_decay": 0.0}
    first = request_of(tmp_path / "all", IPS(), optimizer=AdamW(**none), **changes).fit()
    second = request_of(tmp_path / "rows", IPS(), optimizer=AdamWRows(**none), **changes).fit()
    assert largest(first.state, second.state) < 1e-8


# --- what it is for: users and movies of ML-100K, one pair in a hundred seen, columns that tell 90 % of items' effects


MANY_USERS, MANY_ITEMS, COLUMNS = 943, 1682, 8


def world(seed: int) -> tuple[Floats, Doubles, InteractionLog, InteractionLog]:
    """Return the items' columns, the true rates, and rows to train and to stop by."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(MANY_ITEMS, COLUMNS)).astype(np.float32)
    direction = rng.normal(size=COLUMNS)
    explained = numbers @ (direction / np.linalg.norm(direction))
    effect = np.sqrt(0.9) * explained + np.sqrt(0.1) * rng.normal(size=MANY_ITEMS)
    taste = rng.normal(size=(MANY_USERS, 4)) @ rng.normal(size=(4, MANY_ITEMS)) / 6
    rate = 1 / (1 + np.exp(0.5 - effect - 0.5 * rng.normal(size=(MANY_USERS, 1)) - taste))
    popularity = np.exp(1.2 * rng.normal(size=MANY_ITEMS))
    shown = rng.random(rate.shape) < np.minimum(0.01 * MANY_ITEMS * popularity / popularity.sum(), 0.9)
    user, item = np.nonzero(shown)
    rows = rng.permutation(len(user))
    user, item = user[rows], item[rows]
    outcome = (rng.random(len(user)) < rate[user, item]).astype(np.float32)
    log = InteractionLog(item, np.ones_like(item), outcome, MANY_ITEMS, user, MANY_USERS, propensity=outcome * 0 + 1)
    cut = len(log) * 9 // 10
    return numbers, rate, log.take(np.arange(cut)), log.take(np.arange(cut, len(log)))


def tail_error(folder: Path, seed: int, *, prior: bool, permuted: bool = False) -> float:
    """Return the mean squared true error over all pairs with an item of the tail, which begins in the last fifth."""
    numbers, rate, train, validation = world(seed)
    if permuted:
        numbers = numbers[np.random.default_rng([seed, 1]).permutation(MANY_ITEMS)]
    of_users, of_items = (np.zeros((count, 0), np.float32) for count in (MANY_USERS, MANY_ITEMS))
    view = FeatureMatrix((), ("user", "item"), of_users, of_items, ())
    given = EncoderInputs(MANY_USERS, MANY_ITEMS, (), Path(), Path(), item_features=numbers, history_log=train)

    def model() -> CausalModel:
        encoder = MF(given, width=8, prior="features" if prior else "none")
        return CausalModel({OUTCOME: RoleNetwork(encoder, Dot(0))}, "logit")

    settings = TrainerSettings(progress=False, max_epochs=100, patience=5)
    fit = task(
        folder / f"{seed}-{prior}-{permuted}",
        Naive(),
        model=model,
        features=view,
        train=train,
        validation=validation,
        trainer=settings,
        optimizer=AdamW(weight_decay=1.0),
        sampler=Balanced(batch_size=2048),
        criterion="naive",
    ).fit()
    trained = model()
    trained.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
    tail = np.flatnonzero(tail_items(train, 0.2))
    user, item = np.repeat(np.arange(MANY_USERS), len(tail)), np.tile(tail, MANY_USERS)
    predicted = trained.predict(user, item, view, Naive())
    return float(np.square(predicted - rate[user, item]).mean())


def test_columns_that_tell_items_effects_lower_the_error_of_the_tail_and_permuted_ones_cost_little(
    tmp_path: Path,
) -> None:
    plain = tail_error(tmp_path, 0, prior=False)
    assert tail_error(tmp_path, 0, prior=True) < 0.7 * plain
    assert tail_error(tmp_path, 0, prior=True, permuted=True) < 1.05 * plain


@pytest.mark.long
def test_so_they_do_over_ten_draws(tmp_path: Path) -> None:
    plain, prior, permuted = (
        np.array([tail_error(tmp_path, seed, **settings) for seed in range(10)])
        for settings in ({"prior": False}, {"prior": True}, {"prior": True, "permuted": True})
    )
    assert (prior < 0.7 * plain).all() and permuted.mean() < 1.05 * plain.mean()
