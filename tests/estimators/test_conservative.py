"""CDR: which imputed errors are dropped, by hand; its special cases; and fits with passes side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from causalrec.estimators.conservative import AbstractConservative, is_certain
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.cdr_dr_bias import CDRDRBias
from causalrec.estimators.objective.cdr_dr_jl import CDRDRJL
from causalrec.estimators.objective.cdr_eib import CDREIB
from causalrec.estimators.objective.cdr_mrdr import CDRMRDR
from causalrec.estimators.objective.dr_bias import DRBias
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.eib import EIB
from causalrec.estimators.objective.mrdr import MRDR
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.types import IMPUTATION, OUTCOME, Outputs
from tests.estimators.test_dr_family import HAND, VALUES
from tests.training.test_stacked import largest, task

BASES: list[tuple[AbstractConservative, AbstractObjective]] = [
    (CDREIB(), EIB()),
    (CDRDRJL(), DRJL()),
    (CDRMRDR(), MRDR()),
    (CDRDRBias(), DRBias()),
]
WEIGHTED = [objective for objective, _ in BASES[1:]]
# Predictions 3, 1, 2, 0 make of these labels the errors (1, 1), (1, 0), (1, 1), (9, 1): s / mean is 0, 1, 0, 0.8.
PASSES = torch.tensor([[2.0, 2.0, 1.0, 3.0], [2.0, 1.0, 1.0, 1.0]])


def value_of(objective: AbstractObjective, name: str = "outcome", passes: Tensor = PASSES) -> list[float]:
    outputs = Outputs(VALUES, "identity", passes={IMPUTATION: passes})
    values: list[float] = objective.terms(HAND, outputs)[name].value.tolist()
    return values


def test_the_coefficient_of_variation_by_hand() -> None:
    errors = torch.tensor([[1.0, 1.0, 1.0, 9.0], [1.0, 0.0, 1.0, 1.0]])
    assert [is_certain(errors, most).tolist() for most in (0.0, 0.5, 0.81, 1.1)] == [
        [0, 0, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 1, 1],
        [1, 1, 1, 1],
    ]


@pytest.mark.parametrize("objective", WEIGHTED)
def test_a_row_without_imputation_is_weighed_by_its_inverse_propensity(objective: AbstractConservative) -> None:
    assert value_of(replace(objective, max_variation=0.5)) == [7, 0, 1, 40]  # 1 + 2 * 3, 4 * 0, 1, 10 * 4
    assert value_of(replace(objective, max_variation=0.0)) == [8, 0, 0, 40]  # o e / p


def test_a_pair_without_imputation_counts_nothing_in_eib() -> None:
    unsure = PASSES.clone()
    unsure[:, 2] = torch.tensor([1.0, 2.0])  # errors 1 and 0 of the pair that is not observed
    assert value_of(CDREIB()) == [4, 0, 1, 4] and value_of(CDREIB(), passes=unsure) == [4, 0, 0, 4]


@pytest.mark.parametrize(("objective", "base"), BASES)
def test_a_filter_that_drops_nothing_is_the_base_objective(
    objective: AbstractConservative, base: AbstractObjective
) -> None:
    for name in ("outcome", "imputation"):
        assert value_of(replace(objective, max_variation=9.0), name) == value_of(base, name)
        assert value_of(replace(objective, max_variation=0.0), "imputation") == value_of(base, "imputation")


@pytest.mark.parametrize("objective", WEIGHTED)
def test_the_filter_of_public_code_drops_by_variance_which_no_cross_entropy_reaches(
    objective: AbstractConservative,
) -> None:
    legacy = replace(objective, legacy_public_code=True, max_variation=0.0)  # type: ignore[call-arg]
    outputs = Outputs(VALUES, "identity", passes={IMPUTATION: PASSES})
    assert legacy.certain(outputs).tolist() == [1, 1, 1, 0]  # (9 - 1)^2 / 4 is 16
    assert legacy.terms(HAND, outputs)["observed"].value.tolist() == [7, 0, 0, 40]  # e / p - m e_hat
    raw = {OUTCOME: torch.tensor([6.0, -6.0]), IMPUTATION: torch.zeros(2)}
    far = Outputs(raw, "logit", passes={IMPUTATION: torch.tensor([[9.0, 9.0], [-9.0, -9.0]])})
    assert legacy.certain(far).tolist() == [1, 1] and objective.certain(far).tolist() == [0, 0]


def test_fits_that_differ_in_dropout_and_filter_stack(tmp_path: Path) -> None:
    settings = [CDRDRJL(), CDRDRJL(dropout=0.2, max_variation=0.05), CDRDRJL(max_variation=0.0)]
    requests = [task(tmp_path / str(k), each, seed=0) for k, each in enumerate(settings)]
    assert reason_to_fit_alone(requests[0]) is None
    fits = fit_stacked(requests, lambda size: 9)
    for request, stacked in zip(requests, fits, strict=True):
        assert largest(stacked.state, request.fit().state) < 1e-8
    assert len({fit.criterion for fit in fits}) == 3, "each setting makes a difference"
