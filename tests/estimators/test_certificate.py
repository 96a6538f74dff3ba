"""The certificate of objectives: planted defects are flagged by the check that is theirs, bad input in one line.

Those of public code are the rows of a table of docs/estimators.md, which a test holds to this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.errors import CausalRecError, RequestError
from causalrec.estimators.certificate.certificate import certify
from causalrec.estimators.certificate.claims import LARGER, RATIO, Effort, judge_errors
from causalrec.estimators.certificate.held_fixed import HeldFixed
from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.ips_v2 import IPSV2
from causalrec.estimators.objective.mr import MR
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error, soft_label
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Link, Outputs, Role, Term

QUICK = Effort(users=40, draws=120, small_users=10, growing_draws=120, epochs=40)
BOTH, LEARNT = (OUTCOME, IMPUTATION), (OUTCOME, PROPENSITY)
UNBIASED, CONSISTENT, FINITE, ROLES = "unbiased", "consistent", "finite gradients", "each term reaches its role alone"
GRADIENT, SLOPES, STACKED = "gradient only", "gradients are finite differences", "stacked = alone"
WRONG_PROPENSITY = "doubly robust, propensities wrong"
WRONG_LABELS = "doubly robust, imputed labels wrong"
Formula = Callable[[Batch, Outputs], Mapping[str, Term]]
DEFECTS: list[tuple[Formula | type[AbstractObjective], AbstractObjective, set[str]]] = []
PAGE = Path(__file__).parents[2] / "docs" / "estimators.md"


def build(formula: Formula, claims: Iterable[str], **variables: Any) -> AbstractObjective:
    """An objective of these terms, over all pairs unless it says otherwise."""
    body = {"claims": frozenset(claims), "space": "all_pairs", **variables}
    body["terms"] = lambda self, batch, outputs: formula(batch, outputs)
    objective: AbstractObjective = type(formula.__name__, (AbstractObjective,), body)()
    return objective


def defect(*flags: str, claims: tuple[str, ...] = (UNBIASED,), **variables: Any) -> Callable[[Formula], Formula]:
    """Enter a planted defect, and the checks that must flag it (and no other)."""

    def enter(formula: Formula) -> Formula:
        DEFECTS.append((formula, build(formula, claims, **variables), set(flags)))
        return formula

    return enter


def plant(*flags: str) -> Callable[[type[Any]], type[Any]]:
    """Enter a shipped objective with a defect, and the checks that must flag it (and no other)."""

    def enter(objective: type[Any]) -> type[Any]:
        DEFECTS.append((objective, objective(clip=0.0), set(flags)))
        return objective

    return enter


def error_of(batch: Batch, outputs: Outputs) -> Tensor:
    return pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)


def weigh(batch: Batch, propensity: Tensor | None = None) -> Tensor:
    return inverse_propensity(batch.observed, batch.propensity if propensity is None else propensity, 0.0)


def imputation_of(batch: Batch, outputs: Outputs) -> tuple[Tensor, Tensor, Term]:
    """The error, the imputed error, and the term that trains the imputation."""
    errors = ImputationErrors.from_outputs(batch, outputs)
    return errors.error, errors.imputed, errors.imputation_term(weigh(batch))


ROBUST = ("unbiased", "doubly_robust")


# --- weights


@defect(UNBIASED, CONSISTENT, claims=(UNBIASED, CONSISTENT))
def mean_over_observed_rows(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """SNIPS without its normaliser: the sum is divided by the number of observed rows."""
    return {"outcome": Term(weigh(batch) * error_of(batch, outputs), OUTCOME, normaliser=batch.observed)}


@defect(CONSISTENT, claims=(CONSISTENT,))
def naive_in_disguise(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    return {"outcome": Term(batch.observed * error_of(batch, outputs), OUTCOME, normaliser=batch.observed)}


@defect(UNBIASED, "weights of logged rows", space="logged")
def weights_of_other_rows(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Propensities aligned by position, after rows were shuffled (pitfall 12)."""
    return {"outcome": Term(batch.observed * (error_of(batch, outputs) / batch.propensity.roll(1, -1)), OUTCOME)}


