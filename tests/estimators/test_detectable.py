"""The least effect that a design could have shown, by the chance that its interval leaves 0 out."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from causalrec.estimators.effect.detectable import detectable_effect


def test_the_least_effects_by_hand() -> None:
    by_hand = [(1.959964 + 0.841621) * 0.1, (1.959964 + 0.841621) * 3]
    half_widths = 1.959964 * np.array([0.1, 3.0])
    np.testing.assert_allclose(detectable_effect(half_widths, 0.95), by_hand, rtol=1e-6)
    assert detectable_effect(np.array([1.644854]), 0.9) == pytest.approx(1.644854 + 0.841621, abs=1e-5)


def test_an_effect_of_that_size_is_shown_with_the_power() -> None:
    effect = float(detectable_effect(np.array(1.959964 * 0.3), 0.95))
    assert 1 - NormalDist(effect, 0.3).cdf(1.959964 * 0.3) == pytest.approx(0.8, abs=1e-6)


def test_without_an_error_nothing_can_be_said() -> None:
    assert np.isnan(detectable_effect(np.array([0.0, np.nan]), 0.95)).all()
