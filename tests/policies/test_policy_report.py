"""What stands beside a value: few users, few rounds, a round that outweighs all others."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.policies.evaluation import EvaluatedRounds, PolicyEvaluation
from causalrec.policies.report import PolicyReport

ROUNDS = 800


def marks(users: int, propensity: float, heavy: float | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the note and the warnings of IPS of a policy that always takes action 0."""
    user = np.arange(ROUNDS) % users
    chance = np.full(ROUNDS, propensity)
    chance[7] = chance[7] if heavy is None else heavy
    action = np.zeros(ROUNDS, np.int64)
    log = InteractionLog(
        item=action,
        treatment=np.ones(ROUNDS, np.int64),
        outcome=np.random.default_rng(0).random(ROUNDS).astype(np.float32),
        num_items=2,
        user=user,
        num_users=users,
        of_rounds=True,
    )
    rounds = EvaluatedRounds(
        log=log,
        policies={"first": lambda contexts: np.tile([1.0, 0.0], (len(contexts), 1))},
        propensity=chance,
        logging=None,
        model=None,
        cluster=user,
        numbers=np.arange(ROUNDS) + 1000,
    )
    evaluation = PolicyEvaluation(
        policies=["first"],
        estimators={"ips": IPSValue()},
        interval=NormalInterval(),
        truth=None,
        actions=None,
        num_clusters=users,
        seed=0,
        memory=1e8,
    )
    report = PolicyReport(evaluation, evaluation.run([rounds]), 0.95, "row", ROUNDS, clusters=users)
    (score,) = (s for s in report.scores("logged") if (s.metric, s.slice) == ("ips", "first"))
    return score.note, score.warnings


@pytest.mark.parametrize(("users", "note"), [(100, ""), (10, ""), (9, "9 users"), (2, "2 users")])
def test_few_users_stand_beside_the_interval(users: int, note: str) -> None:
    assert marks(users, 0.5)[0] == note


def test_a_round_that_outweighs_all_is_called_by_its_number_in_the_log() -> None:
    note, (few, heavy) = marks(100, 0.5, heavy=1e-7)
    assert note == "1 effective rounds" and few.startswith(note)
    assert heavy == "a weight of 1e+07, of round 1007, outweighs all others"
