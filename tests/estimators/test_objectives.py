"""Objectives: worked numbers, and the contract that every `conf/objective/*.yaml` keeps."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import random
import typing
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS, ips
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.snips import SNIPS, snips
from causalrec.estimators.objective.tdr_jl import TDRJL
from causalrec.estimators.pointwise_error import inverse_propensity, mean_of, pointwise_error
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role

LINKS: tuple[Link, ...] = ("identity", "logit", "log")
NAN = float("nan")


def declared_objectives() -> dict[str, AbstractObjective]:
    files = sorted((package_folder("conf") / "objective").glob("*.yaml"))
    built = {
        f.stem: validate_component("objective", yaml.safe_load(f.read_text()), AbstractObjective).build() for f in files
    }
    return {name: objective for name, objective in built.items() if objective.estimand == "exposed_mean"}


OBJECTIVES = declared_objectives()
CLASSES = 3
OF_VECTORS = ("likeness", "sampled_softmax")  # functions of more than a number a row
CASES: list[tuple[str, Link]] = [
    *((name, link) for name in OBJECTIVES for link in LINKS),
    *((name, "softmax") for name, objective in OBJECTIVES.items() if "softmax" in objective.links),
]


def batch_of(outcome: Tensor, observed: Tensor, propensity: Tensor) -> Batch:
    rows = len(outcome)
    ids = torch.arange(rows)
    return Batch(
        item=ids,
        treatment=observed.long(),
        outcome=outcome,
        observed=observed,
        propensity=propensity,
        weight=torch.ones(rows),
        features=torch.zeros(rows, 0),
        user=ids,
        negative=ids,
        negative_features=torch.zeros(rows, 0),
        popularity=torch.linspace(0.1, 0.9, rows),
        negative_popularity=torch.full((rows,), 0.5),
        negative_observed=(ids % 3 == 0).float(),
        negative_propensity=torch.linspace(0.2, 0.9, rows),
        row=ids,  # of pairs without a row it is not read
        candidates=torch.arange(2, 5),
        candidate_counts=torch.tensor([0.5, 1.0, 2.0]),
    )


def outputs_of(leaves: dict[Role, Tensor], link: Link, objective: AbstractObjective) -> Outputs:
    """Outputs with negatives, of the same values shifted (the gradient of a difference must not cancel).

    The leaf of a role without a network, `[1]`, is added to all that starts there.
    """
    free = start_of_free(objective)
    values = {role: raw for role, raw in leaves.items() if role not in free}
    shifted = {role: 0.5 * raw + 0.1 for role, raw in values.items()}
    candidates = {role: raw[..., None] * torch.tensor([0.5, 0.2, -1.0]) for role, raw in values.items()}
    negatives = Outputs(shifted, link, vectors_of(shifted))
    parameters = {role: {n: start + leaves[role] for n, start in by_name.items()} for role, by_name in free.items()}
    outputs = Outputs(values, link, vectors_of(values), negatives, candidates=candidates, parameters=parameters)
    outputs = dataclasses.replace(outputs, buffers=BUFFERS.get(objective, {}))
    steps = range(objective.passes)
    passes = {role: torch.stack([raw.detach() * (1 + 0.2 * k) for k in steps]) for role, raw in values.items() if steps}
    return dataclasses.replace(outputs, passes={role: passes[role] for role in objective.pass_roles})


@cache
def start_of_free(objective: AbstractObjective) -> dict[Role, dict[str, Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return {role: dict(by_name) for role, by_name in objective.free_parameters(2).items()}


def vectors_of(values: dict[Role, Tensor]) -> dict[Role, tuple[Tensor, Tensor]]:
    """Vectors of width 2 that carry the outputs' gradient."""
    return {role: (torch.stack([raw, raw + 1], -1), torch.stack([raw, 2 * raw], -1)) for role, raw in values.items()}


