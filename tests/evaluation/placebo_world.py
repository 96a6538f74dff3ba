"""Small worlds in which it is known what item vectors are good for, and runs in them whose vectors are destroyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor

from causalrec.config.component import ComponentConfig
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.encoders.base import (
    AbstractEncoder,
    EncoderInputs,
    IdTable,
    Submodel,
    user_ids,
    with_item_bias,
    with_user_bias,
)
from causalrec.encoders.fusion import RowProjection
from causalrec.encoders.mf import MF
from causalrec.evaluation.refuter.placebo_source import PlaceboSource
from causalrec.evaluation.refuter.sources import SourceVerdict
from causalrec.graph.causal_graph import CausalGraph
from causalrec.running.prepare import plan_run
from causalrec.sweeps.sources import SourceRuns
from causalrec.types import Batch, ModelSource

Use = Literal["taste", "parameters", "nothing"]


@dataclass(frozen=True, kw_only=True)
class VectorWorld(AbstractDataset):
    """Ratings of items that have vectors, and a uniformly random test.

    Args:
        use: `taste`: users like directions of the vectors; `parameters`: taste has rank 3 and the vectors are noise;
            `nothing`: only items and users differ.
        seed: of all that is drawn.
        users: number of users.
        items: number of items.
        per_user: logged ratings of each user.
        width: of the vectors.
        noise: standard deviation of a rating about its mean.
        test: test ratings of each user.
    """

    use: Use
    seed: int = 0
    users: int = 100
    items: int = 40
    per_user: int = 14
    width: int = 4
    noise: float = 0.3
    test: int = 15

    @property
    def card(self) -> DatasetCard:
        columns = (Column("user", "user", "id"), Column("item", "item", "id"), Column("look", "item", "vector"))
        return DatasetCard(
            name="vector_world",
            domain="simulation",
            licence="none needed",
            urls=(),
            sha256={},
            columns=columns,
            outcome="rating",
            feedback="explicit",
            randomised="uniform items",
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def load(self, root: Path) -> CausalDataset:
        rng = np.random.default_rng(self.seed)
        vectors = rng.normal(size=(self.items, self.width))
        taste = {
            "taste": lambda: rng.normal(size=(self.users, self.width)) @ vectors.T / np.sqrt(self.width),
            "parameters": lambda: rng.normal(size=(self.users, 3)) @ rng.normal(size=(3, self.items)) / np.sqrt(3),
            "nothing": lambda: np.zeros((self.users, self.items)),
        }[self.use]()
        mean = taste + 0.5 * rng.normal(size=self.items) + 0.5 * rng.normal(size=(self.users, 1))
        return CausalDataset(
            card=self.card,
            logged=self._log(rng, mean, self.per_user, "log"),
            randomised=self._log(rng, mean, self.test, "randomised"),
            user_table=pl.DataFrame({"user": np.arange(self.users)}),
            item_table=pl.DataFrame({"item": np.arange(self.items)}),
            item_vectors={"look": vectors.astype(np.float32)},
        )

    def _log(self, rng: np.random.Generator, mean: np.ndarray, rows: int, name: str) -> InteractionLog:
        user = np.repeat(np.arange(self.users), rows)
        item = np.concatenate([rng.permutation(self.items)[:rows] for _ in range(self.users)])
        outcome = mean[user, item] + self.noise * rng.normal(size=len(user))
        return InteractionLog(
            user=user,
            item=item,
            treatment=np.ones(len(user), np.int64),
            outcome=outcome.astype(np.float32),
            num_users=self.users,
            num_items=self.items,
            name=name,
        )


class MFBesideVectors(AbstractEncoder):
    """Matrix factorisation of `width` beside `further` factors of users that meet projected item vectors.

    As in VBPR (He & McAuley, AAAI 2016) the vectors come with parameters of their own, which fit what the first
    factors cannot even where the vectors say nothing.
    """

    vectorizable = True

    def __init__(self, inputs: EncoderInputs, *, width: int = 1, further: int = 2) -> None:
        super().__init__()
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)
        self.user_further = IdTable("user", inputs.num_users, further - 1)
        (vectors,) = inputs.item_vectors.values()
        self.item_further = RowProjection(vectors, further, standardise=True)

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        return {"features": Submodel(MF, {"width": settings["width"]})}

    def users(self, batch: Batch) -> Tensor:
        first = with_user_bias(self.user_table(user_ids(batch)))
        return torch.cat([self.user_further(user_ids(batch)), first], -1)

    def items(self, ids: Tensor) -> Tensor:
        return torch.cat([self.item_further(ids), with_item_bias(self.item_table(ids))], -1)


GRAPH = ("item -> exposure", "item -> outcome", "user -> outcome", "look -> outcome", "exposure -> outcome")
BASE = ["dataset=ml100k", "dataset.threshold=null", "encoder=hybrid", "encoder.fusion=sum", "objective=naive"]
BASE += ["propensity=popularity", "metric=[mse]", "slice=[test]", "logger=none", "trainer.progress=false"]
BASE += ["evaluation.replicates=10", "selection.candidates=none", "trainer.patience=200"]
SETTINGS: Mapping[Use, list[str]] = {
    "taste": ["optimizer.weight_decay=3", "optimizer.lr=0.03", "trainer.max_epochs=100", "encoder.width=4"],
    "parameters": ["optimizer.weight_decay=0.3", "optimizer.lr=0.05", "trainer.max_epochs=120"],
    "nothing": ["optimizer.weight_decay=30", "optimizer.lr=0.03", "trainer.max_epochs=80", "encoder.width=2"],
}
SIZES: Mapping[Use, Mapping[str, int]] = {"parameters": {"per_user": 25, "width": 40}}


def config_of(folder: Path, use: Use, seed: int = 0, *overrides: str) -> ExperimentConfig:
    """A run in a world; beside random vectors, matrix factorisation of width 1 for a taste of rank 3."""
    where = [f"paths.runs={folder}", f"paths.cache={folder / 'cache'}"]
    config = validate_config(compose_config(normalise_overrides([*BASE, *where, *SETTINGS[use], *overrides])))
    world = ComponentConfig(VectorWorld, {"use": use, "seed": seed, **SIZES.get(use, {})})
    config = config.replace(dataset=world, graph=ComponentConfig(CausalGraph, {"edges": GRAPH}))
    return config.replace(encoder=ComponentConfig(MFBesideVectors, {})) if use == "parameters" else config


def verdict_of(folder: Path, use: Use, seed: int, seeds: int = 3) -> SourceVerdict:
    """What the refuter says of the vectors, all of them dealt anew."""
    config = config_of(folder, use, seed)
    assert config.components.learner is not None
    runs = SourceRuns(
        config=config,
        without=config.components.learner.without_sources(config, plan_run(config).views),
        columns={"mse@randomised": False},
        slices={"randomised": "test"},
        log=lambda text: None,
    )
    (verdict,) = PlaceboSource(source="features", shares=(1.0,), seeds=seeds)(runs.problem)
    return verdict
