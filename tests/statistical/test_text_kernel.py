"""A text kernel gains where rewards are smooth in the vectors of texts, and loses where these say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from text_designs import CANDIDATES, RULES, SmoothRewards, movie_vectors, squared_errors, write_ratios

from causalrec.data.datasets.ml100k import ML100K

DRAWS = 200
SEPARATE, PAIRED = RULES


@pytest.mark.long
@pytest.mark.parametrize("strength", [0.7, 1.0])
def test_titles_and_genres_of_movies(strength: float) -> None:
    require(*ML100K(threshold=None).sources)
    vectors = movie_vectors()
    design = SmoothRewards(vectors, vectors, strength, users=943)
    smooth, effective = squared_errors(design, DRAWS)
    permuted, _ = squared_errors(design.permuted(), DRAWS)
    write_ratios(f"taste of strength {strength:g}", smooth, effective, DRAWS)
    write_ratios(f"taste of strength {strength:g}, vectors permuted", permuted, effective, DRAWS)
    assert 250 < effective < 400
    assert min(smooth[name] for name in CANDIDATES) < 0.9
    assert smooth[PAIRED] < 1.1
    assert min(permuted[name] for name in (*CANDIDATES, *RULES)) > (1.5 if strength == 1.0 else 1.2)


def test_what_a_few_draws_of_random_vectors_say() -> None:
    vectors = np.random.default_rng(3).normal(size=(300, 8))
    design = SmoothRewards(vectors, vectors, 1.0, users=60)
    smooth, _ = squared_errors(design, 12)
    permuted, _ = squared_errors(design.permuted(), 12)
    assert min(smooth[name] for name in CANDIDATES) < 0.9 < 1.5 < min(permuted[name] for name in CANDIDATES)
    assert smooth[PAIRED] < 1.1
