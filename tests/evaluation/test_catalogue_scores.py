"""Whole catalogues, a block of users at a time: the numbers of all rows at once, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.gpt4rec import GPT4Rec
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.macr import MACR
from causalrec.estimators.objective.pda import PDA
from causalrec.estimators.objective.rel_mf import RelMF
from causalrec.evaluation.catalogue_scores import block_users
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.full_ranking import full_ranking
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import ROLE_INPUTS, CausalModel, RoleNetwork
from causalrec.types import Floats
from tests.evaluation.test_slices import METRICS, flat, random_splits

USERS, ITEMS = 40, 30
SPLITS = random_splits()


def scores_of(
    data: SliceData | CatalogueData, predict: Callable[[SliceData], Floats], memory: float = 512
) -> list[Score]:
    return Evaluator(METRICS, [data], 1.0, replicates=20, memory=memory)(predict, "model")


def model_of(objective: AbstractObjective, features: FeatureMatrix, encoder: type = MF) -> NetworkPredictor:
    torch.manual_seed(1)
    history = dataclasses.replace(SPLITS.train, time=np.arange(len(SPLITS.train)))
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path(), history_log=history)
    networks = {
        role: RoleNetwork(encoder(inputs, width=4), Dot(len(features)), ROLE_INPUTS.get(role, "pair"))
        for role in objective.roles
    }
    model = CausalModel(networks, "logit")
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.3)
    return NetworkPredictor(model, features, objective)


def numbers(users: int, items: int) -> FeatureMatrix:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(count, width)).astype(np.float32) for count, width in ((USERS, users), (ITEMS, items))]
    return FeatureMatrix(tuple(map(str, range(users + items))), ("item", "user"), *blocks)


def three_scores(rows: SliceData) -> Floats:
    """Scores of three values, so that every list is cut within a tie."""
    return (rows.item * 7 % 3 + rows.user % 2).astype(np.float32)


PREDICTORS = {
    "ties": three_scores,
    "constant": lambda rows: np.full(len(rows), 0.5, np.float32),
    "bpr": model_of(BPR(), numbers(0, 0)),
    "columns": model_of(RelMF(), numbers(2, 3)),
    "branches": model_of(MACR(reference=0.3), numbers(1, 1)),
    "elu": model_of(PDA(), numbers(0, 0)),
    "histories": model_of(BPR(), numbers(0, 0), GPT4Rec),
}


@pytest.mark.parametrize("memory", [0.004, 512])
@pytest.mark.parametrize("name", PREDICTORS)
def test_every_metric_of_a_ranking_in_blocks_is_that_of_all_rows(name: str, memory: float) -> None:
    ranking, predict = full_ranking(SPLITS), PREDICTORS[name]
    assert block_users(ranking, int(memory * 1e6), rows=False) == (4 if memory < 1 else 139_810)
    streamed, at_once = scores_of(ranking, predict, memory), scores_of(flat(ranking), predict)
    assert [score.metric for score in streamed] == [score.metric for score in at_once] and len(at_once) > 3
    for mine, theirs in zip(streamed, at_once, strict=True):
        assert (mine.value, mine.n) == (pytest.approx(theirs.value, abs=1e-6), theirs.n), mine.metric
        np.testing.assert_allclose(mine.replicates, theirs.replicates, atol=1e-6)
        assert mine.jackknife is not None and theirs.jackknife is not None
        np.testing.assert_allclose(mine.jackknife[0], theirs.jackknife[0], atol=1e-6)  # without groups of users
        np.testing.assert_array_equal(mine.jackknife[0], mine.jackknife[2])  # items stay fixed
