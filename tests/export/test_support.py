"""Where a score rests on training rows: cells by hand, and regions of Coat withheld in turn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import require

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.coat import COAT, Coat
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.export.card import describe_support, write_card
from causalrec.export.folder import write_support
from causalrec.export.graph_file import write_graph
from causalrec.export.ids import write_ids
from causalrec.export.levels import MISSING, column_levels
from causalrec.export.network import PairScores
from causalrec.export.scorer import Scorer, id_key
from causalrec.export.support import SupportTable, support_table
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME, Bools, Ints

COLUMNS = (
    Column("age", "user", "category"),
    Column("kind", "item", "category"),
    Column("title", "item", "text"),
    Column("hour", "row", "numeric"),
)


def two_by_two(
    user: list[int], item: list[int], treatment: list[int] | None = None, outcome: list[float] | None = None
) -> SupportTable:
    """Users 0, 1 are young and 2, 3 old; items 0, 1 are red and 2 blue, 3 green."""
    each = np.ones(len(user))
    log = InteractionLog(
        np.array(item),
        (each if treatment is None else np.array(treatment)).astype(np.int64),
        (each if outcome is None else np.array(outcome)).astype(np.float32),
        4,
        user=np.array(user),
        num_users=4,
        columns={"hour": each},
    )
    card = DatasetCard("d", "", "", (), {}, COLUMNS, "click", "explicit")
    users = pl.DataFrame({"age": ["young", "young", "old", "old"]})
    items = pl.DataFrame({"kind": ["red", "red", "blue", "green"], "title": ["a", "b", "c", "d"]})
    return support_table(CausalDataset(card, log, users, items), log)


def cells(support: SupportTable, which: Bools) -> set[str]:
    names = support.users.names, support.items.names
    return {f"{names[0][u]} x {names[1][i]}" for u, i in np.argwhere(which)}


def test_a_cell_is_outside_where_five_rows_were_expected_and_none_came() -> None:
    """10 rows of the young are red, 10 of the old blue: 20 rows, 10 x 10 / 20 = 5 expected in each of four cells."""
    support = two_by_two([0, 1] * 5 + [2, 3] * 5, [0, 1] * 5 + [2] * 10)
    assert cells(support, support.outside) == {
        "age=young x kind=blue",
        "age=old x kind=red",
        "any x kind=green",
        "any x item: no training row",
    }
    assert not support.too_rare.any(), "of green there is no row, which is said once"
    assert support.rows == 20 and support.pairs == (("age", "kind"),)
    assert support.unchecked == {"title": "a column of kind text", "hour": "a column of the row"}


def test_an_empty_cell_that_is_rare_by_chance_is_not_judged() -> None:
    """9 rows of the young are red, 9 of the old blue: 9 x 9 / 18 = 4.5 are expected."""
    support = two_by_two([0, 1, 0] * 3 + [2, 3, 2] * 3, [0, 1, 1] * 3 + [2] * 9)
    assert cells(support, support.too_rare) == {"age=young x kind=blue", "age=old x kind=red"}
    assert "age=old x kind=red" not in cells(support, support.outside)
    assert describe_support(support)["cells_too_rare_to_judge"] == {"age x kind": 2}


def test_an_effect_needs_rows_of_each_treatment() -> None:
    """Each cell holds 20 rows, 30 of the 80 are untreated: 7.5 are expected untreated, and of the old and red 0 are."""
    user, item = [0] * 40 + [2] * 40, ([0] * 20 + [2] * 20) * 2
    treatment = [0, 1] * 20 + [1] * 20 + [0, 1] * 10
    arms = two_by_two(user, item, treatment)
    outside = cells(arms, arms.outside)
    assert "age=old x kind=red" in outside and "age=young x kind=red" not in outside
    exposed = two_by_two(user, item, treatment, [1.0 if t else float("nan") for t in treatment])
    assert exposed.rows == 50, "rows that were not exposed say nothing of an outcome under exposure"


def test_of_many_pairs_of_columns_those_that_the_model_reads_come_first() -> None:
    """15 x 15 = 225 pairs, of which 200 are checked; a hole of the last pair is one that is not."""
    names = {side: [f"{side[0]}{k}" for k in range(15)] for side in ("user", "item")}
    columns = tuple(Column(name, side, "category") for side in names for name in names[side])  # type: ignore[arg-type]
    tables = [pl.DataFrame({name: ["a", "b"] for name in names[side]}) for side in names]
    user = np.repeat([0, 1], 20)
    log = InteractionLog(user, np.ones(40, np.int64), np.ones(40, np.float32), 2, user=user, num_users=2)
    data = CausalDataset(DatasetCard("d", "", "", (), {}, columns, "click", "explicit"), log, *tables)
    support = support_table(data, log, ("u14", "i14"))
    assert len(support.pairs) == 200 and support.pairs[0] == ("u14", "i14") and ("u14", "i3") in support.pairs
    assert len(support.unchecked) == 25 and support.unchecked["u13 x i12"] == "beyond the first 200 pairs of columns"
    assert "u14=a x i14=b" in cells(support, support.outside)
    assert "u13=a x i12=b" not in cells(support, support.outside | support.too_rare)


def test_levels_of_numbers_lists_and_many_categories() -> None:
    rows = np.array([5, 5, 0, 1] + [1] * 116)
    table = pl.DataFrame(
        {
            "year": [1990.0, 1995.0, 1999.0, None] + [1950.0 + k // 10 for k in range(116)],
            "genres": [["a", "b"], ["b"], ["c"], []] + [["a"]] * 116,
            "brand": ["x", "x", "y", None] + [f"b{k}" for k in range(116)],
        }
    )
    kinds = (
        Column("year", "item", "numeric"),
        Column("genres", "item", "multi_hot"),
        Column("brand", "item", "category"),
    )
    levels = column_levels("item", table, kinds, rows)
    names = [{levels.names[k] for k in held if k} for held in levels.held]
    assert "genres=a" in names[0] and "genres=b" in names[0] and not any("genres" in name for name in names[3])
    assert "item: no training row" in names[2] and "year=above 1995" in names[2]
    assert f"year={MISSING}" in names[3]
    bins = sorted({name for each in names for name in each if name.startswith("year=19")})
    assert len(bins) <= 10 and "year=1950" in bins[0], "tenths of the rows, each by its range"
    brands = {name for each in names for name in each if name.startswith("brand=")}
    assert len(brands) == 100 and "brand=x" in brands and "brand=other (20 levels)" in brands
    assert "brand=other (20 levels)" in names[2], "y has no training row"


@pytest.mark.parametrize("first", [1_390_000_000, 0.1234567])
def test_numbers_that_six_digits_do_not_tell_apart_are_in_bins_of_their_own(first: float) -> None:
    """Times of some hours, in seconds, and a narrow range: all begin with the same six digits."""
    values = first + np.arange(100) * (60 if first > 1 else 1e-9)
    levels = column_levels(
        "item", pl.DataFrame({"time": values}), [Column("time", "item", "numeric")], np.ones(100, int)
    )
    assert set(np.bincount(levels.held[:, 1])[2:]) <= {9, 10, 11}, "tenths of the rows"
    assert len({name for name in levels.names if name.startswith("time=")}) == 10


@pytest.fixture(scope="module")
def coat() -> CausalDataset:
    require(COAT)
    return Coat(threshold=3).load(Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache/causalrec/data")))


@pytest.fixture(scope="module")
def folder(coat: CausalDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the graph of a factorisation of Coat, whose support is yet to be written."""
    where, users, items = tmp_path_factory.mktemp("exported"), coat.logged.num_users, coat.logged.num_items
    encoder = MF(EncoderInputs(users, items, (), where, where), width=2)
    model = CausalModel({OUTCOME: RoleNetwork(encoder, Dot(0))}, "logit")
    empty = [np.zeros((count, 0), np.float32) for count in (users, items)]
    predictor = NetworkPredictor(model, FeatureMatrix((), ("item", "user"), empty[0], empty[1]), Naive())
    write_graph(PairScores(predictor, items), "pt2", where / "model.pt2")
    return where


