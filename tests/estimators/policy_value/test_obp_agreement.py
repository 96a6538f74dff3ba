"""Open Bandit Pipeline's estimates of the same rounds, which `obp_estimates.py` wrote, to 1e-9."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.estimator.clipped_ips import ClippedIPSValue
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.dros import DRosValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.mips import MIPSValue
from causalrec.estimators.policy_value.estimator.sndr import SNDRValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.subgaussian_ips import SubGaussianIPSValue
from causalrec.estimators.policy_value.estimator.switch_dr import SwitchDRValue
from causalrec.estimators.policy_value.slope import slope
from tests.estimators.policy_value.obp_estimates import CLIPS, FIXTURE, estimate_with_obp
from tests.estimators.policy_value.simulated_rounds import simulate_rounds

RECORD = json.loads(FIXTURE.read_text(encoding="utf-8"))
ESTIMATORS: dict[str, AbstractValueEstimator] = {
    "dm": DirectMethod(),
    "ips": IPSValue(),
    "snips": SNIPSValue(),
    "clipped_ips": ClippedIPSValue(clip=1.5),
    "subgaussian_ips": SubGaussianIPSValue(shrinkage=0.3),
    "dr": DRValue(),
    "sndr": SNDRValue(),
    "switch_dr": SwitchDRValue(threshold=1.5),
    "dros": DRosValue(shrinkage=1.5),
    "mips": MIPSValue(),
}


@pytest.mark.parametrize(("name", "estimator"), ESTIMATORS.items(), ids=list(ESTIMATORS))
def test_the_estimate_is_obp_s(name: str, estimator: AbstractValueEstimator) -> None:
    value = estimator.contributions(simulate_rounds()).value
    assert value == pytest.approx(RECORD["estimates"][name], rel=0, abs=1e-9)


def test_every_estimate_of_obp_is_compared_and_no_two_are_alike() -> None:
    values = sorted(RECORD["estimates"].values())
    assert set(ESTIMATORS) == set(RECORD["estimates"])
    assert min(after - before for before, after in pairwise(values)) > 1e-4


def test_slope_takes_what_obp_s_takes() -> None:
    values = [ClippedIPSValue(clip=clip).contributions(simulate_rounds()).value for clip in CLIPS]
    chosen = slope(values, RECORD["half_widths"])
    assert CLIPS[chosen] == RECORD["chosen"] and 0 < chosen < len(CLIPS) - 1
    assert values[chosen] == pytest.approx(RECORD["chosen_value"], rel=0, abs=1e-9)


@pytest.mark.long
@pytest.mark.network
def test_the_record_is_what_obp_says_today() -> None:
    """Makes obp's environment where there is none: minutes, and the package index."""
    now = estimate_with_obp()
    assert now["chosen"] == RECORD["chosen"]
    assert now["half_widths"] == pytest.approx(RECORD["half_widths"], rel=1e-12)
    assert now["estimates"] == pytest.approx(RECORD["estimates"], rel=1e-12)
