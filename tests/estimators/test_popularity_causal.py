"""Popularity-causal objectives over triples (PDA, MACR, DICE): worked numbers, gradients, and what they promise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.dice import CONFORMITY, DICE
from causalrec.estimators.objective.macr import MACR
from causalrec.estimators.objective.pda import PDA, matching_score
from causalrec.types import ITEM_ONLY, OUTCOME, USER_ONLY, Batch, Outputs, Role

OBJECTIVES: list[AbstractObjective] = [BPR(), PDA(), MACR(), DICE()]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)


def batch_of(popularity: Tensor, negative_popularity: Tensor) -> Batch:
    rows = len(popularity)
    ids, unit = torch.arange(rows), torch.ones(rows)
    return Batch(
        item=ids,
        treatment=ids,
        outcome=unit,
        observed=unit,
        propensity=unit,
        weight=unit,
        features=torch.zeros(rows, 0),
        user=ids,
        negative=ids,
        negative_features=torch.zeros(rows, 0),
        popularity=popularity,
        negative_popularity=negative_popularity,
    )


def outputs_of(values: Mapping[Role, list[float]], negatives: Mapping[Role, list[float]]) -> Outputs:
    """Scores alone; vectors are zero and so at no distance."""
    sides = [{role: torch.tensor(raw) for role, raw in side.items()} for side in (values, negatives)]
    still = [{role: (torch.zeros(len(raw), 1),) * 2 for role, raw in side.items()} for side in sides]
    return Outputs(sides[0], "logit", still[0], Outputs(sides[1], "logit", still[1]))


Vectors = dict[Role, tuple[Tensor, Tensor, Tensor]]  # user, item and negative vectors of a role


def vectors_of(objective: AbstractObjective, rows: int = 12, seed: int = 0) -> Vectors:
    draw = torch.Generator().manual_seed(seed)
    each_role = [[torch.randn(rows, 3, generator=draw).requires_grad_() for _ in range(3)] for _ in objective.roles]
    return {role: (u, i, j) for role, (u, i, j) in zip(objective.roles, each_role, strict=True)}


def from_vectors(vectors: Vectors) -> Outputs:
    scores = {role: (u * i).sum(-1) for role, (u, i, _) in vectors.items()}
    negative_scores = {role: (u * j).sum(-1) for role, (u, _, j) in vectors.items()}
    negatives = Outputs(negative_scores, "logit", {role: (u, j) for role, (u, _, j) in vectors.items()})
    return Outputs(scores, "logit", {role: (u, i) for role, (u, i, _) in vectors.items()}, negatives)


def shares(rows: int = 12, seed: int = 5) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return batch_of(torch.rand(rows, generator=draw), torch.rand(rows, generator=draw))


def gradients(loss: Tensor, vectors: Vectors) -> dict[Role, list[Tensor]]:
    """The gradient by each role's vectors, zeros where the loss does not read them."""
    leaves = [leaf for trio in vectors.values() for leaf in trio]
    slopes = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
    filled = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, slopes, strict=True)]
    return {role: filled[3 * k : 3 * k + 3] for k, role in enumerate(vectors)}


@each
def test_each_term_reaches_the_role_it_trains_and_no_other(objective: AbstractObjective) -> None:
    vectors = vectors_of(objective)
    terms = objective.terms(shares(), from_vectors(vectors))
    assert {term.trains for term in terms.values()} == set(objective.roles)
    for term in terms.values():
        assert term.value.shape == (12,) and term.normaliser is None
        for role, slopes in gradients(term.value.sum(), vectors).items():
            assert any(bool(g.any()) for g in slopes) == (role == term.trains)


@each
def test_each_value_depends_on_its_own_row_alone(objective: AbstractObjective) -> None:
    batch, vectors, rows = shares(), vectors_of(objective), torch.tensor([7, 0, 3])
    assert batch.popularity is not None and batch.negative_popularity is not None
    few = batch_of(batch.popularity[rows], batch.negative_popularity[rows])
    cut = objective.terms(few, from_vectors({role: (u[rows], i[rows], j[rows]) for role, (u, i, j) in vectors.items()}))
    for key, term in objective.terms(batch, from_vectors(vectors)).items():
        torch.testing.assert_close(cut[key].value, term.value[rows])


