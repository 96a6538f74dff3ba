"""The doubly robust family and the objectives beside it: worked numbers, gradients, and the public code's loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.asips import ASIPS, TEACHERS
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.cvib import CVIB
from causalrec.estimators.objective.dr import DR
from causalrec.estimators.objective.dr_bias import DRBias
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.dr_mse import DRMSE
from causalrec.estimators.objective.eib import EIB
from causalrec.estimators.objective.mrdr import MRDR
from causalrec.estimators.objective.tdr import TDR
from causalrec.estimators.objective.tdr_jl import TDRJL
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.types import IMPUTATION, OUTCOME, Batch, Outputs, Role, Term

# Four rows in rating points: errors 4, 0, (unseen), 4; imputed errors 1, 0, 1, 9; inverse propensities 2, 4, 5, 10.
OBSERVED = torch.tensor([1.0, 1.0, 0.0, 1.0])
PROPENSITY = torch.tensor([0.5, 0.25, 0.2, 0.1])
LABEL = torch.tensor([1.0, 1.0, 0.0, 2.0])
VALUES = {OUTCOME: torch.tensor([3.0, 1.0, 2.0, 0.0]), IMPUTATION: torch.tensor([2.0, 1.0, 1.0, 3.0])}
LEGACY = (DR, DRJL, MRDR, DRBias, DRMSE, TDR, TDRJL)


def batch_of(outcome: Tensor, observed: Tensor, propensity: Tensor, weight: Tensor | None = None) -> Batch:
    ids = torch.arange(len(outcome))
    unit = torch.ones(len(outcome))
    return Batch(
        item=ids, treatment=observed.long(), outcome=outcome, observed=observed, propensity=propensity,
        weight=unit if weight is None else weight, features=unit[:, None], user=ids,
    )  # fmt: skip


HAND = batch_of(LABEL, OBSERVED, PROPENSITY)


def terms_of(
    objective: AbstractObjective, values: dict[Role, Tensor] = VALUES, batch: Batch = HAND
) -> Mapping[str, Term]:
    return objective.terms(batch, Outputs(values, "identity"))


def module_of(objective: AbstractObjective) -> CausalRecModule:
    inputs = EncoderInputs(3, 3, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=2), Dot(1)) for role in objective.roles}
    return CausalRecModule(CausalModel(networks, "logit"), objective, AdamW())


def loss_of(objective: AbstractObjective, batch: Batch, outputs: Outputs) -> Tensor:
    module = module_of(objective)
    return torch.stack([module.reduce(t, batch) for t in objective.terms(batch, outputs).values()]).sum()


def test_eib_by_hand() -> None:
    terms = terms_of(EIB())
    assert terms["outcome"].value.tolist() == [4, 0, 1, 4]
    assert terms["imputation"].value.tolist() == [9, 0, 0, 25]


@pytest.mark.parametrize("objective", [DR(), DRJL(), MRDR(), DRBias(), DRMSE()])
def test_the_outcome_terms_of_the_family_are_one_estimator(objective: AbstractObjective) -> None:
    assert terms_of(objective)["outcome"].value.tolist() == [7, 0, 1, -41]  # 1 + 3*2, 0, 1, 9 - 5*10


def test_the_imputation_of_dr_regresses_outcomes_and_ignores_the_outcome_model() -> None:
    term = terms_of(DR())["imputation"]
    assert term.value.tolist() == [1, 0, 0, 1] and term.normaliser is not None
    other = terms_of(DR(), {**VALUES, OUTCOME: torch.full((4,), 9.0)})["imputation"]
    assert other.value.tolist() == term.value.tolist()


@pytest.mark.parametrize(
    ("objective", "weights"),
    [
        (MRDR(), [2.0, 12, 0, 90]),  # (1 - p) / p^2
        (DRBias(), [2.0, 36, 0, 810]),  # (1 - p)^2 / p^3
        (DRMSE(), [2.0, 24, 0, 450]),
        (DRMSE(gamma=0.25), [2.0, 18, 0, 270]),
    ],
)
def test_imputation_weights_by_hand(objective: AbstractObjective, weights: list[float]) -> None:
    values = {**VALUES, IMPUTATION: torch.tensor([2.0, 3.0, 1.0, 3.0])}  # misses 3, -4, -, -5
    squares = [9.0, 16, 0, 25]
    expected = [w * s for w, s in zip(weights, squares, strict=True)]
    assert terms_of(objective, values)["imputation"].value.tolist() == pytest.approx(expected, rel=1e-5)


def test_clipped_propensities_bound_the_imputation_weights() -> None:
    value = terms_of(DRBias(clip=0.5))["imputation"].value
    assert value.tolist() == pytest.approx([9 * 2, 0, 0, 25 * 2])


@pytest.mark.parametrize("objective", [TDR(), TDRJL()])
def test_targeted_by_hand(objective: AbstractObjective) -> None:
    # levers 1, 3, 4, 9; epsilon = (3*1 + 0*3 - 5*9) / (1 + 9 + 81) = -42/91
    epsilon = -42 / 91
    moved = [1 + epsilon, 3 * epsilon, 1 + 4 * epsilon, 9 + 9 * epsilon]
    expected = [moved[0] + 2 * (4 - moved[0]), moved[1] - 4 * moved[1], moved[2], moved[3] + 10 * (4 - moved[3])]
    value = terms_of(objective)["outcome"].value
    assert value.tolist() == pytest.approx(expected, rel=1e-5)
    imputation_based = [4, 0, moved[2], 4]  # the estimate equals error imputation with the moved errors
    assert float(value.sum()) == pytest.approx(sum(imputation_based), rel=1e-5)


def test_targeting_weighs_rows_by_what_they_stand_for() -> None:
    halves = batch_of(LABEL, OBSERVED, PROPENSITY, torch.tensor([1.0, 1.0, 1.0, 2.0]))
    rows = torch.tensor([0, 1, 2, 3, 3])
    every_row = batch_of(LABEL[rows], OBSERVED[rows], PROPENSITY[rows])
    repeated = {role: raw[rows] for role, raw in VALUES.items()}
    value = terms_of(TDRJL(), batch=halves)["outcome"].value
    torch.testing.assert_close(value, terms_of(TDRJL(), repeated, every_row)["outcome"].value[:4])


def test_targeting_survives_a_batch_in_which_nothing_is_observed_or_all_is_certain() -> None:
    for observed, propensity in ((torch.zeros(4), PROPENSITY), (torch.ones(4), torch.ones(4))):
        terms = terms_of(TDRJL(), batch=batch_of(LABEL, observed, propensity))
        assert terms["outcome"].value.isfinite().all()


@pytest.mark.parametrize("kind", LEGACY)
def test_the_loss_of_public_code_by_hand(kind: type[AbstractObjective]) -> None:
    batch = batch_of(LABEL, OBSERVED, torch.where(OBSERVED > 0, PROPENSITY, 1.0))
    imputed = torch.tensor([1.0, 0.0, 1.0, 9.0])
    if kind in (TDR, TDRJL):
        imputed = imputed + -42 / 91 * (1 / batch.propensity - 1)
    terms = terms_of(kind(legacy_public_code=True), batch=batch)  # type: ignore[call-arg]
    risk = [term for term in terms.values() if term.trains == OUTCOME]
    estimate = sum(float(t.value.sum() / (4 if t.normaliser is None else t.normaliser.sum())) for t in risk)
    seen = (8 + 0 + 40 - float((OBSERVED * imputed).sum())) / 3
    assert estimate == pytest.approx(float(imputed.mean()) + seen, rel=1e-5)


@pytest.mark.parametrize("kind", LEGACY)
@pytest.mark.parametrize("legacy", [False, True])
def test_each_term_reaches_one_role(kind: type[AbstractObjective], legacy: bool) -> None:
    values = {role: raw.clone().requires_grad_() for role, raw in VALUES.items()}
    for term in terms_of(kind(legacy_public_code=legacy), values).values():  # type: ignore[call-arg]
        slopes = torch.autograd.grad(term.value.sum(), list(values.values()), retain_graph=True, allow_unused=True)
        reached = {role for role, g in zip(values, slopes, strict=True) if g is not None and g.any()}
        assert reached == {term.trains}


def test_asips_by_hand() -> None:
    first, second = TEACHERS
    values = {OUTCOME: VALUES[OUTCOME], first: torch.tensor([1.0, 2.0, 3.0, 4.0]), second: torch.tensor([1.1, 2, 2, 0])}
    terms = terms_of(ASIPS(epsilon=0.0625), values)  # 0.25 rating points of 4
    assert terms["outcome"].value.tolist() == [4, 1, 0, 0]  # (3 - 1)^2 and (1 - 2)^2, where teachers agree
    assert terms["outcome"].normaliser is not None
    assert terms["outcome"].normaliser.tolist() == pytest.approx([1, 1, 0, 0], abs=1e-4)
    assert terms[str(first)].value.tolist() == [0, 4, 0, 40]  # o e / p
    disagreeing = {**values, second: values[first] + 1}
    assert loss_of(ASIPS(epsilon=0.0625), HAND, Outputs(disagreeing, "identity")).isfinite()


def whole_cvib(raw: Tensor, batch: Batch, contrast: float, confidence: float) -> Tensor:
    """The paper's loss on the batch, written down directly."""
    seen, unseen = (batch.weight * rows for rows in (batch.observed, 1 - batch.observed))
    chance = torch.sigmoid(raw)
    error = torch.nn.functional.binary_cross_entropy(chance, batch.outcome, reduction="none")
    a, b = (chance * seen).sum() / seen.sum(), (chance * unseen).sum() / unseen.sum()
    penalty = (seen * chance * chance.log()).sum() / seen.sum()
    return (
        (seen * error).sum() / seen.sum() + contrast * (-a * b.log() - (1 - a) * (1 - b).log()) + confidence * penalty
    )


