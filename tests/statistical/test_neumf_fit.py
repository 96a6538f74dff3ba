"""NeuMF at users' size: under the decay that suits MF it does not lose to MF, nor to biases, on ML-100K."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import AbstractAnyEncoder, EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.encoders.neumf import NeuMF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME
from tests.test_real_data import DATA
from tests.training.test_stacked import task

WIDTH, MARGIN, SEEDS = 16, 0.0025, (0, 1, 2)  # the AUC of either varies by .001 to .002 over seeds
pytestmark = [pytest.mark.long, pytest.mark.network]


def split() -> tuple[InteractionLog, InteractionLog, InteractionLog]:
    """Training, validation and test rows, at random."""
    logged = replace(ML100K(threshold=4.0).load(DATA).logged, propensity=None)
    log = replace(logged, propensity=np.full(len(logged), 0.05, np.float32))
    order = np.random.default_rng(0).permutation(len(log))
    train, validation, test = (log.take(rows) for rows in np.split(order, [80_000, 90_000]))
    return train, validation, test


def test_it_does_not_lose_to_its_special_cases(tmp_path: Path) -> None:
    train, validation, test = split()
    inputs = EncoderInputs(train.num_users, train.num_items, (), Path(), Path())
    empty = [np.zeros((count, 0), np.float32) for count in (train.num_users, train.num_items)]
    features = FeatureMatrix((), ("user", "item"), *empty, ())

    def auc(encoder: Callable[[], AbstractAnyEncoder]) -> float:
        def model() -> CausalModel:
            return CausalModel({OUTCOME: RoleNetwork(encoder(), Dot(0))}, "logit")  # type: ignore[arg-type]

        request = task(
            tmp_path,
            Naive(),
            model=model,
            features=features,
            train=train,
            validation=validation,
            optimizer=AdamW(weight_decay=1.0),
            sampler=Balanced(batch_size=2048),
            trainer=TrainerSettings(progress=False, max_epochs=25, patience=3),
        )
        scores = []
        for fit in fit_stacked([replace(request, seed=seed) for seed in SEEDS], lambda size: 9):
            assert not isinstance(fit, Exception)
            trained = model()
            trained.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
            predicted = trained.predict(test.user, test.item, features, Naive())  # type: ignore[arg-type]
            scores.append(float(roc_auc_score(test.outcome, predicted)))
        return float(np.mean(scores))

    neumf = auc(lambda: NeuMF(inputs, width=WIDTH))
    mf, biases = (auc(lambda width=width: MF(inputs, width=width)) for width in (WIDTH, 0))  # type: ignore[misc]
    assert neumf > mf - MARGIN
    assert neumf > biases + MARGIN
