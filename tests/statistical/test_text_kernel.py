"""A text kernel gains where rewards are smooth in the vectors of texts, and loses where these say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from text_designs import CANDIDATES, RULES, USERS, Policies, all_weights, movie_vectors, squared_errors, write_ratios

from causalrec.data.datasets.ml100k import ML100K

DRAWS = 200
SEPARATE, PAIRED = RULES
STRENGTHS = (0.7, 1.0)  # of the taste


@pytest.mark.long
def test_titles_and_genres_of_movies() -> None:
    """The rule as published misses 1.1 times the error of snips; its figure is shown, that of differences is held."""
    require(*ML100K(threshold=None).sources)
    vectors = movie_vectors()
    policies = Policies.draw(vectors, USERS)
    permuted = vectors[np.random.default_rng(1).permutation(len(vectors))]
    weights = {"": all_weights(policies, vectors), ", vectors permuted": all_weights(policies, permuted)}
    for strength in STRENGTHS:
        (smooth, effective), (lost, _) = (squared_errors(policies, w, strength, DRAWS) for w in weights.values())
        for words, ratios in zip(weights, (smooth, lost), strict=True):
            write_ratios(f"taste of strength {strength:g}{words}", ratios, effective, DRAWS)
        assert 250 < effective < 400
        assert min(smooth[name] for name in CANDIDATES) < 0.9
        assert smooth[PAIRED] < 1.1
        assert min(lost[name] for name in (*CANDIDATES, *RULES)) > 1.5


def test_a_few_draws_of_random_vectors() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(300, 8)) * np.linspace(1, 0.5, 8)
    policies = Policies.draw(vectors, 60)
    smooth, _ = squared_errors(policies, all_weights(policies, vectors), 1.0, 30)
    lost, _ = squared_errors(policies, all_weights(policies, rng.permutation(vectors)), 1.0, 30)
    assert min(smooth[name] for name in CANDIDATES) < 0.9
    assert smooth[PAIRED] < 1.1
    assert min(lost[name] for name in CANDIDATES) > 1.3
