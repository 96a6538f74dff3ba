"""Open Bandit: fashion items shown by two logging policies (Saito et al., NeurIPS D&B 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl
import yaml

from causalrec.data.card import Column, DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.quoted_csv import read_csv
from causalrec.data.sources import Source, sha256_of
from causalrec.data.thompson_ranks import rank_probabilities
from causalrec.errors import DataError
from causalrec.types import Doubles

Campaign = Literal["all", "men", "women"]
Policy = Literal["bts", "random"]
ORDER: Final[tuple[Policy, Policy]] = ("bts", "random")
SLOTS: Final = 3
OBP = Source(
    folder="openbandit",
    wheel="obp==0.4.1",
    member="obp/dataset/obd",
    files={
        "bts/all/all.csv": "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
        "bts/all/item_context.csv": "5d4359ba1cfa3ae88f0f1bae66bd633859fe6323817183632ee57b83539d9153",
        "bts/men/men.csv": "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
        "bts/men/item_context.csv": "3b411ed6b0471316321a6b93f4f756bb25888eac6218cd71d0b603d41d85732d",
        "bts/women/women.csv": "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
        "bts/women/item_context.csv": "a56295bad066a558eb783055afd9279f5f4e209a4776eafc22151c53f0ac89d4",
        "random/all/all.csv": "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
        "random/all/item_context.csv": "eba04cc23d5f130a93ff174c5392986882b94c3839433cb8143870eaa6221358",
        "random/men/men.csv": "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
        "random/men/item_context.csv": "6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09",
        "random/women/women.csv": "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
        "random/women/item_context.csv": "b1ca4905f97703d196004f2ad4552c1e90c2afad8b50688d333b0d2dc0b33147",
    },
)
PRIORS = Source(
    folder="openbandit_priors",
    wheel="obp==0.4.1",
    member="obp/policy/conf",
    files={"prior_bts.yaml": "81a54fbdc184021ccc62ab97de81ec35461c032e3d7f99ccaa0a9745f732d251"},
)
FULL_FOLDER: Final = "openbandit_full"
FULL_ARCHIVE: Final = "https://research.zozo.com/data_release/open_bandit_dataset.zip"
VISITOR: Final = tuple(f"user_feature_{k}" for k in range(4))
HASHED: Final = tuple(f"item_feature_{k}" for k in (1, 2, 3))
COLUMNS = (
    Column("item", "item", "id"),
    Column("item_feature_0", "item", "numeric"),
    *(Column(name, "item", "category") for name in HASHED),
    *(Column(name, "row", "category") for name in VISITOR),
)
LOG_SCHEMA: Final = {
    "timestamp": pl.String,
    "item_id": pl.Int64,
    "position": pl.Int64,
    "click": pl.Float32,
    "propensity_score": pl.Float32,
    **dict.fromkeys(VISITOR, pl.String),
}
ITEM_SCHEMA: Final = {"item_id": pl.Int64, "item_feature_0": pl.Float64, **dict.fromkeys(HASHED, pl.String)}


@dataclass(frozen=True, kw_only=True)
class OpenBandit(AbstractDataset):
    """Rounds of Bernoulli Thompson sampling and of a uniformly random policy, per campaign; no users.

    item = arm (80 in `all`, 34 in `men`, 46 in `women`); outcome = click; `position` 1..3, the slot; a row holds the
    visitor's four hashed features, `user_feature_0` to `user_feature_3`. `propensity` is p(arm | slot) of the policy
    that wrote the row, so the arms of a round sum to 1: not a p(exposed) over all pairs of a matrix. Item hashes
    differ between the two policies one to one, so items join on item_id and take the names of the first policy.
    The visitor's affinities with each item are left out. Raises DataError on an item that only one policy knows.

    Both policies stand in `policies`, and what each wrote in `policy_logs`, whose mean click is its value. `random` is
    uniform. `bts` is p(arm | slot) under the Beta distributions with which the sampling began (of the same wheel,
    fetched when first asked for), as Open Bandit Pipeline evaluates it. The sampling went on learning, so that in the
    real log it differs from them (total variation of the small logs' shares from .3 to .5 by campaign and slot), and
    rows tell the probability of their own arm alone: `logging_policy` is known for `random` only.

    The full version is read from where you unpacked its archive (11 GB), `paths.data/openbandit_full`, which then holds
    bts/all/all.csv, bts/all/item_context.csv and so on. No sum is published: those of the files as read stand in the
    record. It was tested on the small files in that layout, never on the full ones.

    Attributes:
        campaign: which of the three.
        logging: whose rounds are the log; those of `random` are also the randomised test where `bts` logs.
        size: `small`, 10,000 rounds a policy, or `full`, 26 million in all.
        item_text: phrases by item column that make an item's text.
    """

    campaign: Campaign = "all"
    logging: Policy = "bts"
    size: Literal["small", "full"] = "small"
    item_text: dict[str, str] = field(default_factory=dict)

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="openbandit",
            domain="e-commerce",
            size="80 arms, 10,000 + 10,000 random rounds" if self.size == "small" else "26 M rounds in all",
            licence="CC BY 4.0",
            urls=("https://research.zozo.com/data.html", "https://github.com/st-tech/zr-obp"),
            sha256=OBP.files if self.size == "small" else {},
            columns=COLUMNS,
            outcome="click",
            feedback="exposure_logged",
            randomised="each slot filled by a uniformly random item" if self.logging == "bts" else None,
            randomised_training=self.logging == "random",
            logged_propensity=True,
            rounds=True,
            repeats="allowed",
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (OBP if self.size == "small" else self._full,)

    @property
    def _full(self) -> Source:
        files = [f"{policy}/{self.campaign}/{name}.csv" for policy in ORDER for name in (self.campaign, "item_context")]
        return Source(folder=FULL_FOLDER, files=dict.fromkeys(files, ""), page=FULL_ARCHIVE)

    def identity(self, root: Path) -> str:
        """Return the sums of the files: those published with the wheel, else of what is there."""
        if self.size == "small":
            return repr(sorted(OBP.files.items()))
        folder = self._full.fetch(root)
        return repr(sorted((name, sha256_of(folder / name)) for name in self._full.files))

    def load(self, root: Path) -> CausalDataset:
        source = self.sources[0]
        folder = source.fetch(root)
        files = {policy: folder / policy / self.campaign for policy in ORDER}
        items = _items(*(path / "item_context.csv" for path in files.values()))
        tables = {policy: read_csv(path / f"{self.campaign}.csv", LOG_SCHEMA) for policy, path in files.items()}
        visitors = _visitors(tables) if self.size == "full" else {policy: _texts(tables[policy]) for policy in ORDER}
        logs: dict[str, InteractionLog] = {
            policy: _log(tables[policy], path / f"{self.campaign}.csv", len(items), visitors[policy])
            for policy, path in files.items()
        }
        policies = {"bts": _thompson(root, self.campaign), "random": _uniform}
        names = [name for name in source.files if f"/{self.campaign}/" in name]
        return CausalDataset(
            card=self.card,
            logged=logs[self.logging],
            randomised=logs["random"] if self.logging == "bts" else None,
            user_table=pl.DataFrame(),
            item_table=items.drop("item_id"),
            item_ids=items["item_id"],
            logging_policy=_uniform if self.logging == "random" else None,
            policies=policies,
            policy_logs=logs,
            raw_sha256={name: source.files[name] or sha256_of(folder / name) for name in names},
        )


def _uniform(contexts: Contexts) -> Doubles:
    return np.full((len(contexts), contexts.num_actions), 1 / contexts.num_actions)


def _thompson(root: Path, campaign: Campaign) -> ActionDistribution:
    """Return Thompson sampling as it began, by slot; its file is read when first asked for."""

    @cache
    def by_slot() -> Doubles:
        prior = yaml.safe_load((PRIORS.fetch(root) / "prior_bts.yaml").read_text(encoding="utf-8"))[campaign]
        return rank_probabilities(np.array(prior["alpha"]), np.array(prior["beta"]), SLOTS)

    def distribution(contexts: Contexts) -> Doubles:
        assert contexts.position is not None
        return np.asarray(by_slot()[contexts.position - 1])

    return distribution


def _texts(table: pl.DataFrame) -> dict[str, RowValues]:
    return {name: table[name].to_numpy().astype(np.str_) for name in VISITOR}


def _visitors(tables: Mapping[Policy, pl.DataFrame]) -> dict[Policy, dict[str, RowValues]]:
    """Return the visitors' features as numbers of their levels in both logs: hashes of 12 million rows take 6 GB."""
    levels = {name: pl.Enum(pl.concat([table[name] for table in tables.values()]).unique().sort()) for name in VISITOR}
    return {
        policy: {name: table[name].cast(levels[name]).to_physical().cast(pl.Int64).to_numpy() for name in VISITOR}
        for policy, table in tables.items()
    }


def _log(table: pl.DataFrame, path: Path, arms: int, visitors: Mapping[str, RowValues]) -> InteractionLog:
    _raise_where(table, ~pl.col("click").is_in([0.0, 1.0]), "click", "0 or 1", path)
    _raise_where(table, ~pl.col("item_id").is_between(0, arms - 1), "item_id", f"in 0..{arms - 1}", path)
    _raise_where(table, ~pl.col("position").is_between(1, 3), "position", "in 1..3", path)
    score = pl.col("propensity_score")
    _raise_where(table, ~((score > 0) & (score <= 1)), "propensity_score", "in (0, 1]", path)
    time = table["timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", strict=False, time_unit="us")
    _raise_where(table.with_columns(bad=time.is_null()), pl.col("bad"), "timestamp", "a time", path)
    return InteractionLog(
        item=table["item_id"].to_numpy(),
        treatment=np.ones(len(table), np.int64),
        outcome=table["click"].to_numpy(),
        num_items=arms,
        time=(time.dt.epoch("us") // 1_000_000).to_numpy(),
        position=table["position"].to_numpy(),
        propensity=table["propensity_score"].to_numpy(),
        columns=visitors,
        name=path.parent.parent.name,
    )


def _items(logged: Path, uniform: Path) -> pl.DataFrame:
    """Return the arms in the order of their ids, once both policies are seen to mean the same items by them."""
    ours, theirs = (read_csv(path, ITEM_SCHEMA).sort("item_id") for path in (logged, uniform))
    for table, path in ((ours, logged), (theirs, uniform)):
        if table["item_id"].to_list() != list(range(len(ours))):
            raise DataError(f"{path}: item_id is not 0..{len(ours) - 1}, each once, as in {logged}; another version?")
    if not ours["item_feature_0"].equals(theirs["item_feature_0"]):
        raise DataError(f"{uniform}: item_feature_0 differs from {logged}; the two policies hold different items")
    for name in HASHED:
        pairs = set(zip(ours[name], theirs[name], strict=True))
        if not len(pairs) == ours[name].n_unique() == theirs[name].n_unique():
            raise DataError(f"{uniform}: {name} groups the items otherwise than {logged}; another version?")
    return ours


def _raise_where(table: pl.DataFrame, bad: pl.Expr, column: str, wanted: str, path: Path) -> None:
    violations = table.select(bad).to_series()
    if violations.any():
        row = int(violations.arg_max() or 0)
        raise DataError(f"{path}: line {row + 2}: {column} {table[column][row]} is not {wanted}; the file is corrupt")