def cvib_batch() -> tuple[Batch, Tensor]:
    draw = torch.Generator().manual_seed(0)
    observed = torch.tensor([1.0, 0, 1, 0, 1, 0, 0, 1])
    outcome = (torch.rand(8, generator=draw) < 0.5).float() * observed
    weight = torch.where(observed > 0, 0.3, 1.7)
    return batch_of(outcome, observed, torch.ones(8), weight), torch.randn(8, generator=draw)


def test_the_gradient_of_cvib_is_that_of_the_whole_loss() -> None:
    batch, start = cvib_batch()
    objective = CVIB(contrast=0.7, confidence=0.4)
    raw, same = start.clone().requires_grad_(), start.clone().requires_grad_()
    loss_of(objective, batch, Outputs({OUTCOME: raw}, "logit")).backward()
    whole_cvib(same, batch, 0.7, 0.4).backward()
    assert raw.grad is not None and same.grad is not None
    torch.testing.assert_close(raw.grad, same.grad)
    value = loss_of(objective, batch, Outputs({OUTCOME: start}, "logit"))
    torch.testing.assert_close(value, whole_cvib(start, batch, 0.7, 0.4))  # what is logged is the loss
    for dropped in (replace(objective, contrast=0.0), replace(objective, confidence=0.0)):
        other = start.clone().requires_grad_()
        loss_of(dropped, batch, Outputs({OUTCOME: other}, "logit")).backward()
        assert other.grad is not None and not torch.allclose(other.grad, same.grad, atol=1e-3)


def test_cvib_is_defined_for_probabilities_alone() -> None:
    assert CVIB.links == frozenset({"logit"})


def test_cvib_survives_a_batch_without_unseen_pairs() -> None:
    batch = batch_of(torch.tensor([1.0, 0.0]), torch.ones(2), torch.ones(2))
    loss = loss_of(CVIB(), batch, Outputs({OUTCOME: torch.zeros(2)}, "logit"))
    assert loss.isfinite() and not math.isnan(float(loss))
