"""Networks of effects do not depend on the unit of a numeric outcome: under y -> a y + b all that they say follows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.features.views import FeatureMatrix
from causalrec.learners.network_model import unit_of
from causalrec.metrics.auc import weighted_auc
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogTensors
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import ARMS, OUTCOME, PROPENSITY, Batch, Doubles, Estimand, Outputs, Role, Term
from tests.estimators.test_effect_objectives import OBJECTIVES, PAIRS
from tests.heads.test_uplift_heads import HEADS

USERS, SCALE, SHIFT = 60, 1000.0, 250.0
NARROW = {"width": 8, "arm_width": 4}


@cache
def rows() -> tuple[InteractionLog, FeatureMatrix]:
    """Two thirds of the treated by their first number, whose effect follows the second."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(USERS, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-1.5 * numbers[:, 0]))
    treatment = (rng.random(USERS) < chance).astype(np.int64)
    outcome = 3 + numbers[:, 0] + treatment * (1 + numbers[:, 1]) + rng.normal(size=USERS)
    propensity = np.where(treatment == 1, chance, 1 - chance).astype(np.float32)
    item, user = np.zeros(USERS, np.int64), np.arange(USERS)
    log = InteractionLog(item, treatment, outcome.astype(np.float32), 1, user, USERS, propensity=propensity)
    features = FeatureMatrix(("x", "z"), (), numbers, np.zeros((1, 0), np.float32), ())
    return log, features


