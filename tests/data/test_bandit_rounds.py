"""Rounds of simulated bandits: drawn by their policy, never rescaled by a split, and their ranks of arms worked out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.bandit_rounds import draw_actions, draw_rounds, softmax_policy
from causalrec.data.contexts import Contexts
from causalrec.data.log import InteractionLog
from causalrec.data.thompson_ranks import rank_probabilities
from causalrec.errors import RequestError
from causalrec.learners.network_checks import check_network
from causalrec.types import Doubles

PROBABILITIES = np.array([0.5, 0.0, 0.3, 0.2])
MEANS = np.array([0.1, 0.9, 0.5, 0.7])


def rows_of(values: Doubles, contexts: Contexts) -> Doubles:
    return np.broadcast_to(values, (len(contexts), len(values)))


def rounds(count: int, reward_sd: float | None = None) -> InteractionLog:
    contexts = Contexts(count=count, num_actions=4, num_users=3, user=np.arange(count) % 3)
    return draw_rounds(
        contexts,
        lambda c: rows_of(PROBABILITIES, c),
        lambda c: rows_of(MEANS, c),
        np.random.default_rng(0),
        reward_sd=reward_sd,
        name="rounds",
    )


@pytest.mark.parametrize("reward_sd", [None, 0.5])
def test_actions_and_rewards_have_the_shares_and_means_that_were_given(reward_sd: float | None) -> None:
    log = rounds(20_000, reward_sd)
    shares = np.bincount(log.item, minlength=4) / len(log)
    assert shares[1] == 0
    assert (np.abs(shares - PROBABILITIES) < 4 * np.sqrt(PROBABILITIES * (1 - PROBABILITIES) / len(log)) + 1e-12).all()
    for action in (0, 2, 3):
        reward, sd = log.outcome[log.item == action], reward_sd or np.sqrt(MEANS[action] * (1 - MEANS[action]))
        assert abs(reward.mean() - MEANS[action]) < 4 * sd / np.sqrt(len(reward))
        assert reward.std() == pytest.approx(sd, rel=0.05)
    assert log.propensity is not None
    np.testing.assert_allclose(log.propensity, PROBABILITIES[log.item], rtol=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action follows its own uniform number, in whichever block it stands."""
    everything = draw_actions(np.tile(PROBABILITIES, (50, 1)), np.random.default_rng(1))
    rng = np.random.default_rng(1)
    blocks = [draw_actions(np.tile(PROBABILITIES, (size, 1)), rng) for size in (7, 43)]
    np.testing.assert_array_equal(everything, np.concatenate(blocks))
    whole_log = rounds(50)
    monkeypatch.setattr("causalrec.data.bandit_rounds.CELLS_AT_ONCE", 28)
    np.testing.assert_array_equal(rounds(50).item, whole_log.item)


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(softmax_policy(np.array([0.0, np.log(2), -np.inf]), 0.5), [0.2, 0.8, 0.0])


def test_a_log_of_rounds_stands_for_the_sum_of_inverse_propensities() -> None:
    log = dataclasses.replace(rounds(3), propensity=np.array([0.5, 0.25, 0.2], np.float32))
    assert log.population == pytest.approx(2 + 4 + 5) and not log.propensity_follows_share
    of_pairs = dataclasses.replace(log, of_rounds=False)
    assert of_pairs.population == 12 and of_pairs.propensity_follows_share


def test_an_objective_over_pairs_is_refused_with_propensities_of_rounds() -> None:
    ask = ["dataset=rating_bandit", "propensity=logged"]
    config = validate_config(compose_config([*ask, "objective=dr_jl"]))
    with pytest.raises(RequestError, match=r"^objective=dr_jl: .* those of an item within a round; choose one over"):
        check_network(config, config.dataset.build().card)
    allowed = validate_config(compose_config([*ask, "objective=ips"]))
    check_network(allowed, allowed.dataset.build().card)


def test_ranks_of_two_arms_by_hand() -> None:
    """X ~ Beta(2, 1) exceeds a uniform number with probability E[X] = 2/3."""
    ranks = rank_probabilities(np.array([2.0, 1.0]), np.array([1.0, 1.0]), 2)
    np.testing.assert_allclose(ranks, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], atol=1e-4)


def test_ranks_agree_with_draws() -> None:
    rng = np.random.default_rng(0)
    alpha, beta = rng.uniform(1, 200, 12), rng.uniform(500, 9000, 12)
    ranks, draws = rank_probabilities(alpha, beta, 3), 40_000
    order = np.argsort(-rng.beta(alpha, beta, (draws, 12)), axis=1)
    for slot in range(3):
        shares = np.bincount(order[:, slot], minlength=12) / draws
        error = np.sqrt(np.maximum(ranks[slot] * (1 - ranks[slot]), 1e-4) / draws)
        assert (np.abs(shares - ranks[slot]) < 4 * error).all()
    np.testing.assert_allclose(ranks.sum(1), 1)
