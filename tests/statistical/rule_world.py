"""Users who dislike whole genres, of whom few pairs are logged: the world in which a rule is true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.rules import Rules
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Bools, Doubles, Floats, Ints

GENRES = 18
LIKED, DISLIKED = 0.8, 0.05  # rates
RULES = [f"{taste}(u, g) and has(i, g) -> {taste}(u, i)" for taste in ("dislikes", "likes")]
CARD = DatasetCard(
    *("rule_world", "", "", (), {}),
    (Column("user", "user", "id"), Column("item", "item", "id"), Column("genre", "item", "multi_hot")),
    *("click", "explicit"),
)


@dataclass(frozen=True)
class World:
    """A draw of users, items and a log.

    Attributes:
        dataset: with the training rows as its log.
        validation: more rows.
        truth: float64[U,I], the rate of each pair.
        spoken: bool[U,I], pairs whose item has a genre that the user dislikes.
    """

    dataset: CausalDataset
    validation: InteractionLog
    truth: Doubles
    spoken: Bools


def draw_world(seed: int, users: int = 943, items: int = 1682, density: float = 0.01) -> World:
    """Draw one or two genres of each item, three of twenty disliked by each user, and rows at random."""
    rng = np.random.default_rng(seed)
    genres = [rng.choice(GENRES, size=1 + (rng.random() < 0.25), replace=False) for _ in range(items)]
    has = np.zeros((items, GENRES))
    for item, chosen in enumerate(genres):
        has[item, chosen] = 1
    spoken = (rng.random((users, GENRES)) < 0.15) @ has.T > 0
    quality = rng.normal(scale=0.1, size=items)
    truth = np.where(spoken, DISLIKED, np.clip(LIKED + quality, 0.05, 0.95))
    rows = round(users * items * density)
    codes = rng.choice(users * items, size=rows + rows // 4, replace=False)
    outcome = (rng.random(len(codes)) < truth.ravel()[codes]).astype(np.float32)
    logs = [_log(codes[chosen], outcome[chosen], users, items) for chosen in (slice(rows), slice(rows, None))]
    table = pl.DataFrame({"genre": [[f"g{g}" for g in chosen] for chosen in genres]})
    dataset = CausalDataset(CARD, logs[0], pl.DataFrame({"user": range(users)}), table)
    return World(dataset, logs[1], truth, spoken)


def _log(codes: Ints, outcome: Floats, users: int, items: int) -> InteractionLog:
    exposed = np.ones(len(codes), np.int64)
    return InteractionLog(
        codes % items, exposed, outcome, items, codes // items, users, propensity=exposed.astype(np.float32)
    )


def permute_genres(dataset: CausalDataset, seed: int) -> CausalDataset:
    """Return the data set with the genres of items permuted: the rule speaks of other items."""
    order = np.random.default_rng(seed).permutation(len(dataset.item_table))
    return CausalDataset(dataset.card, dataset.logged, dataset.user_table, dataset.item_table[order])


def fit_errors(world: World, penalty: Rules | None, folder: Path, seed: int, epochs: int = 25) -> tuple[float, float]:
    """Return the mean squared error of predicted rates over the pairs that the rule speaks of, and over all pairs."""
    request = _request(world, penalty, folder, seed, epochs)
    fit, model = request.fit(), request.model()
    model.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
    user, item = (ids.ravel().astype(np.int64) for ids in np.indices(world.truth.shape))
    with torch.no_grad():
        raw = model(inference_batch(user, item, request.features))[OUTCOME]
    errors = (torch.sigmoid(raw).double().numpy().reshape(world.truth.shape) - world.truth) ** 2
    return float(errors[world.spoken].mean()), float(errors.mean())


def _request(world: World, penalty: Rules | None, folder: Path, seed: int, epochs: int) -> FitRequest:
    log = world.dataset.logged
    none = [np.zeros((count, 0), np.float32) for count in (log.num_users, log.num_items)]
    inputs = EncoderInputs(log.num_users, log.num_items, (), Path(), Path())
    return FitRequest(
        model=lambda: CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=24), Dot(0), "pair")}, "logit"),
        objective=Naive(),
        optimizer=AdamW(lr=0.02, weight_decay=1.0),
        trainer=TrainerSettings(progress=False, max_epochs=epochs, patience=10),
        sampler=Balanced(batch_size=512),
        features=FeatureMatrix((), ("user", "item"), *none, ()),
        train=log,
        validation=world.validation,
        seed=seed,
        criterion="naive",
        clip=0.01,
        validation_space="logged",
        pair_propensity=None,
        logger=None,
        folder=folder,
        label="",
        prefix="",
        penalties={} if penalty is None else {"rules": penalty},
    )