def flag_pairs(coat: CausalDataset, folder: Path, region: Bools) -> Bools:
    """Return which pairs the scorer calls outside, bool[U,I], where the rows of a region were withheld."""
    log = coat.logged
    left = log.take(~region[log.users, log.item])
    no_ids: dict[str, Ints] = {"user": np.zeros(0, np.uint64), "item": np.zeros(0, np.uint64)}  # type: ignore[dict-item]
    write_support(folder, support_table(coat, left), no_ids, np.zeros(log.num_users, bool))  # type: ignore[arg-type]
    write_card(folder, {"ids": {"form": "none", "salt": ""}})
    pairs = np.repeat(np.arange(log.num_users), log.num_items), np.tile(np.arange(log.num_items), log.num_users)
    _, outside = Scorer(folder)(*pairs)
    return np.array([bool(cell) for cell in outside]).reshape(region.shape)


def test_ids_are_row_numbers_where_the_files_name_none(coat: CausalDataset, tmp_path: Path) -> None:
    keys = write_ids(tmp_path, coat, "plain", "salt")
    table = pl.read_parquet(tmp_path / "ids.parquet")
    assert table.filter(pl.col("side") == "user")["id"].to_list() == [str(row) for row in range(290)]
    assert keys["item"].tolist() == [id_key("salt", "item", str(row)) for row in range(300)]


def test_regions_withheld_in_turn_are_flagged_and_others_are_not(coat: CausalDataset, folder: Path) -> None:
    ages, genders = (
        np.array(table.to_list()) for table in (coat.user_table["user_age"], coat.item_table["item_gender"])
    )
    regions = [(age, gender) for age in np.unique(ages) for gender in np.unique(genders)]
    assert len(regions) == 12
    for age, gender in regions:
        region = np.outer(ages == age, genders == gender)
        flagged = flag_pairs(coat, folder, region)
        assert flagged[region].mean() >= 0.95 and flagged[~region].mean() <= 0.05, (age, gender)


def test_a_region_of_three_columns_is_reported_as_not_flagged(coat: CausalDataset, folder: Path) -> None:
    """Men of 20 to 30 with coats of women: each of its cells of two columns holds rows of others."""
    men = (coat.user_table["user_gender"] == "men").to_numpy()
    young = (coat.user_table["user_age"] == "20-30").to_numpy()
    region = np.outer(men & young, (coat.item_table["item_gender"] == "women").to_numpy())
    assert region.mean() > 0.1 and flag_pairs(coat, folder, region)[region].mean() < 0.05
    not_checked = describe_support(support_table(coat, coat.logged))["not_checked"]
    assert isinstance(not_checked, dict) and "three columns or more" in not_checked
