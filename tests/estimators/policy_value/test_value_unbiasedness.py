"""Claims of value estimators on a bandit that is summed over, not sampled: contexts and actions by their probability.

An estimate's expectation is the sum of what each (context, action) contributes, by its probability in the log; of a
self-normalised estimate, the ratio of the expectations of its sums, its limit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.estimator.clipped_ips import ClippedIPSValue
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.dros import DRosValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.mips import MIPSValue
from causalrec.estimators.policy_value.estimator.offcem import OffCEMValue
from causalrec.estimators.policy_value.estimator.sndr import SNDRValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.subgaussian_ips import SubGaussianIPSValue
from causalrec.estimators.policy_value.estimator.switch_dr import SwitchDRValue
from causalrec.estimators.policy_value.estimator.text_kernel import TextKernelValue
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from causalrec.types import Doubles

CONTEXTS, ACTIONS = 3, 6
GROUP = np.array([0, 0, 1, 1, 2, 2])  # categories, clusters and places of vectors alike
RNG = np.random.default_rng(4)
CONTEXT = np.array([0.5, 0.3, 0.2])  # probability of each
LOGGING = RNG.dirichlet(np.full(ACTIONS, 2.0), CONTEXTS)
TARGET = RNG.dirichlet(np.full(ACTIONS, 1.0), CONTEXTS)
BY_ACTION = RNG.random((CONTEXTS, ACTIONS)) + 0.5  # mean rewards that differ within groups
BY_GROUP = (RNG.random((CONTEXTS, 3)) + 0.5)[:, GROUP]  # that do not
WRONG_MODEL = RNG.random((CONTEXTS, ACTIONS))
WRONG_LOGGING = RNG.dirichlet(np.full(ACTIONS, 2.0), CONTEXTS)
FEATURES = ActionFeatures(categories=GROUP[:, None], vectors=100.0 * GROUP[:, None], cluster=GROUP)


@dataclasses.dataclass(frozen=True)
class Bandit:
    """Mean rewards and both policies, float64[X,A] each."""

    reward: Doubles
    logging: Doubles = dataclasses.field(default_factory=lambda: LOGGING)

    @property
    def truth(self) -> float:
        return float(CONTEXT @ (TARGET * self.reward).sum(1))

    def limit(
        self, estimator: AbstractValueEstimator, model: Doubles = WRONG_MODEL, logging: Doubles | None = None
    ) -> float:
        """The estimate's expectation where it is handed this model and these propensities (None: the true ones)."""
        probability = CONTEXT[:, None] * self.logging
        context, action = np.nonzero(probability)
        believed = self.logging if logging is None else logging
        rounds = LoggedRounds(
            reward=self.reward[context, action],
            action=action,
            propensity=believed[context, action],
            target=TARGET[context, action],
            target_distribution=TARGET[context],
            logging_distribution=believed[context],
            model=model[context],
            actions=FEATURES,
        )
        base, numerator, denominator = estimator.contributions(rounds).terms @ probability[context, action]
        return float(base + numerator / denominator)


@pytest.mark.parametrize("estimator", [IPSValue(), SNIPSValue(), DRValue(), SNDRValue()], ids=str)
def test_true_propensities_suffice(estimator: AbstractValueEstimator) -> None:
    bandit = Bandit(BY_ACTION)
    assert bandit.limit(estimator) == pytest.approx(bandit.truth, abs=1e-12)
    assert bandit.limit(estimator, logging=WRONG_LOGGING) != pytest.approx(bandit.truth, abs=0.02)


@pytest.mark.parametrize(
    "estimator",
    [DirectMethod(), DRValue(), SNDRValue(), SwitchDRValue(threshold=1.0), DRosValue(shrinkage=1.0)],
    ids=str,
)
def test_a_true_model_suffices(estimator: AbstractValueEstimator) -> None:
    bandit = Bandit(BY_ACTION)
    assert bandit.limit(estimator, model=BY_ACTION, logging=WRONG_LOGGING) == pytest.approx(bandit.truth, abs=1e-12)
    assert bandit.limit(estimator, logging=WRONG_LOGGING) != pytest.approx(bandit.truth, abs=0.02), "both are wrong"


def test_the_direct_method_is_what_its_model_is() -> None:
    assert Bandit(BY_ACTION).limit(DirectMethod()) == pytest.approx(float(CONTEXT @ (TARGET * WRONG_MODEL).sum(1)))


@pytest.mark.parametrize(
    "estimator", [ClippedIPSValue(clip=1.0), SubGaussianIPSValue(shrinkage=0.5), SwitchDRValue(threshold=1.0)], ids=str
)
def test_smaller_weights_cost_a_bias(estimator: AbstractValueEstimator) -> None:
    bandit = Bandit(BY_ACTION)
    assert abs(bandit.limit(estimator) - bandit.truth) > 0.02


def test_the_bias_of_a_clipped_weight_is_the_reward_it_leaves_out() -> None:
    bandit, weight = Bandit(BY_ACTION), TARGET / LOGGING
    left_out = float(CONTEXT @ (LOGGING * np.maximum(weight - 1.0, 0) * BY_ACTION).sum(1))
    assert bandit.limit(ClippedIPSValue(clip=1.0)) == pytest.approx(bandit.truth - left_out, abs=1e-12)


GROUPED = [MIPSValue(), OffCEMValue(), TextKernelValue(bandwidth=0.05, components=1)]


@pytest.mark.parametrize("estimator", GROUPED, ids=str)
def test_weights_of_groups_suffice_where_actions_of_a_group_earn_alike(estimator: AbstractValueEstimator) -> None:
    """Vectors of a group are alike, and the kernel does not reach the others; the model is wrong, and right within."""
    model = BY_GROUP + np.array([0.4, -0.3, 0.2])[GROUP]
    bandit = Bandit(BY_GROUP)
    assert bandit.limit(estimator, model=model) == pytest.approx(bandit.truth, abs=1e-12)
    biased = Bandit(BY_ACTION)
    assert abs(biased.limit(estimator, model=model) - biased.truth) > 0.02, "an effect of the action itself"


def test_a_model_that_is_right_within_clusters_suffices_for_offcem_and_not_for_the_direct_method() -> None:
    bandit, model = Bandit(BY_ACTION), BY_ACTION + np.array([0.4, -0.3, 0.2])[GROUP]
    assert bandit.limit(OffCEMValue(), model=model) == pytest.approx(bandit.truth, abs=1e-12)
    assert abs(bandit.limit(DirectMethod(), model=model) - bandit.truth) > 0.02


def test_support_of_categories_suffices_where_that_of_actions_is_missing() -> None:
    logging = LOGGING * np.array([1, 0, 1, 1, 1, 0])  # the log never takes two of the actions
    bandit = Bandit(BY_GROUP, logging / logging.sum(1, keepdims=True))
    assert bandit.limit(MIPSValue()) == pytest.approx(bandit.truth, abs=1e-12)
    lost = float(CONTEXT @ (TARGET * BY_GROUP)[:, [1, 5]].sum(1))
    assert bandit.limit(IPSValue()) == pytest.approx(bandit.truth - lost, abs=1e-12)
    assert lost > 0.02
    assert abs(bandit.limit(DRValue()) - bandit.truth) > 0.02
