"""A backbone with one decay for factors and biases loses to its biases, and is marked; one with two decays is not."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import causalrec
from causalrec.reporting.submodels import MARK

PLANTED = '''
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch
from torch import nn

from causalrec.data.card import Column, DatasetCard
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractEncoder, rows_of, user_ids, with_item_bias, with_user_bias
from causalrec.encoders.mf import BIASES

USERS, ITEMS = 200, 80


@dataclass(frozen=True, kw_only=True)
class BiasWorld(AbstractDataset):
    item_text: dict[str, str] = field(default_factory=dict)

    @property
    def card(self):
        return DatasetCard(
            name="biases", domain="test", licence="none", urls=(), sha256={}, outcome="click", feedback="explicit",
            columns=(Column("user", "user", "id"), Column("item", "item", "id")), randomised="uniform",
        )

    @property
    def sources(self):
        return ()

    def load(self, root):
        rng = np.random.default_rng(0)
        score = 1.5 * rng.normal(size=(USERS, 1)) + 1.5 * rng.normal(size=(1, ITEMS))
        liked = rng.random((USERS, ITEMS)) < 1 / (1 + np.exp(-score))
        seen = rng.random((USERS, ITEMS)) < 0.3
        tested = ~seen & (rng.random((USERS, ITEMS)) < 0.3)
        return CausalDataset(
            card=self.card, logged=log(*np.nonzero(seen), liked), randomised=log(*np.nonzero(tested), liked),
            user_table=pl.DataFrame({"u": range(USERS)}), item_table=pl.DataFrame({"i": range(ITEMS)}),
        )


def log(user, item, liked):
    return InteractionLog(
        user=user, item=item, treatment=np.ones(len(user), np.int64), num_users=USERS, num_items=ITEMS,
        outcome=liked[user, item].astype(np.float32),
    )


class OneDecay(AbstractEncoder):
    """Factors and bias are columns of one table, so that one decay shrinks both."""

    def __init__(self, inputs, *, width: int = 4) -> None:
        super().__init__()
        self.user_table = nn.Parameter(0.1 * torch.randn(inputs.num_users, width + 1))
        self.item_table = nn.Parameter(0.1 * torch.randn(inputs.num_items, width + 1))

    @classmethod
    def submodels(cls, settings, columns):
        return {"biases": BIASES}

    def users(self, batch):
        return with_user_bias(rows_of(self.user_table, user_ids(batch)))

    def items(self, ids):
        return with_item_bias(rows_of(self.item_table, ids))
'''


def test_one_decay_for_factors_and_biases_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text(textwrap.dedent(PLANTED))
    (tmp_path / "conf" / "encoder").mkdir(parents=True)
    (tmp_path / "conf" / "encoder" / "onedecay.yaml").write_text("_target_: planted.OneDecay\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CAUSALREC_PACKAGES", "planted")
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    settings = ["dataset=coat", "~dataset.threshold", "dataset._target_=planted.BiasWorld", "graph.latent=[]"]
    settings += ["graph.edges=['user -> outcome','item -> outcome','user -> exposure','exposure -> outcome']"]
    settings += [
        "propensity=popularity",
        "objective=naive",
        "metric=[auc]",
        "logger=wandb",
        "logger.images=false",
        "sampler.batch_size=256",
    ]
    settings += ["optimizer.lr=0.02", "trainer.max_epochs=10", "trainer.patience=10", "trainer.progress=false"]
    settings += ["selection.folds=1", "selection.candidates={optimizer.weight_decay:[10.0]}"]
    settings += ["evaluation.submodels=true", "evaluation.replicates=20", "sweep=planted"]
    for encoder in ("onedecay", "mf"):
        causalrec.train(*settings, "encoder.width=4", encoder=encoder, config_dirs=tmp_path / "conf")
    (table,) = causalrec.table("runs/planted", "auc@randomised")
    column = "auc@randomised"
    assert table.rows["onedecay-naive"][column].loses_to == ("biases",)
    assert table.rows["mf-naive"][column].loses_to == ()
    marked = {file.parts[2] for file in Path("runs/planted").rglob("*.table.json") if MARK in file.read_text("utf-8")}
    assert marked == {"onedecay-naive"}
    (note,) = [line for line in table.footnotes if line.startswith(MARK)]
    lost = re.fullmatch(rf"{MARK} onedecay-naive loses to its special case biases: {column} (-0\.\d+) \[.*\]\.", note)
    assert lost is not None and float(lost.group(1)) < -0.01