@each
def test_far_scores_and_unknown_items_are_finite_with_finite_gradients(objective: AbstractObjective) -> None:
    vectors = {
        role: tuple((40 * v.detach()).requires_grad_() for v in trio) for role, trio in vectors_of(objective).items()
    }
    terms = objective.terms(batch_of(torch.zeros(12), torch.linspace(0, 1, 12)), from_vectors(vectors))  # type: ignore[arg-type]
    loss = torch.stack([term.value.sum() for term in terms.values()]).sum()
    assert loss.isfinite()
    assert all(bool(g.isfinite().all()) for slopes in gradients(loss, vectors).values() for g in slopes)  # type: ignore[arg-type]


@each
def test_outputs_without_negatives_are_refused(objective: AbstractObjective) -> None:
    outputs = dataclasses.replace(from_vectors(vectors_of(objective)), negatives=None)
    with pytest.raises(ValueError, match="no negatives: the objective's space must be 'triples'"):
        objective.terms(shares(), outputs)


@pytest.mark.parametrize("objective", [PDA(), DICE()], ids=["PDA", "DICE"])
def test_batches_without_popularity_are_refused(objective: AbstractObjective) -> None:
    batch = dataclasses.replace(shares(), negative_popularity=None)
    with pytest.raises(ValueError, match="no popularity: the objective's space must be 'triples'"):
        objective.terms(batch, from_vectors(vectors_of(objective)))


# --- PDA


def test_pda_by_hand() -> None:
    batch = batch_of(torch.tensor([0.25, 0.0]), torch.tensor([0.0625, 0.25]))
    outputs = outputs_of({OUTCOME: [2.0, 5.0]}, {OUTCOME: [-math.log(2), 1.0]})
    value = PDA(gamma=0.5).terms(batch, outputs)["outcome"].value
    products = [(3 * 0.5, 0.5 * 0.25), (6 * 0.0, 2 * 0.5)]  # matching 3 and 1/2, then 6 and 2, times the root of m
    assert value.tolist() == pytest.approx([math.log1p(math.exp(b - a)) for a, b in products], rel=1e-6)


def test_pda_without_popularity_is_bpr_on_the_matching() -> None:
    outputs = from_vectors(vectors_of(PDA()))
    assert outputs.negatives is not None
    value = PDA(gamma=0.0).terms(shares(), outputs)["outcome"].value
    torch.testing.assert_close(
        value, softplus(matching_score(outputs.negatives[OUTCOME]) - matching_score(outputs[OUTCOME]))
    )


def test_matching_is_elu_plus_one_with_its_slope_and_never_ties_low_scores() -> None:
    raw = torch.tensor([-3.0, -0.5, 0.0, 0.5, 4.0], requires_grad=True)
    torch.testing.assert_close(matching_score(raw), torch.nn.functional.elu(raw) + 1)
    (slope,) = torch.autograd.grad(matching_score(raw)[[0, 1, 3, 4]].sum(), raw)
    assert slope.tolist() == pytest.approx([math.exp(-3), math.exp(-0.5), 0, 1, 1])
    low = PDA().score(Outputs({OUTCOME: torch.tensor([-41.0, -40.0])}, "logit"))
    assert 0 < low[0] < low[1]  # elu(raw) + 1 itself would round both to 0


def slope_at_the_truth(objective: AbstractObjective, match: Tensor, share: Tensor, gamma: float) -> float:
    """Largest slope, at the true matches, of the expected loss where `match * share ** gamma` decides all choices."""
    first, second = torch.cartesian_prod(torch.arange(len(match)), torch.arange(len(match))).T
    truth = match * share**gamma
    wins = torch.sigmoid(truth[first] - truth[second])
    raw = (match - 1).requires_grad_()  # matching_score(raw) = match, which is 1 or more here
    outputs = Outputs({OUTCOME: raw[first]}, "logit", negatives=Outputs({OUTCOME: raw[second]}, "logit"))
    loss = (wins * objective.terms(batch_of(share[first], share[second]), outputs)["outcome"].value).mean()
    (slope,) = torch.autograd.grad(loss, raw)
    return float(slope.abs().max())


