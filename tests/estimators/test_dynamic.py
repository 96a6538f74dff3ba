"""Dynamic weights (D-IPS and its kin), and Stable MRDR: worked numbers, what they minimise, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from causalrec.config.component import validate_component
from causalrec.errors import RequestError
from causalrec.estimators.certificate.claims import Effort, check_claims
from causalrec.estimators.certificate.simulation import Simulation
from causalrec.estimators.certificate.world import World
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr import DR
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.mrdr import MRDR
from causalrec.estimators.objective.snips import SNIPS
from causalrec.estimators.objective.stable_dr import StableDR
from causalrec.estimators.pointwise_error import dynamic_propensity
from causalrec.training.stacked.merge import merge_objectives
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Outputs
from tests.estimators.test_dr_family import HAND, OBSERVED, VALUES, terms_of
from tests.estimators.test_dr_family import PROPENSITY as CHANCES

DYNAMIC: list[AbstractObjective] = [IPS(dynamic=0.1), SNIPS(dynamic=0.1), DR(dynamic=0.1), DRJL(dynamic=0.1)]
DYNAMIC += [MRDR(dynamic=0.1)]
GRID = torch.linspace(0.001, 0.999, 333, dtype=torch.float64)
DIVISORS = [0.5849625, 0.3219281, 0.2630344, 0.18]  # of p = .5, .25, .2: log2(1 + p); of p = .1: .2 * .9


def test_the_divisor_by_hand() -> None:
    assert dynamic_propensity(CHANCES, 0.1).tolist() == pytest.approx(DIVISORS, rel=1e-6)
    assert dynamic_propensity(torch.tensor([0.2, 1.0]), 10.0).tolist() == [1, 1], "never above one"
    assert dynamic_propensity(CHANCES, None) is CHANCES


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.4, 3.0])
def test_the_closed_form_is_the_power_of_the_paper(ratio: float) -> None:
    base = torch.log2(1 + GRID)
    alpha = (torch.log(2 * ratio * (1 - GRID)) / torch.log(base)).clamp(0, 1)
    torch.testing.assert_close(dynamic_propensity(GRID, ratio), base**alpha)


def test_no_divisor_in_reach_has_less_bias_and_variance() -> None:
    def cost(divisor: torch.Tensor) -> torch.Tensor:
        return 1 - GRID / divisor + 0.1 * GRID * (1 - GRID) / divisor**2

    share = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None]
    reachable = torch.log2(1 + GRID) ** share  # alpha in [0, 1]
    assert (cost(dynamic_propensity(GRID, 0.1)) <= cost(reachable).amin(0) + 1e-12).all()


def test_outcome_terms_by_hand() -> None:
    inverse = [1 / 0.5849625, 1 / 0.3219281, 0, 1 / 0.18]
    assert terms_of(IPS(dynamic=0.1))["outcome"].value.tolist() == pytest.approx([4 * inverse[0], 0, 0, 4 * inverse[3]])
    normaliser = terms_of(SNIPS(dynamic=0.1))["outcome"].normaliser
    assert normaliser is not None and normaliser.tolist() == pytest.approx(inverse)
    robust = [1 + 3 * inverse[0], 0, 1, 9 - 5 * inverse[3]]
    for objective in DYNAMIC[2:]:
        assert terms_of(objective)["outcome"].value.tolist() == pytest.approx(robust, rel=1e-5)


def test_the_imputation_of_dr_jl_weighs_as_the_outcome_and_that_of_mrdr_stays() -> None:
    joint = terms_of(DRJL(dynamic=0.1))["imputation"].value
    assert joint.tolist() == pytest.approx([9 / 0.5849625, 0, 0, 25 / 0.18], rel=1e-5)
    assert torch.equal(terms_of(MRDR(dynamic=0.1))["imputation"].value, terms_of(MRDR())["imputation"].value)


def test_a_clip_bounds_the_divisor() -> None:
    value = terms_of(IPS(dynamic=0.1, clip=0.4))["outcome"].value
    assert value.tolist() == pytest.approx([4 / 0.5849625, 0, 0, 4 / 0.4], rel=1e-5)


@pytest.mark.parametrize("objective", DYNAMIC, ids=lambda o: type(o).__name__)
def test_the_propensity_of_an_unobserved_row_is_not_read(objective: AbstractObjective) -> None:
    unknown = replace(HAND, propensity=torch.where(OBSERVED > 0, CHANCES, torch.nan))
    for name, term in terms_of(objective, batch=unknown).items():
        assert torch.equal(term.value, terms_of(objective)[name].value)


def test_where_variance_alone_counts_every_row_weighs_alike() -> None:
    assert torch.equal(terms_of(IPS(dynamic=1e6))["outcome"].value, terms_of(IPS(clip=1.0))["outcome"].value)


@pytest.mark.parametrize("objective", DYNAMIC, ids=lambda o: type(o).__name__)
def test_a_dynamic_weight_claims_nothing(objective: AbstractObjective) -> None:
    assert not objective.claimed and replace(objective, dynamic=None).claimed  # type: ignore[call-arg]


@pytest.mark.parametrize(("ratio", "result"), [(None, "passes"), (0.1, "FAILS")])
def test_ips_is_unbiased_and_its_dynamic_form_is_not(ratio: float | None, result: str) -> None:
    objective = IPS(clip=0, dynamic=ratio)
    world = World.create("exposure", 40)
    simulation = Simulation(objective=objective, world=world, claims=frozenset({"unbiased"}))
    checks = {check.name: check.result for check in check_claims(simulation, Effort(draws=120))}
    assert checks["unbiased"] == result


@pytest.mark.parametrize("objective", DYNAMIC, ids=lambda o: type(o).__name__)
def test_replicas_of_unlike_ratios_are_each_their_own(objective: AbstractObjective) -> None:
    objectives = [objective, replace(objective, dynamic=0.3)]  # type: ignore[call-arg]
    two = HAND.map_tensors(lambda column: torch.stack([column, column]))
    outputs = Outputs({role: torch.stack([raw, raw]) for role, raw in VALUES.items()}, "identity")
    together = merge_objectives(objectives, torch.zeros(1)).terms(two, outputs)["outcome"].value
    for k, each in enumerate(objectives):
        torch.testing.assert_close(together[k], terms_of(each)["outcome"].value)
    assert not torch.equal(together[0], together[1])


def test_a_ratio_must_be_above_zero() -> None:
    node = {"_target_": "causalrec.estimators.objective.ips.IPS", "dynamic": 0}
    with pytest.raises(RequestError, match=r"objective\.dynamic=0"):
        validate_component("objective", node)


def test_the_imputation_of_stable_mrdr_weighs_by_the_variance() -> None:
    values = {**VALUES, PROPENSITY: torch.logit(CHANCES)}
    inverse, variance = (
        terms_of(StableDR(imputation_weight=weight), values)  # type: ignore[arg-type]
        for weight in ("inverse", "variance")
    )
    misses = torch.tensor([3.0, 0.0, 0.0, -5.0])
    torch.testing.assert_close(inverse["imputation"].value, OBSERVED * misses.square() / CHANCES)
    torch.testing.assert_close(variance["imputation"].value, OBSERVED * (1 - CHANCES) / CHANCES**2 * misses.square())
    assert torch.equal(inverse["outcome"].value, variance["outcome"].value)
    assert variance["imputation"].trains == IMPUTATION and variance["outcome"].trains == OUTCOME
