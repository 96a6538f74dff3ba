"""What Open Bandit Pipeline estimates from simulated rounds: run as a script this writes `obp_estimates.json`.

`python -m tests.estimators.policy_value.obp_estimates` makes obp's environment where there is none.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.obp_environment import run_with_obp
from tests.estimators.policy_value.simulated_rounds import simulate_rounds

FIXTURE = Path(__file__).with_suffix(".json")
CLIPS = [30.0, 3.0, 1.5, 0.75, 0.4, 0.1]  # each binds in these rounds, so that no two are as wide
SCRIPT = """
import json, sys
import numpy as np
from obp.ope import (
    DirectMethod, DoublyRobust, DoublyRobustWithShrinkage, InverseProbabilityWeighting,
    InverseProbabilityWeightingTuning, MarginalizedInverseProbabilityWeighting, SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting, SubGaussianInverseProbabilityWeighting, SwitchDoublyRobust,
)
from obp.ope.helper import estimate_student_t_lower_bound

rounds = {name: np.asarray(values) for name, values in json.load(open(sys.argv[1])).items()}
clips = rounds.pop("clips").tolist()
shared = {
    "reward": rounds["reward"], "action": rounds["action"], "pscore": rounds["propensity"],
    "action_dist": rounds["target"][:, :, None], "estimated_rewards_by_reg_model": rounds["model"][:, :, None],
}
estimators = {
    "dm": DirectMethod(), "ips": InverseProbabilityWeighting(), "snips": SelfNormalizedInverseProbabilityWeighting(),
    "clipped_ips": InverseProbabilityWeighting(lambda_=1.5), "dr": DoublyRobust(),
    "subgaussian_ips": SubGaussianInverseProbabilityWeighting(lambda_=0.3), "sndr": SelfNormalizedDoublyRobust(),
    "switch_dr": SwitchDoublyRobust(lambda_=1.5), "dros": DoublyRobustWithShrinkage(lambda_=1.5),
}
estimates = {name: float(estimator.estimate_policy_value(**shared)) for name, estimator in estimators.items()}
categories = rounds["categories"]  # [A,C]
levels = np.arange(categories.max() + 1)
estimates["mips"] = float(
    MarginalizedInverseProbabilityWeighting(n_actions=categories.shape[0]).estimate_policy_value(
        reward=rounds["reward"], action=rounds["action"], action_embed=categories[rounds["action"]],
        pi_b=rounds["logging"][:, :, None], action_dist=shared["action_dist"],
        p_e_a=(categories[:, None, :] == levels[None, :, None]).astype(float),
    )
)
names = ("reward", "action", "pscore", "action_dist")
widths = []
for clip in clips:
    terms = InverseProbabilityWeighting(lambda_=clip)._estimate_round_rewards(**{n: shared[n] for n in names})
    widths.append(float(terms.mean() - estimate_student_t_lower_bound(x=terms, delta=0.1)))
tuning = InverseProbabilityWeightingTuning(lambdas=clips, tuning_method="slope", delta=0.1)
tuned = tuning.estimate_policy_value(**{n: shared[n] for n in names})
print(json.dumps({
    "estimates": estimates, "half_widths": widths, "chosen": tuning.best_hyperparam, "chosen_value": float(tuned),
}))
"""


def estimate_with_obp() -> dict[str, Any]:
    """Return obp's estimates of the simulated rounds, its half-widths by clip and what its SLOPE takes."""
    rounds = simulate_rounds()
    assert rounds.target_distribution is not None and rounds.logging_distribution is not None
    assert rounds.model is not None and rounds.actions is not None
    columns = {
        "reward": rounds.reward,
        "action": rounds.action,
        "propensity": rounds.propensity,
        "target": rounds.target_distribution,
        "logging": rounds.logging_distribution,
        "model": rounds.model,
        "categories": rounds.actions.categories,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rounds.json"
        lists = {name: values.tolist() for name, values in columns.items()} | {"clips": CLIPS}
        path.write_text(json.dumps(lists), encoding="utf-8")
        estimates: dict[str, Any] = json.loads(run_with_obp(SCRIPT, str(path)))
    return {"made by": "python -m tests.estimators.policy_value.obp_estimates (obp 0.5.7)"} | estimates


if __name__ == "__main__":
    FIXTURE.write_text(json.dumps(estimate_with_obp(), indent=2) + "\n", encoding="utf-8")