def test_the_true_match_minimises_the_loss_of_pda_under_the_true_gamma_and_no_other() -> None:
    match = torch.tensor([1.0, 2.0, 1.2, 2.2, 1.4, 2.4, 1.1, 2.1])
    share = torch.tensor([0.9, 0.05, 0.8, 0.1, 0.7, 0.04, 0.95, 0.03])  # the better matches are the less known
    assert slope_at_the_truth(PDA(gamma=0.5), match, share, 0.5) < 1e-6
    for wrong in (BPR(), PDA(gamma=0.02), PDA(gamma=1.0)):
        assert slope_at_the_truth(wrong, match, share, 0.5) > 5e-3


# --- MACR


def test_macr_by_hand() -> None:
    sigmoid = {0.0: 0.5, math.log(3): 0.75}
    choice_raw, negative_raw = (
        (2.0, math.log(3), 0.0),
        (-1.0, 0.0, 0.0),
    )  # y_k, y_i, y_u of the chosen item and of its negative
    values, negatives = (
        dict(zip((OUTCOME, ITEM_ONLY, USER_ONLY), ([x] for x in s), strict=True)) for s in (choice_raw, negative_raw)
    )
    terms = MACR(item=0.1, user=0.01).terms(batch_of(torch.ones(1), torch.ones(1)), outputs_of(values, negatives))
    chosen, negative = (k * sigmoid[i] * sigmoid[u] for k, i, u in (choice_raw, negative_raw))
    both = math.log1p(math.exp(-chosen)) + math.log1p(math.exp(negative))
    for role in (OUTCOME, ITEM_ONLY, USER_ONLY):
        assert float(terms[f"fused_{role}"].value) == pytest.approx(both, rel=1e-6)
    assert float(terms["item_only"].value) == pytest.approx(0.1 * (-math.log(0.75) - math.log(0.5)), rel=1e-6)
    assert float(terms["user_only"].value) == pytest.approx(0.01 * 2 * math.log(2), rel=1e-6)


def test_the_gradient_of_macr_is_that_of_its_whole_loss() -> None:
    objective = MACR(item=0.3, user=0.2)
    vectors = vectors_of(objective)
    outputs = from_vectors(vectors)
    loss = torch.stack([term.value.mean() for term in objective.terms(shares(), outputs).values()]).sum()
    assert outputs.negatives is not None
    written_out = torch.zeros(())
    for side, sign in ((outputs, -1), (outputs.negatives, 1)):
        odds = side[OUTCOME] * torch.sigmoid(side[ITEM_ONLY]) * torch.sigmoid(side[USER_ONLY])
        slopes = softplus(sign * odds) + 0.3 * softplus(sign * side[ITEM_ONLY]) + 0.2 * softplus(sign * side[USER_ONLY])
        written_out = written_out + slopes.mean()
    expected = gradients(written_out, vectors)
    for role, slopes in gradients(loss, vectors).items():
        for slope, other in zip(slopes, expected[role], strict=True):
            torch.testing.assert_close(slope, other)


def test_macr_ranks_by_the_total_less_the_direct_effect() -> None:
    rows = {OUTCOME: [4.0, 3.0], ITEM_ONLY: [math.log(3), 0.0], USER_ONLY: [0.0, 0.0]}
    outputs = Outputs({role: torch.tensor(raw) for role, raw in rows.items()}, "logit")
    assert MACR(reference=1.0).score(outputs).tolist() == pytest.approx([3 * 0.375, 2 * 0.25])
    factual, corrected = MACR(reference=0.0).score(outputs), MACR(reference=30.0).score(outputs)
    assert factual[0] > factual[1] and corrected[0] < corrected[1]  # the first item owes its score to its own pull


# --- DICE


