"""Causal neighbours: worked numbers, a loop that says the same, and groups whose effects differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline import causal_neighbours
from causalrec.evaluation.baseline.causal_neighbours import CausalNeighbours
from causalrec.evaluation.baseline.item_effect import ItemEffect
from causalrec.types import Doubles, Floats


def log_of(user: Any, item: Any, treatment: Any, outcome: Any, users: int, items: int) -> InteractionLog:
    columns = (np.asarray(item, np.int64), np.asarray(treatment, np.int64), np.asarray(outcome, np.float32))
    return InteractionLog(*columns, items, np.asarray(user, np.int64), users, name="rows")


def random_log(arms: int = 1, seed: int = 0) -> InteractionLog:
    rng = np.random.default_rng(seed)
    code = rng.choice(12 * 9, 80, replace=False)
    chosen = rng.integers(2, size=80)
    return log_of(code // 9, code % 9, rng.permutation(np.arange(80) % (arms + 1)), chosen, 12, 9)


def all_pairs(log: InteractionLog) -> tuple[Any, Any]:
    return np.divmod(np.arange(log.num_pairs), log.num_items)


def predict_all(baseline: CausalNeighbours | ItemEffect, log: InteractionLog) -> Floats:
    baseline.fit(log)
    return baseline.predict(*all_pairs(log)).reshape(log.num_users, log.num_items, -1)


def test_an_effect_by_hand() -> None:
    # users 0, 1 and 2 chose item 0, user 2 item 1 too: cosines 1 of 0 and 1, 1 / sqrt 2 of either and 2; 3 chose none
    rows = [(0, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 1), (2, 1, 1, 1), (1, 1, 0, 0), (3, 1, 1, 0)]
    log = log_of(*np.array(rows).T, users=4, items=2)  # type: ignore[misc]
    effects = predict_all(CausalNeighbours(power=2.0, shrink=0.5), log)[..., 0]
    assert effects[0, 1] == pytest.approx(0.5 / (0.5 + 0.5))  # user 2, exposed, chose it; user 1 did not, unexposed
    assert effects[0, 0] == pytest.approx(0 - (1 + 0.5) / (0.5 + 1 + 0.5))
    assert effects[2, 1] == pytest.approx(0.0), "its own row tells nothing"
    assert effects[3].tolist() == [0.0, 0.0], "nobody is like who chose nothing"
    nearest = predict_all(CausalNeighbours(power=2.0, shrink=0.5, neighbours=1), log)[..., 0]
    assert nearest[0, 1] == 0.0, "user 1 alone"


def predict_by_loops(log: InteractionLog, by: str, alike: str, neighbours: int, power: float, shrink: float) -> Doubles:
    """The same by loops over pairs and rows."""
    rows = list(zip(log.users.tolist(), log.item.tolist(), log.treatment.tolist(), log.outcome.tolist(), strict=True))
    if by == "item":
        rows = [(item, user, z, y) for user, item, z, y in rows]
    many, columns = (log.num_users, log.num_items) if by == "user" else (log.num_items, log.num_users)
    arms = int(log.treatment.max())
    sets = [{c for r, c, z, y in rows if r == row and (y > 0 if alike == "outcome" else z > 0)} for row in range(many)]
    effects = np.zeros((many, columns, arms))
    for a in range(many):
        cosine = {b: len(sets[a] & sets[b]) / max(1e-9, (len(sets[a]) * len(sets[b])) ** 0.5) for b in range(many)}
        near = sorted((b for b in cosine if b != a and cosine[b] > 0), key=lambda b: -round(cosine[b], 9))[:neighbours]
        weight = {b: cosine[b] ** power for b in near}
        for c in range(columns):
            means = []
            for arm in range(arms + 1):
                here = [(weight[r], y) for r, column, z, y in rows if column == c and z == arm and r in weight]
                means.append(sum(s * y for s, y in here) / (shrink + sum(s for s, _ in here)))
            effects[a, c] = [mean - means[0] for mean in means[1:]]
    return effects if by == "user" else effects.transpose(1, 0, 2)


@pytest.mark.parametrize("by", ["user", "item"])
@pytest.mark.parametrize("alike", ["outcome", "treatment"])
@pytest.mark.parametrize("arms", [1, 2])
@pytest.mark.parametrize("cells", [1 << 22, 30])
def test_it_says_what_loops_say(by: Any, alike: Any, arms: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal_neighbours, "CELLS", cells)
    log = random_log(arms)
    for neighbours in (100, 3):
        settings = {"by": by, "alike": alike, "neighbours": neighbours, "power": 0.5, "shrink": 2.0}
        effects = predict_all(CausalNeighbours(**settings), log)
        assert effects.dtype == np.float32 and np.abs(effects).max() > 0.05
        np.testing.assert_allclose(effects, predict_by_loops(log, **settings), atol=1e-5)


def test_rows_may_be_asked_in_any_order_and_twice() -> None:
    log = random_log()
    baseline = CausalNeighbours()
    effects = predict_all(baseline, log)
    user, item = np.array([7, 0, 7, 11]), np.array([2, 8, 2, 0])
    np.testing.assert_array_equal(baseline.predict(user, item), effects[user, item])


@pytest.mark.parametrize("confounded", [False, True])
def test_effects_of_groups_are_found_where_exposure_is_random_within_them(confounded: bool) -> None:
    """Users of two groups choose other items; exposure sells items 6 to 11 to the first group, 12 to 17 to the other.

    Confounded: half of each group buys them unexposed, and is never exposed to them.
    """
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(200 * 18), 18)
    group, eager = user % 2, (user // 2) % 2 == 1
    base = np.where(item < 6, np.where(item // 3 == group, 0.9, 0.05), 0.2)
    truth = np.where((item >= 6) & (item // 6 - 1 == group), 0.5, 0.0)
    chance = np.full(len(user), 0.5)
    if confounded:
        base, chance = np.where(eager & (item >= 6), 0.7, base), np.where(eager, 0.05, 0.95)
    treatment = (rng.random(len(user)) < chance).astype(np.int64)
    outcome = rng.random(len(user)) < base + np.where(eager & confounded, 0.0, treatment * truth)
    log = log_of(user, item, treatment, outcome, 200, 18)
    judged = (item >= 6) & ~eager
    truth, rows = truth[judged], np.flatnonzero(judged)

    def error(baseline: CausalNeighbours | ItemEffect) -> float:
        return float(np.abs(predict_all(baseline, log)[..., 0].ravel()[rows] - truth).mean())

    by_user = error(CausalNeighbours(neighbours=90, power=4.0, shrink=0.5))
    assert by_user > 0.2 if confounded else by_user < 0.12 < error(ItemEffect())