def of_unit(log: InteractionLog, scale: float, shift: float) -> InteractionLog:
    return replace(log, outcome=(scale * log.outcome.astype(np.float64) + shift).astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class LargeEffects(AbstractPenalty):
    """The mean square of the predicted effects, a penalty that somebody adds."""

    estimands: ClassVar[frozenset[Estimand]] = frozenset({"effect"})
    vectorizable: ClassVar[bool] = True

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        arms = outputs.components[OUTCOME][ARMS]
        return {"square": Term((arms[..., 1] - arms[..., 0] - batch.outcome).square(), OUTCOME)}


def request(name: str, head: str, scale: float = 1.0, shift: float = 0.0, **changes: Any) -> FitRequest:
    (log, features), objective = rows(), OBJECTIVES[name]
    moved = of_unit(log, scale, shift)
    train, validation = moved.take(np.arange(40)), moved.take(np.arange(40, USERS))

    def model() -> CausalModel:
        networks = {role: _network(head) for role in objective.roles}
        return CausalModel(networks, "identity", unit_of(train.outcome))

    settings: dict[str, Any] = {
        "model": model,
        "objective": objective,
        "optimizer": AdamW(lr=0.02, weight_decay=0.1),
        "trainer": TrainerSettings(progress=False, max_epochs=3, patience=3, precision="64-true"),
        "sampler": Balanced(batch_size=20),
        "features": features,
        "train": train,
        "validation": validation,
        "seed": 0,
        "criterion": "ips",
        "clip": 0.01,
        "validation_space": "logged",
        "pair_propensity": None,
        "logger": None,
        "folder": Path("unused"),
        "label": "test",
        "prefix": "",
    }
    return FitRequest(**{**settings, **changes})


def _network(head: str) -> RoleNetwork:
    inputs, keys = EncoderInputs(USERS, 0, (), Path(), Path()), signature(HEADS[head]).parameters
    narrow: dict[str, Any] = {name: size for name, size in NARROW.items() if name in keys}
    return RoleNetwork(MF(inputs, width=3), HEADS[head](2, 5, 2, **narrow))


def load_model(fit_request: FitRequest, fit: FitResult) -> CausalModel:
    model = fit_request.fresh_model().double()
    model.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
    return model


def predictions(fit_request: FitRequest, fit: FitResult) -> tuple[Doubles, Doubles]:
    """Effects and mean outcomes of all rows, float64."""
    log, features = rows()
    model, objective = load_model(fit_request, fit), fit_request.objective
    pairs = (log.users, log.item, features, objective)
    effects, means = model.predict(*pairs), model.predict(*pairs, extract=objective.potential_outcomes)
    return effects.astype(np.float64), means.astype(np.float64)


def check_follows(requests: list[FitRequest], fits: list[FitResult], tolerance: float) -> None:
    """The second fit's outcome is that of the first times SCALE, plus SHIFT."""
    sd = float(rows()[0].outcome.std())
    (effects, means), (moved_effects, moved_means) = map(predictions, requests, fits)
    np.testing.assert_allclose(moved_effects / SCALE, effects, atol=tolerance * sd, rtol=0)
    np.testing.assert_allclose((moved_means - SHIFT) / SCALE, means, atol=tolerance * sd, rtol=0)
    first, second = fits
    assert second.criterion == pytest.approx(SCALE**2 * first.criterion, rel=1e-3)
    assert second.best_epoch == first.best_epoch
    for point, moved in zip(first.curve, second.curve, strict=True):
        assert moved.loss == pytest.approx(SCALE**2 * point.loss, rel=1e-3)
        assert moved.criterion == pytest.approx(SCALE**2 * float(point.criterion or 0), rel=1e-3)


def fit_together(requests: list[FitRequest]) -> list[FitResult]:
    fits = fit_stacked(requests, lambda size: len(requests))
    assert all(isinstance(fit, FitResult) for fit in fits), fits
    return [fit for fit in fits if isinstance(fit, FitResult)]


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_every_head_and_objective_follows_the_outcome(name: str, head: str) -> None:
    requests = [request(name, head), request(name, head, SCALE, SHIFT)]
    check_follows(requests, fit_together(requests), 1e-3)


def test_a_penalty_of_effects_follows_it_too() -> None:
    penalties = {"large": LargeEffects(weight=0.5)}
    requests = [request("factual", "t_net", *unit, penalties=penalties) for unit in ((1.0, 0.0), (SCALE, SHIFT))]
    fits = fit_together(requests)
    check_follows(requests, fits, 1e-3)
    without = fit_together([request("factual", "t_net")])[0]
    assert fits[0].curve[-1].loss > without.curve[-1].loss


@pytest.mark.parametrize(("name", "head"), [("dragonnet", "dragonnet"), ("x_learner", "t_net")])
def test_fitted_alone_it_follows_and_is_what_a_stack_makes_of_it(name: str, head: str, tmp_path: Path) -> None:
    requests = [
        request(name, head, *unit, folder=tmp_path / str(k)) for k, unit in enumerate(((1.0, 0.0), (SCALE, SHIFT)))
    ]
    alone = [each.fit() for each in requests]
    check_follows(requests, alone, 1e-3)
    for single, stacked in zip(alone, fit_together(requests), strict=True):
        assert [point.loss for point in stacked.curve] == pytest.approx([point.loss for point in single.curve])
        assert stacked.criterion == pytest.approx(single.criterion)


class Stopped(Exception):
    """Ends a fit from within, as an interrupt would."""


def test_a_fit_that_was_stopped_goes_on_in_the_same_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = TrainerSettings(progress=False, max_epochs=3, patience=3, precision="64-true", checkpoint_steps=1)
    in_one_go, stopped = (
        request("dragonnet", "dragonnet", SCALE, SHIFT, trainer=saving, folder=tmp_path / name) for name in "ab"
    )
    forward, passes = CausalModel.forward, itertools.count(1)

    def stop_in_the_second_epoch(model: CausalModel, batch: Batch) -> Outputs:
        if model.training and next(passes) == 4:
            raise Stopped
        return forward(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CausalModel, "forward", stop_in_the_second_epoch)
        with pytest.raises(Stopped):
            stopped.fit()
        resumed = stopped.fit()
    assert next(passes) - 1 == 4 + 3, "of three epochs of two steps three were behind"
    assert resumed.curve == in_one_go.fit().curve


def test_the_losses_of_a_network_of_arms_are_squared_errors_in_the_unit_of_the_outcome() -> None:
    """As they were before outcomes were standardised in training."""
    chosen = request("factual", "t_net", SCALE, SHIFT, criterion="naive")
    (fit,) = fit_together([chosen])
    _, means = predictions(chosen, fit)
    log = of_unit(rows()[0], SCALE, SHIFT)
    factual = means[np.arange(USERS), log.treatment]
    assert fit.criterion == pytest.approx(float(np.square(factual - log.outcome)[40:].mean()), rel=1e-4)


def components(name: str, scale: float) -> tuple[Mapping[Role, torch.Tensor], Mapping[str, Term], Batch]:
    """What the trained outcome network gives its training rows, and the terms there."""
    epochs = TrainerSettings(progress=False, max_epochs=20, patience=20, precision="64-true")
    chosen = request(name, "dragonnet", scale, trainer=epochs)
    model = load_model(chosen, fit_together([chosen])[0]).float()
    sampled = next(iter(Balanced(batch_size=40).epoch(chosen.train, "logged", 0, 0)))
    batch = model.standardise(LogTensors(chosen.train, chosen.features).batch(sampled))
    outputs = model(batch)
    return outputs.components[OUTCOME], chosen.objective.terms(batch, outputs), batch


def test_the_propensity_of_dragonnet_learns_as_much_in_any_unit() -> None:
    areas = []
    for scale in (1.0, SCALE):
        outputs, _, batch = components("dragonnet", scale)
        score = outputs[PROPENSITY].detach()
        areas.append(float(weighted_auc(score[:, 1] - score[:, 0], batch.treatment.float(), torch.ones(1, 40))))
    assert areas[0] == areas[1] > 0.7


@pytest.mark.parametrize("name", ["cfr_mmd", "cfr_wass"])
def test_the_imbalance_of_counterfactual_regression_counts_alike_in_any_unit(name: str) -> None:
    (_, terms, _), (_, moved, _) = components(name, 1.0), components(name, SCALE)
    for term in ("imbalance", "outcome"):
        assert float(moved[term].value.detach().mean()) == pytest.approx(
            float(terms[term].value.detach().mean()), rel=1e-2
        )


def test_a_unit_is_of_the_rows_and_never_zero() -> None:
    assert unit_of(np.array([1e6, 1e6 + 2], np.float32)) == (1e6 + 1, 1.0)
    assert unit_of(np.full(7, 0.1, np.float32))[1] == 1.0