def dice_example() -> tuple[Batch, Outputs]:
    """The negative is less popular, more popular, and no different beyond a margin of 0.05."""
    batch = batch_of(torch.tensor([0.5, 0.1, 0.3]), torch.tensor([0.2, 0.4, 0.32]))
    values = {OUTCOME: [1.0, 2.0, 0.0], CONFORMITY: [0.5, 1.0, 3.0]}
    return batch, outputs_of(values, {OUTCOME: [0.0, 1.0, 1.0], CONFORMITY: [1.5, 3.0, 0.0]})


def test_dice_by_hand() -> None:
    batch, outputs = dice_example()
    terms = DICE(causes=0.5, margin=0.05).terms(batch, outputs)
    assert terms["interest"].value.tolist() == pytest.approx([0, 0.5 * math.log1p(math.exp(-1)), 0], rel=1e-6)
    conformity = [0.5 * math.log1p(math.exp(1.0)), 0.5 * math.log1p(math.exp(1 - 3)), 0]  # the popular one stands first
    assert terms["conformity"].value.tolist() == pytest.approx(conformity, rel=1e-6)
    click = [math.log1p(math.exp(b - a)) for a, b in ((1.5, 1.5), (3.0, 4.0), (3.0, 1.0))]
    for role in (OUTCOME, CONFORMITY):
        assert terms[f"click_{role}"].value.tolist() == pytest.approx(click, rel=1e-6)
        assert terms[f"distance_{role}"].value.tolist() == [0, 0, 0]
    assert DICE().score(outputs).tolist() == [1.5, 3.0, 3.0]


def test_the_margin_decides_which_pairs_tell_a_cause() -> None:
    batch, outputs = dice_example()
    terms = [DICE(margin=margin).terms(batch, outputs) for margin in (0.0, 0.05, 0.5)]
    assert [(t["interest"].value > 0).tolist() for t in terms] == [
        [False, True, True],
        [False, True, False],
        [False] * 3,
    ]
    assert [int((t["conformity"].value > 0).sum()) for t in terms] == [3, 2, 0]


def test_the_distance_of_dice_by_hand() -> None:
    sides = {OUTCOME: (torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 4.0]]))}
    sides[CONFORMITY] = (torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    terms = DICE(discrepancy=0.1).terms(batch_of(torch.ones(1), torch.ones(1)), from_vectors(sides))
    expected = -0.1 * (1 / 2 + (8 / 2 + 4 / 2) / 2)  # mean squares: user, then the mean of item and negative
    for role in (OUTCOME, CONFORMITY):
        assert float(terms[f"distance_{role}"].value) == pytest.approx(expected)


def test_the_gradient_of_dice_is_that_of_its_whole_loss() -> None:
    objective, batch = DICE(causes=0.3, discrepancy=0.2, margin=0.1), shares()
    vectors = vectors_of(objective)
    outputs = from_vectors(vectors)
    loss = torch.stack([term.value.mean() for term in objective.terms(batch, outputs).values()]).sum()
    assert outputs.negatives is not None and batch.popularity is not None and batch.negative_popularity is not None
    ahead = {role: outputs[role] - outputs.negatives[role] for role in objective.roles}
    gap = batch.negative_popularity - batch.popularity
    (user, item, negative), (user2, item2, negative2) = vectors[OUTCOME], vectors[CONFORMITY]
    apart = [(a - b).square().mean(-1) for a, b in ((user, user2), (item, item2), (negative, negative2))]
    written_out = softplus(-ahead[OUTCOME] - ahead[CONFORMITY]) - 0.2 * (apart[0] + apart[1] / 2 + apart[2] / 2)
    written_out = written_out + 0.3 * (gap > 0.1) * (softplus(-ahead[OUTCOME]) + softplus(ahead[CONFORMITY]))
    written_out = written_out + 0.3 * (gap < -0.1) * softplus(-ahead[CONFORMITY])
    expected = gradients(written_out.mean(), vectors)
    for role, slopes in gradients(loss, vectors).items():
        for slope, other in zip(slopes, expected[role], strict=True):
            torch.testing.assert_close(slope, other)
