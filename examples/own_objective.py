"""An objective of your own, from a package outside causalrec: one Python file, one YAML, nothing of causalrec edited.

On the command line: `CAUSALREC_PACKAGES=powerlab causalrec train --config-dir conf objective=power_ips`.
"""

import os
import sys
from pathlib import Path

import causalrec

package = Path(__file__).parent / "own_objective"  # holds powerlab/power_ips.py and conf/objective/power_ips.yaml
sys.path.insert(0, str(package))  # an installed package needs no such line
os.environ["CAUSALREC_PACKAGES"] = "powerlab"  # classes of these packages may be built, and of no others

for power in (0.0, 0.5, 1.0):
    record = causalrec.train(
        f"objective.power={power}",
        dataset="ml100k_semisynthetic",
        encoder="mf",
        objective="power_ips",
        trainer="smoke",
        logger="none",
        name=f"power-{power}",
        config_dirs=[package / "conf"],
    )
    errors = {
        score.model: score.value for score in record.scores if (score.metric, score.slice) == ("mse", "all_pairs")
    }
    print(f"power {power}: mean squared error over all pairs {errors[record.name]:.4f}")
