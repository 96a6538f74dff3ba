"""The synthetic bandit follows its stated law, is the same by seed, and its truth is that of the rows it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.synthetic_bandit import SyntheticBandit
from causalrec.errors import RequestError
from causalrec.graph.identify import identify
from causalrec.types import Doubles

NOWHERE = Path("/nowhere")


def load(**settings: Any) -> CausalDataset:
    return SyntheticBandit(**settings).load(NOWHERE)


def truth(data: CausalDataset) -> tuple[Doubles, Doubles]:
    """Mean reward and logging probability of each action in each logged round."""
    assert data.context_oracle is not None and data.logging_policy is not None
    contexts = Contexts.of_log(data.logged)
    return data.context_oracle(contexts), data.logging_policy(contexts)


WORLDS = [
    {},
    {"outcome": "reward", "reward_sd": 2.0, "beta": 1.0},
    {"categories": 3, "levels": 4, "hidden_categories": 1, "epsilon": 0.3},
    {"vector_dim": 8, "deficient": 10, "outcome": "reward", "beta": -1.0},
]


@pytest.mark.parametrize("settings", WORLDS)
def test_rows_follow_the_truth(settings: dict[str, Any]) -> None:
    data = load(**settings)
    log, (means, probabilities) = data.logged, truth(data)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert log.propensity is not None and log.user is None and log.of_rounds
    taken = np.take_along_axis(probabilities, log.item[:, None], 1)[:, 0]
    np.testing.assert_allclose(log.propensity, taken, rtol=1e-6)
    taken = np.take_along_axis(means, log.item[:, None], 1)[:, 0]
    residual = log.outcome - taken
    assert abs(residual.mean()) < 4 * residual.std() / np.sqrt(len(log))
    shares = np.bincount(log.item, minlength=log.num_items) / len(log)
    error = np.sqrt((probabilities * (1 - probabilities)).mean(0) / len(log))
    assert (np.abs(shares - probabilities.mean(0)) <= 4 * error).all()


@pytest.mark.parametrize("settings", WORLDS[:3])
def test_inverse_propensities_recover_another_policy_s_value(settings: dict[str, Any]) -> None:
    data = load(**settings)
    means, probabilities = truth(data)
    target = np.full_like(probabilities, 1 / 30)
    rows, action = np.arange(len(means)), data.logged.item
    terms = target[rows, action] / probabilities[rows, action] * data.logged.outcome
    value = (target * means).sum(1).mean()
    assert abs(terms.mean() - value) < 4 * terms.std() / np.sqrt(len(terms))
    logging = (probabilities * means).sum(1).mean()
    assert abs(logging - value) > 4 * data.logged.outcome.std() / np.sqrt(len(terms)), "the log's mean is another's"


def test_the_law_by_hand() -> None:
    """The score is linear in the context with the action's own slope: its standardised differences say so."""
    data = load(rounds=3, actions=4, context_dim=1, outcome="reward")
    assert data.context_oracle is not None

    def at(x: float) -> Doubles:
        assert data.context_oracle is not None
        return data.context_oracle(Contexts(count=1, num_actions=4, columns={"x0": np.array([x])}))[0]

    np.testing.assert_allclose(at(2.0) - at(1.0), at(1.0) - at(0.0))
    assert np.ptp(at(1.0) - at(0.0)) > 0.1, "actions differ in how they read the context"


def test_a_binary_mean_is_the_sigmoid_of_the_score() -> None:
    score, _ = truth(load(rounds=50, outcome="reward"))
    rate, _ = truth(load(rounds=50))
    np.testing.assert_allclose(rate, 1 / (1 + np.exp(-score)))
    assert abs(score.mean()) < 0.5 and 0.7 < score.std() < 1.3


def test_the_logging_policy_by_hand() -> None:
    means, probabilities = truth(load(rounds=20, beta=-3.0, epsilon=0.2, deficient=5))
    supported = probabilities[0] > 0
    assert supported.sum() == 25 and (supported == (probabilities > 0)).all()
    raised = np.exp(-3 * means) * supported
    expected = 0.8 * raised / raised.sum(1, keepdims=True) + 0.2 * supported / 25
    np.testing.assert_allclose(probabilities, expected)


def test_a_large_beta_is_greedy() -> None:
    means, probabilities = truth(load(rounds=20, beta=1e6, epsilon=0.3))
    assert (probabilities.argmax(1) == means.argmax(1)).all()
    np.testing.assert_allclose(probabilities.max(1), 0.7 + 0.3 / 30)


def test_actions_of_the_same_categories_earn_the_same_unless_one_is_hidden() -> None:
    for hidden, alike in ((0, True), (1, False)):
        data = load(rounds=20, actions=200, categories=2, levels=3, hidden_categories=hidden)
        means, _ = truth(data)
        shown = [f"category{k}" for k in range(2 - hidden)]
        assert data.item_table.columns == shown
        groups = data.item_table.select(shown).with_row_index().group_by(shown).agg("index")["index"].to_list()
        spread = max(float(np.ptp(means[:, group], axis=1).max()) for group in groups)
        assert (spread < 1e-9) == alike


def test_rewards_are_linear_in_the_vectors() -> None:
    data = load(rounds=5, actions=40, vector_dim=3, outcome="reward")
    means, _ = truth(data)
    design = np.column_stack([np.ones(40), data.item_vectors["embedding"]])
    residual = np.linalg.lstsq(design, means.T, rcond=None)[1]
    assert residual.max() < 1e-20


def test_draws_share_the_law_and_seeds_repeat() -> None:
    first, again, other, law = load(), load(), load(draw=1), load(law=1)
    np.testing.assert_array_equal(first.logged.outcome, again.logged.outcome)
    assert (first.logged.columns["x0"] != other.logged.columns["x0"]).all()
    contexts = Contexts.of_log(first.logged)
    assert first.context_oracle is not None and other.context_oracle is not None and law.context_oracle is not None
    np.testing.assert_array_equal(first.context_oracle(contexts), other.context_oracle(contexts))
    assert (first.context_oracle(contexts) != law.context_oracle(contexts)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deficient": 30}, r"^dataset\.deficient=30: leaves none of 30 actions"),
        ({"reward_sd": 1.0}, r"^dataset\.reward_sd: a click has no noise; set dataset\.outcome=reward"),
        ({"levels": 5}, r"^dataset\.levels: are those of categories, and there are none"),
        ({"categories": 1, "hidden_categories": 2}, r"^dataset\.hidden_categories=2: there are 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        SyntheticBandit(**settings)


def test_context_and_action_are_adjusted_for() -> None:
    config = validate_config(compose_config(["dataset=synthetic_bandit", "propensity=logged"]))
    card = config.dataset.build().card
    graph = config.graph.build().for_columns(card)
    assert identify(graph, card).training.columns == ("item", *(f"x{k}" for k in range(5)))
    assert identify(graph, card, use_logged_propensity=True).training.strategy == "logged propensity"