def random_batch(rows: int = 24, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    observed = (torch.rand(rows, generator=draw) < 0.6).float()
    observed[:2] = torch.tensor([1.0, 0.0])
    propensity = torch.rand(rows, generator=draw) * 0.9 + 0.05
    outcome = (torch.rand(rows, generator=draw) < 0.5).float() * observed
    return batch_of(outcome, observed, torch.where(observed > 0, propensity, torch.ones(rows)))


def raw_outputs(objective: AbstractObjective, rows: int, seed: int = 1, link: Link = "logit") -> dict[Role, Tensor]:
    draw, free = torch.Generator().manual_seed(seed), start_of_free(objective)
    shape = (rows, CLASSES) if link == "softmax" else (rows,)
    shapes = {role: (1,) if role in free else shape for role in objective.roles}
    return {role: torch.randn(each, generator=draw).requires_grad_() for role, each in shapes.items()}


def buffers_of(objective: AbstractObjective) -> dict[str, Tensor]:
    """What it fits before the first epoch, of the rows of a batch."""
    batch, draw = random_batch(), torch.Generator().manual_seed(2)
    link = min(objective.links)
    rows = dataclasses.replace(batch, row=torch.arange(len(batch)))
    leaves = {role: raw.detach() for role, raw in raw_outputs(objective, len(batch), link=link).items()}
    with torch.no_grad():
        return dict(objective.between_epochs(rows, outputs_of(leaves, link, objective), 0, draw))


BUFFERS: dict[AbstractObjective, dict[str, Tensor]] = {}
BUFFERS |= {objective: buffers_of(objective) for objective in OBJECTIVES.values() if objective.epoch_rows is not None}


def pure_functions() -> Iterator[tuple[str, Callable[..., Tensor], int]]:
    """Every public function of an objective's module whose positional arguments are all tensors."""
    for name, objective in OBJECTIVES.items():
        module = importlib.import_module(type(objective).__module__)
        for function_name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or function_name.startswith("_"):
                continue
            hints = typing.get_type_hints(function)
            plain = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
            if plain and all(hints[p.name] is Tensor for p in plain) and function_name not in OF_VECTORS:
                yield f"{name}.{function_name}", function, len(plain)


PURE = list(pure_functions())

# Four rows in rating points: the third is unobserved, the propensity of the last is below the clip of 0.2.
OBSERVED = torch.tensor([1.0, 1.0, 0.0, 1.0])
PROPENSITY = torch.tensor([0.5, 0.25, NAN, 0.1])
LABEL = torch.tensor([1.0, 1.0, 0.0, 2.0])
RAW = torch.tensor([3.0, 1.0, 2.0, 0.0])  # errors 4, 0, (4), 4; inverse propensities 2, 4, 0, 5
IMPUTED_LABEL = torch.tensor([2.0, 1.0, 1.0, 3.0])  # imputed errors 1, 0, 1, 9


def hand_batch() -> Batch:
    return batch_of(LABEL, OBSERVED, PROPENSITY)


def hand_outputs() -> Outputs:
    return Outputs({OUTCOME: RAW, IMPUTATION: IMPUTED_LABEL}, "identity")


def test_naive_by_hand() -> None:
    term = Naive().terms(hand_batch(), hand_outputs())["outcome"]
    assert term.value.tolist() == [4, 0, 0, 4]
    assert term.normaliser is not None and term.normaliser.tolist() == [1, 1, 0, 1]
    assert term.trains == OUTCOME


def test_ips_by_hand() -> None:
    term = IPS(clip=0.2).terms(hand_batch(), hand_outputs())["outcome"]
    assert term.value.tolist() == [8, 0, 0, 20]
    assert term.normaliser is None
    unclipped = IPS(clip=0.0).terms(hand_batch(), hand_outputs())["outcome"].value
    assert unclipped.tolist() == pytest.approx([8, 0, 0, 40])


def test_ips_gradient_by_hand() -> None:
    raw = RAW.clone().requires_grad_()
    IPS(clip=0.2).terms(hand_batch(), Outputs({OUTCOME: raw}, "identity"))["outcome"].value.sum().backward()
    assert raw.grad is not None and raw.grad.tolist() == [2 * 2 * 2, 0, 0, 5 * 2 * -2]


def test_snips_by_hand() -> None:
    term = SNIPS(clip=0.2).terms(hand_batch(), hand_outputs())["outcome"]
    assert term.value.tolist() == [8, 0, 0, 20]
    assert term.normaliser is not None and term.normaliser.tolist() == [2, 4, 0, 5]


def test_snips_ignores_a_common_factor_of_all_propensities_and_ips_does_not() -> None:
    batch = random_batch()
    error = torch.linspace(0, 3, len(batch))
    estimates = []
    for factor in (1.0, 0.25):
        value, normaliser = snips(error, batch.observed, batch.propensity * factor)
        estimates.append((float(value.sum() / normaliser.sum()), float(value.mean())))
    assert estimates[0][0] == pytest.approx(estimates[1][0], rel=1e-5)
    assert estimates[1][1] == pytest.approx(4 * estimates[0][1], rel=1e-5)


def test_dr_jl_by_hand() -> None:
    terms = DRJL(clip=0.2).terms(hand_batch(), hand_outputs())
    # imputed + (error - imputed) / p: 1 + 3*2, 0, 1, 9 - 5*5; both parts divided by p
    assert terms["outcome"].value.tolist() == [7, 0, 1, -16]
    assert terms["imputation"].value.tolist() == [9 * 2, 0, 0, 25 * 5]
    assert (terms["outcome"].trains, terms["imputation"].trains) == (OUTCOME, IMPUTATION)


def test_dr_jl_gradient_by_hand() -> None:
    raw, imputed = RAW.clone().requires_grad_(), IMPUTED_LABEL.clone().requires_grad_()
    terms = DRJL(clip=0.2).terms(hand_batch(), Outputs({OUTCOME: raw, IMPUTATION: imputed}, "identity"))
    terms["outcome"].value.sum().backward()
    # d/df [(f-m)^2 + w ((f-y)^2 - (f-m)^2)] = 2 (f-m) + 2 w (m-y)
    expected = [2 * (3 - 2) + 2 * 2 * (2 - 1), 0, 2 * (2 - 1), 2 * (0 - 3) + 2 * 5 * (3 - 2)]
    assert raw.grad is not None and raw.grad.tolist() == expected
    assert imputed.grad is None
    raw.grad = None
    terms["imputation"].value.sum().backward()
    # d/dm w (e - (f-m)^2)^2 = 4 w (e - (f-m)^2) (f-m)
    assert imputed.grad is not None and imputed.grad.tolist() == [4 * 2 * 3 * 1, 0, 0, 4 * 5 * -5 * -3]
    assert raw.grad is None


def test_doubly_robust_keeps_its_parts() -> None:
    error, imputed = torch.tensor([2.0, 5.0]), torch.tensor([0.5, 0.75])
    p = torch.tensor([0.5, 0.5])
    assert doubly_robust(error, imputed, torch.zeros(2), p).tolist() == imputed.tolist()
    assert doubly_robust(error, imputed, torch.ones(2), torch.ones(2)).tolist() == error.tolist()
    assert doubly_robust(error, error, torch.tensor([1.0, 0.0]), p).tolist() == error.tolist()
    zero = torch.zeros(2)
    assert doubly_robust(error, zero, torch.ones(2), p).tolist() == ips(error, torch.ones(2), p).tolist()


def test_pointwise_errors_by_hand() -> None:
    raw, label = torch.tensor([math.log(3.0), math.log(3.0), 0.0]), torch.tensor([1.0, 0.0, 0.25])
    cross_entropy = [-math.log(0.75), -math.log(0.25), math.log(2.0)]
    assert pointwise_error(raw, label, "logit").tolist() == pytest.approx(cross_entropy, rel=1e-6)
    poisson = [3 - math.log(3.0), 3.0, 1.0]
    assert pointwise_error(raw, label, "log").tolist() == pytest.approx(poisson, rel=1e-6)
    squared = [(math.log(3.0) - 1) ** 2, math.log(3.0) ** 2, 0.0625]
    assert pointwise_error(raw, label, "identity").tolist() == pytest.approx(squared, rel=1e-6)


@pytest.mark.parametrize("link", LINKS)
def test_errors_are_least_where_the_mean_outcome_is_the_label(link: Link) -> None:
    raw = torch.linspace(-3, 3, 601)
    for label in (0.25, 0.5, 0.9):
        error = pointwise_error(raw, torch.full_like(raw, label), link)
        best = raw[error.argmin()][None]
        assert float(mean_of(best, link)) == pytest.approx(label, abs=0.01)


def test_the_error_of_a_class_is_its_cross_entropy_and_a_soft_label_weighs_them() -> None:
    raw = torch.log(torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])) + torch.tensor([[7.0], [-2.0]])
    hard = pointwise_error(raw, torch.tensor([1.0, 2.0]), "softmax")
    assert hard.tolist() == pytest.approx([-math.log(0.3), -math.log(0.8)], rel=1e-5)
    soft = pointwise_error(raw, torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), "softmax")
    expected = [-(math.log(0.2) + math.log(0.3)) / 2, -math.log(0.8)]
    assert soft.tolist() == pytest.approx(expected, rel=1e-5)
    assert mean_of(raw, "softmax").tolist() == pytest.approx([1.3, 1.7], rel=1e-5)
    stacked = torch.stack([raw, raw.flip(0)])  # replicas side by side
    both = pointwise_error(stacked, torch.tensor([1.0, 2.0]), "softmax")
    assert both.shape == (2, 2) and both[0].tolist() == pytest.approx(hard.tolist(), rel=1e-6)