@defect(UNBIASED)
def clip_that_binds(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    weight = inverse_propensity(batch.observed, batch.propensity, 0.4)
    return {"outcome": Term(weight * error_of(batch, outputs), OUTCOME)}


@defect(UNBIASED)
def propensity_over_its_maximum(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Max-normalised propensities, which are no probabilities (pitfall 11)."""
    return {"outcome": Term(weigh(batch, batch.propensity / 0.9) * error_of(batch, outputs), OUTCOME)}


@defect(UNBIASED)
def propensity_as_a_factor(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """A ratio that is multiplied by where the theory divides (N-IPS, methods 6.14)."""
    return {"outcome": Term(batch.observed * batch.propensity * error_of(batch, outputs), OUTCOME)}


@defect("weights of all_pairs rows")
def weight_of_the_sampler_twice(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    return {"outcome": Term(batch.weight * weigh(batch) * error_of(batch, outputs), OUTCOME)}


# --- labels and errors


@defect(UNBIASED)
def unobserved_label_as_zero(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    return {"outcome": Term(error_of(batch, outputs), OUTCOME)}


@defect(UNBIASED, links=frozenset({"logit"}))
def double_sigmoid(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """A probability handed to a loss of log-odds (pitfall 6)."""
    error = functional.binary_cross_entropy_with_logits(outputs[OUTCOME].sigmoid(), batch.outcome, reduction="none")
    return {"outcome": Term(weigh(batch) * error, OUTCOME)}


@defect(UNBIASED, links=frozenset({"logit"}), reads_whole_batch=True)
def softmax_over_the_batch(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """A cross-entropy whose classes are the rows of the batch (DCE-DR, methods 6.5)."""
    error = -batch.outcome * outputs[OUTCOME].log_softmax(-1)
    return {"outcome": Term(weigh(batch) * error, OUTCOME)}


# --- doubly robust


@defect(UNBIASED, WRONG_PROPENSITY, WRONG_LABELS, claims=ROBUST, roles=BOTH)
def only_the_error_over_p(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """`ê + o e / p - o ê` (pitfall 5)."""
    error, imputed, imputation = imputation_of(batch, outputs)
    value = imputed + weigh(batch) * error - batch.observed * imputed
    return {"outcome": Term(value, OUTCOME), "imputation": imputation}


@defect(WRONG_LABELS, claims=ROBUST, roles=BOTH)
def share_of_observed_rows_left_out(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """An observed mean added to the mean of all pairs without |O| / |D| (pitfall 5)."""
    error, imputed, imputation = imputation_of(batch, outputs)
    correction = Term(weigh(batch) * (error - imputed), OUTCOME, normaliser=batch.observed)
    return {"outcome": Term(imputed, OUTCOME), "correction": correction, "imputation": imputation}


@defect(UNBIASED, WRONG_PROPENSITY, WRONG_LABELS, claims=ROBUST, roles=BOTH)
def only_the_imputed_error_over_p(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    error, imputed, imputation = imputation_of(batch, outputs)
    value = imputed + batch.observed * error - weigh(batch) * imputed
    return {"outcome": Term(value, OUTCOME), "imputation": imputation}


@defect(WRONG_LABELS, claims=ROBUST, roles=BOTH)
def correction_with_the_wrong_sign(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    error, imputed, imputation = imputation_of(batch, outputs)
    return {"outcome": Term(imputed - weigh(batch) * (error - imputed), OUTCOME), "imputation": imputation}


@defect(WRONG_LABELS, claims=ROBUST, roles=BOTH)
def imputation_called_doubly_robust(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """`o e + (1 - o) ê`: no propensity is read."""
    error, imputed, imputation = imputation_of(batch, outputs)
    value = batch.observed * error + (1 - batch.observed) * imputed
    return {"outcome": Term(value, OUTCOME), "imputation": imputation}


@defect(WRONG_PROPENSITY, claims=ROBUST)
def inverse_propensity_called_doubly_robust(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    return {"outcome": Term(weigh(batch) * error_of(batch, outputs), OUTCOME)}


@defect(UNBIASED, WRONG_PROPENSITY, WRONG_LABELS, claims=ROBUST, roles=BOTH)
def filter_that_reads_exposure(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Imputations kept where nothing was observed; a filter must not read o (CDR, methods 6.6)."""
    error, imputed, imputation = imputation_of(batch, outputs)
    kept_imputation = (1 - batch.observed) * imputed
    value = kept_imputation + weigh(batch) * (error - kept_imputation)
    return {"outcome": Term(value, OUTCOME), "imputation": imputation}


# --- gradients


@defect(ROLES, claims=ROBUST, roles=BOTH)
def imputed_label_with_gradient(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """The outcome's loss trains the imputation model."""
    error, _, imputation = imputation_of(batch, outputs)
    imputed = pointwise_error(outputs[OUTCOME], soft_label(outputs[IMPUTATION], outputs.link), outputs.link)
    return {"outcome": Term(imputed + weigh(batch) * (error - imputed), OUTCOME), "imputation": imputation}


@defect(ROLES, claims=ROBUST, roles=BOTH)
def imputation_that_trains_the_outcome(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """The errors of the imputation's term are not detached."""
    error, imputed, _ = imputation_of(batch, outputs)
    label = soft_label(outputs[IMPUTATION], outputs.link)
    miss = error - pointwise_error(outputs[OUTCOME], label, outputs.link)
    value = imputed + weigh(batch) * (error - imputed)
    return {"outcome": Term(value, OUTCOME), "imputation": Term(weigh(batch) * miss.square(), IMPUTATION)}


@defect(ROLES, roles=LEARNT)
def learnt_propensity_with_gradient(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """The outcome's loss trains the propensity that weighs it (pitfall 13)."""
    raw = outputs[PROPENSITY]
    exposure = functional.binary_cross_entropy_with_logits(raw, batch.observed, reduction="none")
    value = weigh(batch, raw.sigmoid()) * error_of(batch, outputs)
    return {"outcome": Term(value, OUTCOME), "exposure": Term(exposure, PROPENSITY)}


@defect(SLOPES, claims=ROBUST, roles=BOTH)
def detached_correction(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """The value is doubly robust, its gradient that of the imputed error alone."""
    error, imputed, imputation = imputation_of(batch, outputs)
    value = imputed + weigh(batch) * (error - imputed).detach()
    return {"outcome": Term(value, OUTCOME), "imputation": imputation}


@defect(SLOPES, UNBIASED, reads_whole_batch=True)
def normaliser_of_the_prediction(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """A normaliser is a constant to the optimizer, so it must not move with the prediction."""
    chance = outputs[OUTCOME].sigmoid()
    return {"outcome": Term(weigh(batch) * error_of(batch, outputs) * chance, OUTCOME, normaliser=chance)}


@defect(GRADIENT, claims=("gradient_only",), links=frozenset({"logit"}))
def surrogate_of_the_observed(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """The gradient of the observed error, unweighted."""
    slope = (outputs[OUTCOME].sigmoid() - batch.outcome).detach()
    return {"outcome": Term(batch.observed * slope * outputs[OUTCOME], OUTCOME)}


@defect(FINITE)
def square_root_at_zero(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Its value is right, and the gradient of sqrt at 0 times 0 is NaN."""
    error = error_of(batch, outputs)
    return {"outcome": Term(weigh(batch) * (error + (0 * error).sqrt()), OUTCOME)}


# --- replicas


@defect(STACKED, reads_whole_batch=True)
def centre_of_all_replicas(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """A mean over every axis lets stacked fits read each other."""
    error = weigh(batch) * error_of(batch, outputs)
    return {"outcome": Term(error + (batch.propensity.mean() - batch.propensity.mean(-1, keepdim=True)), OUTCOME)}


# --- shipped objectives as public code has them


@plant(UNBIASED)
class IdsCountedFromZero(IPS):  # type: ignore[misc]
    """A density of `n / (max user id * max item id)`, each short by 1 (pitfall 11)."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert batch.user is not None
        users, items = (ids.amax(-1, keepdim=True) for ids in (batch.user, batch.item))
        short = (users + 1) / users * (items + 1) / items
        return super().terms(replace(batch, propensity=batch.propensity * short), outputs)


@plant(UNBIASED)
class SquaredErrorOfLogOdds(IPS):  # type: ignore[misc]
    """`predict` returns log-odds, which a squared error meets as if they were probabilities (pitfall 6)."""

    links: ClassVar[frozenset[Link]] = frozenset({"logit"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"outcome": Term(weigh(batch) * (outputs[OUTCOME] - batch.outcome).square(), OUTCOME)}


@plant("weights of all_pairs rows")
class OneRowToFourPairs(DRJL):  # type: ignore[misc]
    """Logged rows and four times as many pairs count alike, whatever share of all pairs is logged (pitfall 5)."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        terms = super().terms(batch, outputs)
        return {name: replace(term, value=term.value / batch.weight) for name, term in terms.items()}


@plant(ROLES)
class WeightsNeverTrained(IPSV2):  # type: ignore[misc]
    """The network of the weights is read through a detached call, so that nothing trains it (KB, methods 6.2)."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        fixed = {**outputs.values, PROPENSITY: outputs[PROPENSITY].detach()}
        return super().terms(batch, replace(outputs, values=fixed))


@plant(CONSISTENT, WRONG_PROPENSITY, WRONG_LABELS)
class MeanOverTheModels(MR):  # type: ignore[misc]
    """The mean over pairs is one over the J + K models too (Cali-MR's code, methods 6.4)."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        terms = super().terms(batch, outputs)
        return {**terms, "outcome": Term(terms["outcome"].value / 4, OUTCOME)}


NAMES = [formula.__name__ for formula, _, _ in DEFECTS]


@pytest.mark.parametrize(("formula", "objective", "flags"), DEFECTS, ids=NAMES)
def test_a_planted_defect_is_flagged_by_the_checks_that_are_its_own(
    formula: Formula | type[AbstractObjective], objective: AbstractObjective, flags: set[str]
) -> None:
    certificate = certify(objective, effort=QUICK)
    failed = {check.name for check in certificate.failures}
    assert flags <= failed, certificate
    if FINITE not in flags:
        assert failed == flags, [check.sentence for check in certificate.failures]


def test_there_are_a_dozen_defects_and_every_check_flags_one() -> None:
    assert len(DEFECTS) >= 12
    flagged = set().union(*(flags for _, _, flags in DEFECTS))
    assert flagged == {
        UNBIASED, CONSISTENT, WRONG_PROPENSITY, WRONG_LABELS, GRADIENT, FINITE, ROLES, SLOPES, STACKED,
        "weights of all_pairs rows", "weights of logged rows",
    }  # fmt: skip


def test_the_table_of_public_code_names_the_planted_defects_and_the_checks_that_flag_them() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("<!-- defects -->")[2].partition("<!-- /defects -->")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    flags = {formula.__name__: checks for formula, _, checks in DEFECTS}
    assert len(rows) >= 13 and len(dict(rows)) == len(rows)
    assert {name: set(checks.split("; ")) for name, checks in rows} == {name: flags[name] for name, _ in rows}


# --- what is right passes, and says how small a bias it would have seen


@pytest.mark.parametrize("name", ["naive", "ips", "snips", "dr_jl", "escm2_ips", "rel_mf", "dr_learner", "bpr"])
def test_a_shipped_objective_is_what_it_claims(name: str) -> None:
    certificate = certify(objective_of(name), name, QUICK)
    assert [check.sentence for check in certificate.failures] == []
    passed = [check for check in certificate.checks if check.result == "passes" and check.measured is not None]
    assert all(check.smallest is not None and 0 < check.smallest < 0.2 for check in passed)
    if not certificate.claims:
        assert certificate.checks[0].detail == "claims nothing: biased by design, see docstring"


def objective_of(name: str, **settings: Any) -> AbstractObjective:
    node = yaml.safe_load((package_folder("conf") / "objective" / f"{name}.yaml").read_text())
    objective: AbstractObjective = validate_component("objective", {**node, **settings}, AbstractObjective).build()
    return objective


@pytest.mark.parametrize("name", ["clipped_ips", "self_clipped_ips"])
def test_a_clip_that_binds_by_design_claims_nothing(name: str) -> None:
    assert objective_of(name).claimed == frozenset() and objective_of(name, clip=0.1).claimed


def test_a_setting_changes_what_is_claimed() -> None:
    assert objective_of("dr").claimed and not objective_of("dr", legacy_public_code=True).claimed
    weighted = certify(objective_of("factual", weighted=True), effort=QUICK)
    assert weighted.claims == (CONSISTENT,) and not weighted.failures


def slope_of_the_weighted_error(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    slope = (outputs[OUTCOME].sigmoid() - batch.outcome).detach()
    return {"outcome": Term(weigh(batch) * slope * outputs[OUTCOME], OUTCOME)}


def test_a_surrogate_whose_value_is_no_loss_passes_by_its_gradient_alone() -> None:
    logit = {"links": frozenset({"logit"})}
    assert not certify(build(slope_of_the_weighted_error, ("gradient_only",), **logit), effort=QUICK).failures
    failed = {
        check.name for check in certify(build(slope_of_the_weighted_error, (UNBIASED,), **logit), effort=QUICK).failures
    }
    assert failed == {UNBIASED, SLOPES}


def test_what_is_detached_is_held_fixed_in_finite_differences() -> None:
    x, recording = torch.tensor([2.0]), HeldFixed()
    further = x + 1
    with recording, torch.no_grad():
        square = x * x
    with HeldFixed(recording.values), torch.no_grad():
        moved = further * further
    assert len(recording.values) == 1 and float(square) == float(moved) == 4


@pytest.mark.parametrize(("sds", "passes"), [(0.0, True), (0.2, True), (0.4, False), (1.0, False)])
def test_a_bias_of_one_standard_deviation_fails_a_consistent_estimate(sds: float, passes: bool) -> None:
    """Over 400 draws at n rows and at 16 n, as the certificate has them; it says that about 0.27 would be seen."""
    generator = torch.Generator().manual_seed(0)
    small, large = (torch.randn(400, 1, generator=generator).double() / rows**0.5 for rows in (1, LARGER))
    check = judge_errors("consistent", small + sds, large + sds, size=1.0)
    assert check.failed == (not passes)
    if sds == 0:
        assert check.smallest == pytest.approx((RATIO**2 - 1 / LARGER) ** 0.5 / (1 - RATIO**2) ** 0.5, abs=0.05)


@pytest.mark.parametrize(("share", "passes"), [(0.0, True), (0.5, True), (1.2, False)])
def test_a_bias_of_the_size_that_a_certificate_names_fails_it(share: float, passes: bool) -> None:
    """The exposure is seen with an error of the prediction's that no control knows, so that noise is left."""
    seen = certify(build(noisy_estimate(0.0), (UNBIASED,)), effort=QUICK).checks[0].smallest
    assert seen is not None and 1e-3 < seen < 0.2
    check = certify(build(noisy_estimate(share * seen), (UNBIASED,)), effort=QUICK).checks[0]
    assert check.failed == (not passes)


def noisy_estimate(bias: float) -> Formula:
    """IPS whose weights also vary with the outcomes of neighbours, which leaves its mean as it is."""

    def estimate(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        noise = 1 + 4 * (batch.observed.roll(1, -1) - batch.propensity.roll(1, -1) * batch.observed.roll(1, -1))
        value = weigh(batch) * error_of(batch, outputs) * (noise / noise.mean(-1, keepdim=True) + bias)
        return {"outcome": Term(value, OUTCOME)}

    return estimate


@pytest.mark.parametrize("link", ["identity", "log"])
def test_a_claim_of_an_outcome_that_is_no_click_is_judged_under_its_own_link(link: str) -> None:
    """The true imputed label is a mean outcome of that link."""
    objective = type("Rated", (DRJL,), {"links": frozenset({link})})(clip=0.0)
    certificate = certify(objective, effort=QUICK)
    assert [check.sentence for check in certificate.failures] == []
    robust = [check.result for check in certificate.checks if check.name.startswith("doubly robust, ")]
    assert robust == ["passes", "passes"]


def test_a_failed_weight_names_the_way_out_of_what_reads_its_batch() -> None:
    (check,) = certify(build(weight_of_the_sampler_twice, ()), effort=QUICK).failures
    assert "a value that reads a sum over its batch must say reads_whole_batch" in check.sentence


# --- bad input


def test_an_unknown_claim_is_one_line() -> None:
    message = r"naive_in_disguise.claims: 'unbaised' is no claim; did you mean 'unbiased'\?"
    with pytest.raises(RequestError, match=message):
        certify(build(naive_in_disguise, ("unbaised",)))  # type: ignore[arg-type]


def test_claims_that_are_no_set_are_one_line() -> None:
    objective = build(naive_in_disguise, ())
    type(objective).claims = "unbiased"  # type: ignore[assignment]
    with pytest.raises(RequestError, match=r"claims='unbiased': is no set; write frozenset"):
        certify(objective)


def test_claims_of_rows_that_are_not_simulated_are_one_line() -> None:
    with pytest.raises(RequestError, match="simulates logged and all_pairs rows, no triples; leave claims empty"):
        certify(build(naive_in_disguise, (UNBIASED,), space="triples"))
    with pytest.raises(RequestError, match="judges outcomes of one number, and its links are softmax"):
        certify(build(naive_in_disguise, (UNBIASED,), links=frozenset({"softmax"})))


def test_a_nan_gradient_names_its_term_and_role() -> None:
    certificate = certify(build(square_root_at_zero, (UNBIASED,)), effort=QUICK)
    (check,) = [c for c in certificate.checks if c.name == FINITE]
    assert [c.result for c in certificate.checks if c.name == UNBIASED] == ["not judged"]
    assert check.failed and "outcome (identity): its gradient in outcome is not finite" in check.detail


def test_terms_that_cannot_be_computed_or_have_no_rows_are_one_line() -> None:
    def scalar(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"outcome": Term(error_of(batch, outputs).mean(), OUTCOME)}

    def absent(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"outcome": Term(outputs[Role("critic")], OUTCOME)}

    with pytest.raises(CausalRecError, match=r"the term outcome has the shape \[\] and trains outcome"):
        certify(build(scalar, ()))
    with pytest.raises(CausalRecError, match="absent: terms\\(batch, outputs\\) raises KeyError: 'critic'"):
        certify(build(absent, ()))


@pytest.mark.parametrize("clip", [0.05, 0.1])
def test_a_clip_far_below_usual_propensities_is_seen(clip: float) -> None:
    def sly_clip(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        weight = inverse_propensity(batch.observed, batch.propensity, clip)
        return {"outcome": Term(weight * error_of(batch, outputs), OUTCOME)}

    assert [check.name for check in certify(build(sly_clip, (UNBIASED,))).failures] == [UNBIASED]


@pytest.mark.parametrize(("odd", "words"), [({}, "gives dict"), (7, "gives int")])
def test_terms_that_are_no_terms_are_one_line(odd: Any, words: str) -> None:
    def no_terms(batch: Batch, outputs: Outputs) -> Any:
        return odd

    with pytest.raises(CausalRecError, match=rf"no_terms: terms\(batch, outputs\) {words}; give a mapping of Terms"):
        certify(build(no_terms, ()))


def test_claims_that_are_a_number_are_one_line() -> None:
    objective = build(naive_in_disguise, ())
    type(objective).claims = 7  # type: ignore[assignment]
    with pytest.raises(RequestError, match=r"claims=7: is no set of claims; known: "):
        certify(objective)
