"""IHDP: effects of home visits on children's test scores, simulated over a real trial (Hill, JCGS 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import integers, numbers, read_delimited
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.data.truth import PotentialOutcomes
from causalrec.errors import DataError
from causalrec.types import Doubles, Floats, Ints

COMMIT: Final = "9081f863e24ce21bd34c8d6a41bf0edc7d1b65dd"
PAGE: Final = "https://github.com/AMLab-Amsterdam/CEVAE"
RAW: Final = f"https://raw.githubusercontent.com/AMLab-Amsterdam/CEVAE/{COMMIT}/datasets/IHDP/csv"
CSV_SHA256: Final = (  # sha256 of ihdp_npci_1.csv, ihdp_npci_2.csv, ..
    "2bdc8b94fdf2f669b1d3d49325fd9359d88418566545003867841312a1653411",
    "36db2f3d002250bc95e5214477718c939fbe7dfe8df573c4050d8b246d314042",
    "bd792ce0642468195b2c3f0cd4c521378d7d52d044f153e844d151a87e067518",
    "ac04602a2f052af1211347bcaff87f7bab356a4a7f42f8c6a81edede51549006",
    "8f9b3ef4b66e8f9dd240c9851233f4fb483c73c25b6d23c6459c666edb9cd691",
    "e05192794201c8a8fe1e4a88f12d3367d3d6b568eadb46365557661bff00712e",
    "246684bfc9e1258e5bdc59c3d1c13c0694a331d1f13026ff79f6c4605e6d3678",
    "6e88b890ee4ed6274b8ea4285500dd0865ab71e17010ee505f7e2a2d507c4511",
    "fe959d86a37be9278ef195fbf139b2b8af1b8246b3518208cd00b295d906a98f",
    "b9bce7e081f245b7689a3c2b5e4ed37162dca8cd596e0998b73ddc0ac92a4919",
)
GZIPPED_SHA256: Final = (  # sha256 of ihdp_npci_1.csv.gz, ..
    "fb98ae6c298bc905e96e8fb1173383c891099ead404848f0194006c073fb08db",
    "6f1ffd4c791c9c166005769dfe97a17c444082062331adb834d9b5b2b4a199d9",
    "b990c2e843483661fbd655b84bde059801fc67d43ef5d93ea99287bb32d7a18a",
    "08d22c7a455779972f163357493fbd72550f0a09a75df5ed4303157f1aff52b7",
    "4c3e6c28e55b14b3175c9c7980f4d960efae6c2baa6414077b9c2c5081cdbae2",
    "ae50c9c9b898b634f07e76bb9f6edd7c229c18002f9e733ed8bfc3b1dbecdfb9",
    "584667bb4b5256e5ac347198e1cdc270352f65aca32668cbb21883c491b0a2fb",
    "218ebb0bb83fbb0de5e4d243522fd17895d3a17fff66e91e165c86c1d49bf9a2",
    "22491205f856e5a8a6ecd003707a3b273f483cd74768bab26e3c3c101995460f",
    "603b9adb5eb523b42578696f0ed49b9c1003c3d26addcaecc8684a212464433b",
)
COVARIATES: Final = tuple(f"x{k}" for k in range(1, 26))
BINARY: Final = tuple(f"x{k}" for k in range(7, 26))
ONE_OR_TWO: Final = "x14"  # a binary column that the files code 1 and 2
NAMES: Final = ("treatment", "y_factual", "y_cfactual", "mu0", "mu1", *COVARIATES)
COLUMNS: Final = tuple(Column(name, "user", "numeric") for name in COVARIATES)


@dataclass(frozen=True, kw_only=True)
class IHDP(AbstractDataset):
    """747 children, 139 of them visited, with 25 covariates of a real trial and simulated scores (NPCI, setting A).

    The treated children of nonwhite mothers were left out, so treatment is confounded by the covariates, all of them
    observed. One user per child and one item; outcome = y_factual ~ N(mu_t, 1), in points. `potential`: means mu0 and
    mu1, outcomes y_factual and y_cfactual under their arms. The true mean effect is about 4 points, but 10.5 in
    replication 9. x7..x25 are binary, x14 shifted from {1,2}. Raises DataError, naming the line, on a value that is no
    number or no 0/1, and without both arms.

    Attributes:
        replication: which of the ten simulations.
    """

    replication: Annotated[int, Field(ge=1, le=10)] = 1

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="ihdp",
            domain="health",
            size="747 children, 139 treated, 10 replications",
            licence="none stated with the files; simulated outcomes over the covariates of a public trial",
            urls=(PAGE, "https://doi.org/10.1198/jcgs.2010.08162"),
            sha256={name: sha for source in self.sources for name, sha in source.files.items()},
            columns=COLUMNS,
            outcome="reward",
            resampled_by=("replication",),
            feedback="exposure_logged",
            scale=(-np.inf, np.inf),
            arms=("specialist visits",),
            known_truth=True,
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        name, index = f"ihdp_npci_{self.replication}.csv", self.replication - 1
        official = Source(folder="ihdp", url=f"{RAW}/{name}", archive_member=None, files={name: CSV_SHA256[index]})
        page = f"{PAGE} (datasets/IHDP/csv, gzipped)"
        return (official, Source(folder="ihdp", page=page, files={f"{name}.gz": GZIPPED_SHA256[index]}))

    def load(self, root: Path) -> CausalDataset:
        source, folder = fetch_first(self.sources, root)
        name = next(iter(source.files))
        treatment, outcomes, means, covariates = read_units(folder / name)
        units = np.arange(len(treatment))
        log = InteractionLog(
            user=units,
            item=np.zeros(len(units), np.int64),
            treatment=treatment,
            outcome=outcomes[units, treatment],
            num_users=len(units),
            num_items=1,
            name="ihdp",
        )
        return CausalDataset(
            card=self.card,
            logged=log,
            user_table=covariates,
            item_table=pl.DataFrame({"item": self.card.arms}),
            potential=PotentialOutcomes(
                means=lambda user, item: means[np.broadcast_arrays(user, item)[0]],
                realised=lambda user, item: outcomes[np.broadcast_arrays(user, item)[0]],
            ),
            raw_sha256={name: sha256_of(folder / name)},
        )


def read_units(path: Path) -> tuple[Ints, Floats, Floats, pl.DataFrame]:
    """Return treatment int64[N], drawn outcomes and mean outcomes float32[N,2] under 0 and 1, and the covariates."""
    table = read_delimited(path, ",", list(NAMES), header=False)
    treatment = integers(table, "treatment", path, 1, high=1)
    if len(np.unique(treatment)) < 2:
        raise DataError(f"{path}: every treatment is {treatment[0]}; the file is truncated or corrupt")
    factual, counterfactual, *means = (numbers(table, name, path, 1) for name in NAMES[1:5])
    treated = treatment == 1
    outcomes = np.stack(
        [np.where(treated, counterfactual, factual), np.where(treated, factual, counterfactual)], axis=1
    )
    covariates = pl.DataFrame({name: _covariate(table, name, path) for name in COVARIATES})
    return treatment, outcomes.astype(np.float32), np.stack(means, axis=1).astype(np.float32), covariates


def _covariate(table: pl.DataFrame, name: str, path: Path) -> Doubles:
    if name not in BINARY:
        return numbers(table, name, path, 1)
    least = int(name == ONE_OR_TWO)
    return (integers(table, name, path, 1, low=least, high=least + 1) - least).astype(np.float64)
