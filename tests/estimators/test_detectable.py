"""The least effect that a design could have shown, by the chance that its interval leaves 0 out."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from causalrec.estimators.effect.detectable import detectable_effect


def test_the_least_effect_by_hand() -> None:
    assert detectable_effect(0.1) == pytest.approx((1.959964 + 0.841621) * 0.1, abs=1e-6)
    assert detectable_effect(2.0, level=0.9, power=0.5) == pytest.approx(1.644854 * 2, abs=1e-5)


def test_an_effect_of_that_size_is_shown_with_the_power() -> None:
    effect = detectable_effect(0.3)
    assert 1 - NormalDist(effect, 0.3).cdf(1.959964 * 0.3) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("error", [0.0, float("nan")])
def test_without_an_error_nothing_can_be_said(error: float) -> None:
    assert detectable_effect(error) != detectable_effect(error), "nan"