def test_the_imputed_error_of_a_class_outcome_is_against_the_whole_distribution() -> None:
    raw, imputing = torch.randn(4, 3), torch.randn(4, 3, requires_grad=True)
    errors = ImputationErrors.from_outputs(hand_batch(), Outputs({OUTCOME: raw, IMPUTATION: imputing}, "softmax"))
    expected = -(imputing.softmax(-1) * raw.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(errors.imputed_trainable, expected)
    torch.testing.assert_close(errors.imputed, expected.detach())


def test_two_classes_under_softmax_are_a_click_under_logit() -> None:
    batch, draw = random_batch(), torch.Generator().manual_seed(8)
    for name in ("naive", "ips", "snips", "clipped_ips", "dr_jl", "mrdr"):
        objective = OBJECTIVES[name]
        raws = {role: torch.randn(len(batch), generator=draw) for role in objective.roles}
        pairs = {role: torch.stack([torch.zeros_like(raw), raw], -1) for role, raw in raws.items()}
        click, classes = (objective.terms(batch, Outputs(v, k)) for v, k in ((raws, "logit"), (pairs, "softmax")))  # type: ignore[arg-type]
        for key, term in click.items():
            torch.testing.assert_close(classes[key].value, term.value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(objective.score(Outputs(pairs, "softmax")), objective.score(Outputs(raws, "logit")))
        chances = objective.predict(Outputs(pairs, "softmax"))
        torch.testing.assert_close(chances[:, 1], objective.predict(Outputs(raws, "logit")))


def test_objectives_that_read_one_number_do_not_take_classes() -> None:
    for objective in OBJECTIVES.values():
        classes = "softmax" in objective.links
        assert classes == (
            objective.space not in ("triples", "item_pairs", "candidates")
            and set(objective.roles) - set(start_of_free(objective)) <= {OUTCOME, IMPUTATION}
            and len(objective.links) > 1
        )


def test_inverse_propensity_clips_from_below_and_never_above() -> None:
    weight = inverse_propensity(torch.ones(3), torch.tensor([0.01, 0.2, 1.0]), 0.1)
    assert weight.tolist() == pytest.approx([10, 5, 1])
    assert inverse_propensity(torch.zeros(2), torch.tensor([0.0, NAN]), 0.0).tolist() == [0, 0]


@pytest.mark.parametrize(("name", "link"), CASES)
def test_each_term_reaches_the_role_it_trains_and_no_other(name: str, link: Link) -> None:
    objective, batch = OBJECTIVES[name], random_batch()
    outputs = raw_outputs(objective, len(batch), link=link)
    given = outputs_of(outputs, link, objective)
    fitted = objective.between_epochs(batch, given, 9, torch.Generator())
    terms = objective.terms(batch, dataclasses.replace(given, buffers=fitted))
    assert {term.trains for term in terms.values()} == set(objective.roles)
    for term in terms.values():
        assert term.value.shape == (len(batch),)
        assert term.normaliser is None or (term.normaliser.shape == (len(batch),) and not term.normaliser.requires_grad)
        gradients = torch.autograd.grad(term.value.sum(), list(outputs.values()), retain_graph=True, allow_unused=True)
        for role, gradient in zip(outputs, gradients, strict=True):
            if role == term.trains:
                assert gradient is not None and gradient.abs().sum() > 0
            else:
                assert gradient is None or not gradient.any()


@pytest.mark.parametrize(("name", "link"), [case for case in CASES if not OBJECTIVES[case[0]].reads_whole_batch])
def test_each_value_depends_on_its_own_row_alone(name: str, link: Link) -> None:
    objective, batch = OBJECTIVES[name], random_batch()
    outputs = {role: raw.detach() for role, raw in raw_outputs(objective, len(batch), link=link).items()}
    terms = objective.terms(batch, outputs_of(outputs, link, objective))
    rows = torch.tensor([5, 0, 17, 1])
    few = batch_of(batch.outcome[rows], batch.observed[rows], batch.propensity[rows])
    others = ("popularity", "negative_popularity", "negative_observed", "negative_propensity", "row")
    few = dataclasses.replace(few, **{name: getattr(batch, name)[rows] for name in others})  # type: ignore[arg-type]
    leaves = {role: raw if len(raw) == 1 else raw[rows] for role, raw in outputs.items()}
    cut = objective.terms(few, outputs_of(leaves, link, objective))
    for key, term in terms.items():
        torch.testing.assert_close(cut[key].value, term.value[rows])
        if term.normaliser is not None:
            assert cut[key].normaliser is not None
            torch.testing.assert_close(cut[key].normaliser, term.normaliser[rows])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_random_number_is_used(name: str) -> None:
    objective, batch = OBJECTIVES[name], random_batch()
    outputs = outputs_of(raw_outputs(objective, len(batch)), "logit", objective)
    states = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    first = objective.terms(batch, outputs)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    assert states[2] == random.getstate()
    for key, term in objective.terms(batch, outputs).items():
        assert torch.equal(term.value, first[key].value)


@pytest.mark.parametrize(("name", "link"), [c for c in CASES if not OBJECTIVES[c[0]].reads_pair_propensity])
def test_an_unobserved_row_with_a_nan_propensity_is_finite_with_finite_gradients(name: str, link: Link) -> None:
    objective = OBJECTIVES[name]
    observed = torch.tensor([1.0, 0.0, 0.0, 1.0])
    batch = batch_of(observed * 1.0, observed, torch.tensor([0.3, NAN, 0.0, 1e-12]))
    outputs = raw_outputs(objective, 4, link=link)
    terms = objective.terms(batch, outputs_of(outputs, link, objective))
    loss = torch.stack([term.value.sum() for term in terms.values()]).sum()
    loss.backward()
    for term in terms.values():
        assert term.value.isfinite().all()
        assert term.normaliser is None or term.normaliser.isfinite().all()
    for raw in outputs.values():
        assert raw.grad is not None and raw.grad.isfinite().all()


@pytest.mark.parametrize(("name", "link"), [case for case in CASES if case[1] in ("logit", "softmax")])
def test_terms_map_under_vmap(name: str, link: Link) -> None:
    objective, batch, replicas = OBJECTIVES[name], random_batch(), 3
    raws = [
        torch.stack([raw_outputs(objective, len(batch), seed, link)[role].detach() for seed in range(replicas)])
        for role in objective.roles
    ]

    def values(*replica: Tensor) -> tuple[Tensor, ...]:
        terms = objective.terms(batch, outputs_of(dict(zip(objective.roles, replica, strict=True)), link, objective))
        return tuple(term.value for term in terms.values())

    mapped = torch.func.vmap(values)(*raws)
    for k in range(replicas):
        for value, expected in zip(mapped, values(*[raw[k] for raw in raws]), strict=True):
            torch.testing.assert_close(value[k], expected)


def test_every_objective_has_a_pure_function() -> None:
    for name, objective in OBJECTIVES.items():
        modules = [importlib.import_module(each.__module__) for each in type(objective).__mro__[:-2]]
        functions = [f for module in modules for _, f in inspect.getmembers(module, inspect.isfunction)]
        assert any(f.__module__.startswith("causalrec.estimators") for f in functions), name


@pytest.mark.parametrize(("function", "arity"), [pytest.param(f, n, id=name) for name, f, n in PURE])
def test_pure_functions_map_under_vmap_and_keep_one_value_per_row(function: Callable[..., Tensor], arity: int) -> None:
    draw = torch.Generator().manual_seed(3)
    arguments = [torch.rand(4, 7, generator=draw) * 0.8 + 0.1 for _ in range(arity)]
    mapped = torch.func.vmap(function)(*arguments)
    looped = [function(*[a[k] for a in arguments]) for k in range(4)]
    listed = mapped if isinstance(mapped, tuple) else (mapped,)
    for k, result in enumerate(looped):
        for value, expected in zip(listed, result if isinstance(result, tuple) else (result,), strict=True):
            assert expected.shape == (7,)
            torch.testing.assert_close(value[k], expected)


def test_the_gradient_of_tdr_is_that_of_its_estimate_epsilon_included() -> None:
    draw = torch.Generator().manual_seed(5)
    batch = dataclasses.replace(
        random_batch(),
        propensity=torch.rand(24, generator=draw) * 0.8 + 0.1,
        weight=torch.rand(24, generator=draw) + 0.5,
    )
    raw = raw_outputs(OBJECTIVES["tdr_jl"], 24)
    terms = TDRJL(clip=0.0).terms(batch, Outputs(raw, "logit"))
    loss = (batch.weight * (terms["outcome"].value + terms["fluctuation"].value)).mean()
    errors, clever_covariate = ImputationErrors.from_outputs(batch, Outputs(raw, "logit")), 1 / batch.propensity - 1
    rows = batch.weight * batch.observed
    epsilon = (rows * (errors.error - errors.imputed) * clever_covariate).sum() / (
        rows * clever_covariate.square()
    ).sum()
    moved = errors.imputed + epsilon * clever_covariate
    estimate = (batch.weight * doubly_robust(errors.error, moved, batch.observed, batch.propensity)).mean()
    torch.testing.assert_close(loss, estimate)
    gradients = [torch.autograd.grad(value, raw[OUTCOME], retain_graph=True)[0] for value in (loss, estimate)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(
        (rows * (errors.error - moved) * clever_covariate).sum(), torch.zeros(()), atol=1e-4, rtol=0
    )
