"""The vectors of a trained network: their product is its score, and an id that it never met has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from causalrec.encoders.gpt4rec import GPT4Rec
from causalrec.encoders.gru4rec import GRU4Rec
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.id_vectors import id_vectors
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME, PROPENSITY
from tests.encoders.test_sequence import ITEMS, USERS, inputs, log_of

VIEW = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32), ())


def predictor_of(encoder: Any, role: Any = OUTCOME) -> NetworkPredictor:
    return NetworkPredictor(CausalModel({role: RoleNetwork(encoder, Dot(0))}, "identity"), VIEW, Naive())


@pytest.mark.parametrize("kind", [MF, GPT4Rec, GRU4Rec])
def test_the_product_of_the_vectors_is_the_score_of_every_pair_that_was_not_logged(kind: Any) -> None:
    log, predictor = log_of(), predictor_of(kind(inputs(), width=8))
    vectors = id_vectors(predictor, VIEW, log)
    every = np.arange(USERS * ITEMS)
    user, item = every // ITEMS, every % ITEMS
    has_both = np.isfinite(vectors["user"]).all(1)[user] & np.isfinite(vectors["item"]).all(1)[item]
    new = has_both & ~np.isin(every, log.codes)
    product = (vectors["user"][user] * vectors["item"][item]).sum(1)
    expected = predictor.model.predict(user, item, VIEW, Naive())
    assert new.sum() > 10
    np.testing.assert_allclose(product[new], expected[new], rtol=1e-4, atol=1e-5)


def test_an_id_with_a_parameter_that_no_row_has_trained_is_nan() -> None:
    """Items 7 and 8 and user 5 have no row; a history that is empty is still a history."""
    by_id, by_history = (id_vectors(predictor_of(kind(inputs(), width=8)), VIEW, log_of()) for kind in (MF, GRU4Rec))
    for vectors in (by_id, by_history):
        assert np.isnan(vectors["item"]).all(1).tolist() == [False] * 7 + [True] * 2
    assert np.isnan(by_id["user"]).all(1).tolist() == [False] * 5 + [True]
    assert np.isfinite(by_history["user"]).all()


def test_a_run_without_an_outcome_network_is_refused() -> None:
    with pytest.raises(RequestError, match=r"vectors: the run has no outcome network; name a run of encoder=mf"):
        id_vectors(predictor_of(MF(inputs()), PROPENSITY), VIEW, log_of())
