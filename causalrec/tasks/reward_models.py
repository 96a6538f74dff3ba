"""Models of the reward that have not learnt from the rounds they serve: one of the training rows, or one a fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.config.schema import ExperimentConfig
from causalrec.data.contexts import Contexts
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.catalogue_predictions import means
from causalrec.evaluation.slice.base import SliceData
from causalrec.learners.predictor import AbstractPredictor
from causalrec.policies.evaluation import RewardModel
from causalrec.prepared import PreparedData
from causalrec.training.selection import fit_sequentially
from causalrec.types import Doubles, Ints

VALIDATION_SHARE = 0.1  # of what a fold's model learns from


def fold_of_rounds(log: InteractionLog, folds: int, seed: int) -> Ints:
    """Return the fold of each round, int64[N]: rounds of a user stay together, so that no model has met them.

    Raises RequestError on more folds than users, or rounds.
    """
    unit = log.user if log.user is not None else np.arange(len(log))
    present, rank = np.unique(unit, return_inverse=True)
    if folds > len(present):
        what = "rounds" if log.user is None else "users"
        raise RequestError(f"task.folds={folds}: there are {len(present)} {what}; set at most as many")
    fold = np.arange(len(present)) % folds
    np.random.default_rng(seed).shuffle(fold)
    return fold[rank]


def fold_model(
    config: ExperimentConfig, prepared: PreparedData, log: InteractionLog, rows: Ints, seed: int
) -> RewardModel:
    """Return a model that learnt from these rows of the rounds.

    Args:
        config: of the job.
        prepared: what stands before its fits.
        log: all rounds.
        rows: int64[K], those of the other folds.
        seed: of which of them are its validation.
    """
    learner = config.components.learner
    assert learner is not None
    predictor = learner.fit(config, _without_fold(prepared, log, rows, seed), fit_sequentially)
    return reward_model(predictor, reads_row(config, prepared))


def _without_fold(prepared: PreparedData, log: InteractionLog, rows: Ints, seed: int) -> PreparedData:
    """Return what a model of these rows stands on: some of them are its validation."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    held_out = max(1, int(VALIDATION_SHARE * len(rows)))
    learned = shuffled if prepared.folds.count > 1 else shuffled[held_out:]
    logs = [log.take(np.sort(chosen)) for chosen in (learned, shuffled[:held_out])]
    train, validation = (rows.with_propensity(prepared.propensity.predict(rows)) for rows in logs)
    return replace(prepared, train=train, training_rows=train, validation=validation)


def reads_row(config: ExperimentConfig, prepared: PreparedData) -> bool:
    """Whether the model reads more of a round than its user: columns of the moment, or its time."""
    learner, card = config.components.learner, prepared.dataset.card
    assert learner is not None
    names = set(learner.columns_read(prepared.plan.views))
    return any(column.name in names for column in card.row_columns) or prepared.train.time is not None


def reward_model(predictor: AbstractPredictor, reads_row: bool) -> RewardModel:
    """Return the predictor as a model of the reward of every action, float64[B,A].

    Args:
        predictor: of mean outcomes.
        reads_row: whether rounds of a user differ for it; else a user is predicted once.
    """
    by_user: dict[int, Doubles] = {}

    def predict(contexts: Contexts) -> Doubles:
        if reads_row or contexts.user is None:
            return _predict(predictor, contexts)
        users, first, rank = np.unique(contexts.user, return_index=True, return_inverse=True)
        new = np.array([user not in by_user for user in users.tolist()])
        if new.any():
            by_user.update(zip(users[new].tolist(), _predict(predictor, contexts.take(first[new])), strict=True))
        return np.stack([by_user[user] for user in users.tolist()])[rank]

    return predict


def _predict(predictor: AbstractPredictor, contexts: Contexts) -> Doubles:
    rounds, actions = len(contexts), contexts.num_actions
    user = np.zeros(rounds, np.int64) if contexts.user is None else contexts.user
    pairs = SliceData(
        name="rounds",
        kind="rate",
        user=np.repeat(user, actions),
        item=np.tile(np.arange(actions), rounds),
        label=np.zeros(rounds * actions, np.float32),
        num_users=contexts.num_users,
        time=None if contexts.time is None else np.repeat(contexts.time, actions),
        columns={name: np.repeat(values, actions) for name, values in contexts.columns.items()},
    )
    return means(predictor(pairs)).astype(np.float64).reshape(rounds, actions)
