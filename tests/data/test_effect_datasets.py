"""Data sets with effects: rows, arms and truths as the raw files say, draws by their formula, bad rows by line."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeML100K, require
from scipy.special import expit

from causalrec.config.component import validate_component
from causalrec.config.compose import compose_config, validate_config
from causalrec.data import factorisation
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets import hillstrom, ihdp
from causalrec.data.datasets.hillstrom import Hillstrom
from causalrec.data.datasets.ihdp import IHDP
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_uplift import ML100KUplift, exposure_probabilities, predict_or_load
from causalrec.data.factorisation import Factorisation
from causalrec.data.sources import Source
from causalrec.errors import DataError, NotIdentified, RequestError
from causalrec.graph.identify import Adjustment
from causalrec.types import Doubles, Floats

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
Write = Callable[..., Path]


def identify_effect(*overrides: str) -> Adjustment:
    config = validate_config(compose_config(["task=effect", *overrides]))
    return config.components.task.identify(config, config.components.dataset.card)


def all_rows(data: CausalDataset) -> Any:
    """The logged and the randomised rows, by user."""
    assert data.randomised is not None
    log = data.logged.concatenate(data.randomised)
    assert log.user is not None
    return log.take(np.argsort(log.user))


# ---- IHDP


def unit(treatment: object, factual: object, counterfactual: object, mu0: object, mu1: object) -> list[str]:
    covariates = [f"{0.5 + k}" for k in range(6)] + ["0", "1"] * 3 + ["1"] + ["2"] + ["0"] * 11
    return [*map(str, (treatment, factual, counterfactual, mu0, mu1)), *covariates]


UNITS = [unit(1, 5.5, 1.25, 1, 5), unit(0, 2.5, 7, 2, 6), unit(0, 3, 8.5, 3.5, 8)]


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Write replication 2, gzipped or as published, optionally with one row or one field (line and column from 1)."""

    def write(
        rows: list[list[str]] = UNITS, line: int = 1, column: int = 0, value: str = "", *, official: bool = False
    ) -> Path:
        rows = [list(row) for row in rows]
        if column:
            rows[line - 1][column - 1] = value
        content = "".join(",".join(row) + "\n" for row in rows).encode()
        content = content if official else gzip.compress(content)
        path = tmp_path / "ihdp" / f"ihdp_npci_2.csv{'' if official else '.gz'}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        name = "CSV_SHA256" if official else "GZIPPED_SHA256"
        sums = list(getattr(ihdp, name))
        sums[1] = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(ihdp, name, tuple(sums))
        return tmp_path

    return write


@pytest.mark.parametrize("official", [False, True])
def test_ihdp_holds_the_outcome_seen_and_both_in_the_truth(units: Write, official: bool) -> None:
    data = IHDP(replication=2).load(units(official=official))
    log, truth = data.logged, data.potential
    assert log.user is not None and truth is not None and truth.realised is not None
    assert (log.user.tolist(), log.item.tolist(), log.num_items) == ([0, 1, 2], [0, 0, 0], 1)
    assert (log.treatment.tolist(), log.outcome.tolist()) == ([1, 0, 0], [5.5, 2.5, 3])
    assert truth.means(log.user, log.item).tolist() == [[1, 5], [2, 6], [3.5, 8]]
    assert truth.realised(log.user, log.item).tolist() == [[1.25, 5.5], [2.5, 7], [3, 8.5]]
    assert truth.means(np.arange(3)[:, None], np.arange(1)[None, :]).shape == (3, 1, 2)
    assert log.propensity is None and data.randomised is None


def test_ihdp_shifts_the_one_column_that_is_coded_one_and_two(units: Write) -> None:
    table = IHDP(replication=2).load(units(line=1, column=19, value="1")).user_table
    assert table["x14"].to_list() == [0, 1, 1]
    assert table.row(0)[:8] == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 0, 1) and table["x13"].to_list() == [1, 1, 1]
    assert table.columns == [column.name for column in IHDP().card.columns]


@pytest.mark.parametrize(
    ("line", "column", "value", "message"),
    [
        (2, 1, "2", "line 2: treatment '2' is not a whole number in 0..1"),
        (3, 2, "nan", "line 3: y_factual 'nan' is not a finite number"),
        (3, 5, "", "line 3: mu1 '' is not a finite number"),
        (1, 19, "0", "line 1: x14 '0' is not a whole number in 1..2"),
        (2, 30, "0.5", "line 2: x25 '0.5' is not a whole number in 0..1"),
        (2, 6, "high", "line 2: x1 'high' is not a finite number"),
    ],
)
def test_ihdp_refuses_a_bad_value_by_its_line(units: Write, line: int, column: int, value: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        IHDP(replication=2).load(units(UNITS, line, column, value))
    assert str(caught.value).endswith(f"ihdp_npci_2.csv.gz: {message}")


def test_ihdp_refuses_a_short_row_and_a_lone_arm(units: Write) -> None:
    with pytest.raises(DataError, match="line 2 has 29 fields, expected 30"):
        IHDP(replication=2).load(units([UNITS[0], UNITS[1][:-1]]))
    with pytest.raises(DataError, match="every treatment is 0; the file is truncated"):
        IHDP(replication=2).load(units(UNITS[1:]))


def test_ihdp_names_another_file_and_sum_for_each_replication(tmp_path: Path) -> None:
    cards = [IHDP(replication=k).card.sha256 for k in range(1, 11)]
    assert len({name for card in cards for name in card}) == len({s for card in cards for s in card.values()}) == 20
    assert len({IHDP(replication=k).identity(tmp_path) for k in range(1, 11)}) == 10
    official, gzipped = IHDP(replication=10).sources
    assert official.url == f"{ihdp.RAW}/ihdp_npci_10.csv" and list(gzipped.files) == ["ihdp_npci_10.csv.gz"]


def test_ihdp_is_identified_by_all_its_covariates() -> None:
    adjustment = identify_effect("dataset=ihdp")
    assert (adjustment.estimand, adjustment.training.strategy, adjustment.training.assumed) == (
        "effect",
        "backdoor",
        (),
    )
    assert set(adjustment.training.columns) == set(ihdp.COVARIATES) and adjustment.evaluation.strategy == "known truth"


@pytest.mark.parametrize(
    ("replication", "effect"),
    list(enumerate([4.016, 4.051, 4.099, 4.274, 4.162, 4.004, 3.991, 3.854, 10.466, 4.586], start=1)),
)
def test_the_real_ihdp_has_the_published_effect(replication: int, effect: float) -> None:
    dataset = IHDP(replication=replication)
    require(*dataset.sources)
    data = dataset.load(DATA)
    log, truth = data.logged, data.potential
    assert truth is not None and truth.realised is not None and log.user is not None
    assert (len(log), int(log.treatment.sum())) == (747, 139)
    means, realised = truth.means(log.user, log.item), truth.realised(log.user, log.item)
    assert (means[:, 1] - means[:, 0]).mean() == pytest.approx(effect, abs=5e-4)
    assert (realised - means).std() == pytest.approx(1, abs=0.08), "the noise of the simulation"


# ---- Hillstrom

HEADER = list(hillstrom.SCHEMA)


def customer(segment: str, visit: object = 0, conversion: object = 0, spend: object = 0, **other: object) -> list[str]:
    row = dict(zip(HEADER, ["10", "2) $100 - $200", "142.44", "1", "0", "Surburban", "0", "Phone"], strict=False))
    row |= {"segment": segment, "visit": str(visit), "conversion": str(conversion), "spend": str(spend)}
    return list({**row, **{name: str(value) for name, value in other.items()}}.values())


CUSTOMERS = [
    customer("Womens E-Mail", 1),
    customer("No E-Mail", history_segment="7) $1,000 +", history=1003.5),  # quoted: the level holds a comma
    customer("Mens E-Mail", 1, 1, 29.99),
    customer("No E-Mail", 1, zip_code="Rural", recency=3, newbie=1),
    customer("Mens E-Mail", channel="Multichannel"),
    customer("Womens E-Mail", 1, 1, 499),
]


@pytest.fixture
def customers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Write the gzipped file with the publisher's line ends, or the file itself."""

    def write(rows: list[list[str]] = CUSTOMERS, *, official: bool = False) -> Path:
        name = "OFFICIAL" if official else "GZIPPED"
        source: Source = getattr(hillstrom, name)
        path = tmp_path / "hillstrom" / next(iter(source.files))
        path.parent.mkdir(exist_ok=True)
        with path.open("wt", newline="") if official else gzip.open(path, "wt", newline="") as stream:
            csv.writer(stream, lineterminator="\r\n").writerows([HEADER, *rows])
        sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        monkeypatch.setattr(hillstrom, name, dataclasses.replace(source, files=sums))
        return tmp_path

    return write


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize(
    ("outcome", "kind", "seen"),
    [
        ("visit", "click", [1, 0, 1, 1, 0, 1]),
        ("conversion", "click", [0, 0, 1, 0, 0, 1]),
        ("spend", "reward", [0, 0, 29.99, 0, 0, 499]),
    ],
)
def test_hillstrom_has_a_row_for_each_customer(
    customers: Write, outcome: Any, kind: str, seen: list[float], official: bool
) -> None:
    data = Hillstrom(outcome=outcome).load(customers(official=official))
    log = all_rows(data)
    assert log.user.tolist() == list(range(6)) and log.treatment.tolist() == [2, 0, 1, 0, 1, 2]
    assert log.outcome.tolist() == pytest.approx(seen) and log.propensity.tolist() == pytest.approx([1 / 3] * 6)
    assert (data.card.outcome, data.card.arms) == (kind, ("Mens E-Mail", "Womens E-Mail"))
    assert set(data.user_table.columns) == {column.name for column in data.card.columns}
    assert data.user_table["history_segment"][1] == "7) $1,000 +" and data.user_table["zip_code"][0] == "Surburban"
    assert data.user_table["recency"].to_list() == [10, 10, 10, 3, 10, 10]


@pytest.mark.parametrize(
    ("arms", "treatment", "seen"), [("mens", [0, 1, 0, 1], [0, 1, 1, 0]), ("womens", [1, 0, 0, 1], [1, 0, 1, 1])]
)
def test_hillstrom_leaves_the_other_campaign_out(
    customers: Write, arms: Any, treatment: list[int], seen: list[int]
) -> None:
    data = Hillstrom(arms=arms).load(customers())
    log = all_rows(data)
    assert log.treatment.tolist() == treatment and log.outcome.tolist() == seen and len(data.user_table) == 4
    assert log.propensity.tolist() == [0.5] * 4 and len(data.card.arms) == 1


def test_hillstrom_holds_a_share_of_customers_out_by_its_seed(customers: Write) -> None:
    root = customers(CUSTOMERS * 50)

    def held_users(**options: Any) -> tuple[int, ...]:
        data = Hillstrom(**options).load(root)
        assert data.randomised is not None and data.randomised.user is not None and data.logged.user is not None
        assert len(data.logged) + len(data.randomised) == 300
        assert not set(data.logged.user) & set(data.randomised.user)
        return tuple(data.randomised.user.tolist())

    assert len(held_users()) == 90 and len(held_users(test_share=0.5)) == 150
    assert held_users(seed=3) == held_users(seed=3) != held_users(seed=4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (customer("Gents E-Mail"), "segment 'Gents E-Mail' is none of No E-Mail, Mens E-Mail, Womens E-Mail"),
        (customer("No E-Mail", zip_code="Suburban"), "zip_code 'Suburban' is none of Urban, Surburban, Rural"),
        (customer("No E-Mail", history_segment="8) more"), "history_segment '8) more' is none of 1) $0 - $100"),
        (customer("No E-Mail", channel="Fax"), "channel 'Fax' is none of Phone, Web, Multichannel"),
        (customer("No E-Mail", channel=""), "channel is None; the row is truncated or corrupt"),
        (customer("No E-Mail", recency=-1), "recency -1 is negative; the file is corrupt"),
        (customer("No E-Mail", 1, 1, -5), "spend -5.0 is negative; the file is corrupt"),
        (customer("No E-Mail", newbie=2), "newbie 2 is not 0 or 1; the file is corrupt"),
        (customer("No E-Mail", 0, 1, 5), "visit 0 without which there is no conversion 1; the file is corrupt"),
        (customer("No E-Mail", 1, 0, 5), "spend 5.0 does not go with the conversion; the file is corrupt"),
        (customer("No E-Mail", 1, 1, 0), "spend 0.0 does not go with the conversion; the file is corrupt"),
        (customer("No E-Mail", "yes"), "visit 'yes' is not a Int64; corrupt?"),
    ],
)
def test_hillstrom_refuses_a_bad_row_by_its_line(customers: Write, row: list[str], message: str) -> None:
    root = customers([*CUSTOMERS[:2], row, *CUSTOMERS[3:]])
    with pytest.raises(DataError, match=re.escape(f"hillstrom.csv.gz: line 4: {message}")) as caught:
        Hillstrom(arms="womens").load(root)
    assert "\n" not in str(caught.value)


def test_hillstrom_refuses_a_file_without_an_arm_or_a_column(customers: Write) -> None:
    root = customers([row for row in CUSTOMERS if "Mens E-Mail" not in row])
    with pytest.raises(DataError, match="no customer of the segment 'Mens E-Mail'; the file is truncated"):
        Hillstrom().load(root)
    assert len(all_rows(Hillstrom(arms="womens").load(root))) == 4


def test_hillstrom_refuses_a_file_without_a_column(customers: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_effect_datasets.HEADER", [*HEADER[:-1], "dollars"])
    with pytest.raises(DataError, match=r"has no column spend \(it has recency, .*, dollars\)"):
        Hillstrom().load(customers())


def test_hillstrom_is_randomised_in_both_parts() -> None:
    adjustment = identify_effect("dataset=hillstrom")
    assert (adjustment.estimand, adjustment.training.strategy, adjustment.training.columns) == (
        "effect",
        "randomised",
        (),
    )
    assert adjustment.evaluation.strategy == "randomised"


def test_the_real_hillstrom_has_the_published_rates() -> None:
    require(hillstrom.OFFICIAL, hillstrom.GZIPPED)
    data = Hillstrom().load(DATA)
    log = all_rows(data)
    arms = [log.outcome[log.treatment == arm] for arm in range(3)]
    assert [len(seen) for seen in arms] == [21_306, 21_307, 21_387]
    assert [float(seen.mean()) for seen in arms] == pytest.approx([0.1062, 0.1828, 0.1514], abs=5e-5)
    assert data.randomised is not None and len(data.randomised) == 19_200
    assert int(all_rows(Hillstrom(outcome="conversion").load(DATA)).outcome.sum()) == 578
    assert len(all_rows(Hillstrom(arms="mens").load(DATA))) == 21_306 + 21_307


# ---- a factorisation without biases


def test_a_step_follows_the_gradient_of_error_and_penalty() -> None:
    fit = Factorisation(width=1, rate=0.1, decay=0.3, passes=1, link="identity", start=1.0)
    p, q = (float(v) for v in np.random.default_rng(7).normal(size=2).astype(np.float32))
    error = 4 - p * q
    expected = (p + 0.1 * (error * q - 0.3 * p)) * (q + 0.1 * (error * p - 0.3 * q))
    assert fit(np.array([[4]], np.float32), seed=7).item() == pytest.approx(expected, rel=1e-5)
    unseen = fit(np.array([[4]], np.float32), np.zeros((1, 1), np.float32), seed=7).item()
    assert unseen == pytest.approx(p * q, rel=1e-5), "a cell that does not count moves nothing, not even its penalty"


def test_cells_left_out_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.uniform(1, 2, (70, 1)) @ rng.uniform(1, 2, (1, 45))).astype(np.float32)
    seen = (rng.random(truth.shape) < 0.3).astype(np.float32)
    fit = Factorisation(width=1, rate=0.01, decay=0.0, passes=150, link="identity")
    completed = fit(np.where(seen > 0, truth, -9), seen)
    assert np.abs(completed - truth)[seen == 0].max() < 0.1
    monkeypatch.setattr(factorisation, "TILE", 5)
    np.testing.assert_allclose(fit(truth, seen), completed, atol=0.05, err_msg="tiles are a matter of speed")


def test_log_odds_are_fitted_to_shares() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 200)) * 1.5
    shares = (rng.random(odds.shape) < expit(odds)).astype(np.float32)
    fitted_shares = Factorisation(width=2, rate=0.02, decay=0.001, passes=60, link="logit")(shares)
    assert np.corrcoef(fitted_shares.ravel(), expit(odds).ravel())[0, 1] > 0.98
    assert abs(fitted_shares.mean() - shares.mean()) < 0.01
    shrunk = Factorisation(width=2, rate=0.02, decay=0.3, passes=60, link="logit")(shares)
    assert np.abs(shrunk - 0.5).mean() < np.abs(fitted_shares - 0.5).mean() / 2


# ---- uplift over ML-100K

USERS, ITEMS = 150, 100
PAIRS = USERS * ITEMS


@pytest.fixture
def movies(fake_ml100k: FakeML100K, tmp_path: Path) -> Path:
    return fake_ml100k(tmp_path, users=USERS, items=ITEMS, ratings=3000)


def truths(data: CausalDataset) -> tuple[Doubles, Doubles, Doubles]:
    """True means [N,2], drawn outcomes [N,2] and exposure chances [N] of every pair."""
    assert data.potential is not None and data.potential.realised is not None and data.oracle is not None
    user, item = np.divmod(np.arange(data.logged.num_pairs), data.logged.num_items)
    columns = data.potential.means(user, item), data.potential.realised(user, item), data.oracle.propensity(user, item)
    means, realised, chance = (column.astype(float) for column in columns)
    np.testing.assert_array_equal(data.oracle.rate(user, item), columns[0][:, 1])
    return means, realised, chance


def test_means_follow_both_factorisations(movies: Path) -> None:
    log = ML100K(threshold=None).load(movies).logged
    rating, watched = predict_or_load(log, movies / "elsewhere")
    means, _, _ = truths(ML100KUplift(recommendations=20, rating_offset=4.0, watch_power=2.0).load(movies))
    np.testing.assert_allclose(means[:, 0], watched.ravel() ** 2, rtol=1e-5)
    np.testing.assert_allclose(means[:, 1], expit(rating.ravel() - 4), rtol=1e-4)
    assert log.user is not None
    assert np.corrcoef(rating[log.user, log.item], log.outcome)[0, 1] > 0.5
    seen = np.zeros((USERS, ITEMS), bool)
    seen[log.user, log.item] = True
    assert watched[seen].mean() > watched[~seen].mean() + 0.1


def test_exposure_falls_with_the_rank_within_the_user(movies: Path) -> None:
    means, _, chance = truths(ML100KUplift(recommendations=18, rank_power=0.5).load(movies))
    score, by_user = means.mean(axis=1).reshape(USERS, ITEMS), chance.reshape(USERS, ITEMS)
    best_first = np.take_along_axis(by_user, np.argsort(-score, axis=1, kind="stable"), axis=1)
    scale = 18 / (np.arange(1, ITEMS + 1) ** -0.5).sum()
    chances = np.minimum(1 - 1e-6, scale * np.arange(1, ITEMS + 1) ** -0.5)
    np.testing.assert_allclose(best_first, np.tile(chances, (USERS, 1)), rtol=1e-5)


@pytest.mark.parametrize(("wanted", "power"), [(1, 1.0), (30, 1.0), (60, 2.0), (99, 3.0)])
def test_chances_reach_the_wanted_number_when_some_are_certain(wanted: int, power: float) -> None:
    chance = exposure_probabilities(np.arange(100, dtype=np.float32)[None, ::-1], wanted, power)[0].astype(float)
    assert chance.sum() == pytest.approx(wanted, abs=1e-3) and chance.max() <= 1 - 9e-7 and chance.min() >= 9e-7
    free = chance < 0.9999
    scaled = (chance * np.arange(1.0, 101) ** power)[free]
    assert scaled.max() / scaled.min() == pytest.approx(1, rel=1e-4), "those below 1 keep their proportions"
    assert free.sum() < 100 or wanted == 1


def test_the_log_holds_every_pair_without_its_chance(movies: Path) -> None:
    log = ML100KUplift(recommendations=20).load(movies).logged
    assert len(log) == PAIRS and log.codes.tolist() == list(range(PAIRS))
    assert log.propensity is None and set(log.outcome.tolist()) == set(log.treatment.tolist()) == {0, 1}


def test_draws_follow_their_chances_and_know_nothing_of_each_other(movies: Path) -> None:
    data = ML100KUplift(recommendations=20).load(movies)
    means, realised, chance = truths(data)
    log = data.logged
    exposure = log.treatment - chance
    outcome = log.outcome - means[np.arange(PAIRS), log.treatment]
    noise = {"exposure": exposure, "outcome": outcome, "drawn 0": realised[:, 0] - means[:, 0]}
    noise |= {"drawn 1": realised[:, 1] - means[:, 1]}
    products = {(a, b): noise[a] * noise[b] for a in noise for b in noise if a < b}
    products["exposure", "drawn"] = (
        exposure * (realised - means).ravel()[:PAIRS]
    )  # of other pairs: one stream of numbers
    for name, values in [*noise.items(), *products.items()]:
        assert abs(values.sum()) < 4 * np.sqrt((values**2).sum()), name


def test_weighting_by_the_true_chances_finds_the_effect_and_the_difference_of_means_does_not(movies: Path) -> None:
    data = ML100KUplift(recommendations=20).load(movies)
    means, _, chance = truths(data)
    log, effect = data.logged, float((means[:, 1] - means[:, 0]).mean())
    weighted = log.outcome * np.where(log.treatment == 1, 1 / chance, -1 / (1 - chance))
    error = weighted.std() / np.sqrt(PAIRS)
    naive = log.outcome[log.treatment == 1].mean() - log.outcome[log.treatment == 0].mean()
    assert abs(weighted.mean() - effect) < 3 * error
    assert abs(naive - effect) > 6 * error


def test_the_draw_changes_the_log_and_not_the_truth(movies: Path) -> None:
    first, again, other = (ML100KUplift(recommendations=20, draw=draw).load(movies) for draw in (0, 0, 1))
    for column in ("treatment", "outcome"):
        mine, same, fresh = (getattr(data.logged, column) for data in (first, again, other))
        np.testing.assert_array_equal(mine, same)
        assert (mine != fresh).any()
    (means, realised, chance), (_, redrawn, _), (same_means, fresh, same_chance) = map(truths, (first, again, other))
    np.testing.assert_array_equal(means, same_means)
    np.testing.assert_array_equal(chance, same_chance)
    np.testing.assert_array_equal(realised, redrawn)
    assert (realised != fresh).any()


def test_the_factorisations_are_kept_and_named_by_the_ratings(
    movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = ML100K(threshold=None).load(movies).logged, tmp_path / "kept"
    first = predict_or_load(log, folder)
    monkeypatch.setattr(Factorisation, "__call__", lambda *_: pytest.fail("fitted again"))
    for saved, loaded in zip(first, predict_or_load(log, folder), strict=True):
        np.testing.assert_array_equal(saved, loaded)
    monkeypatch.setattr(Factorisation, "__call__", lambda self, target, *_: target)
    other: Floats = log.outcome[::-1].copy()
    predict_or_load(dataclasses.replace(log, outcome=other), folder)
    assert len(list(folder.iterdir())) == 2


def test_a_damaged_file_of_factorisations_is_made_anew(movies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ML100KUplift(recommendations=20).load(movies)
    (path,) = (movies / "ml-100k" / ".causalrec").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:2000])
    ML100KUplift(recommendations=20).load(movies)
    assert capsys.readouterr().err.startswith(f"causalrec: {path}: damaged (") and path.read_bytes() == content


def test_as_many_recommendations_as_movies_are_refused(movies: Path) -> None:
    with pytest.raises(RequestError, match=r"dataset\.recommendations=100: there are 100 movies"):
        ML100KUplift(recommendations=100).load(movies)
    assert len(ML100KUplift(recommendations=99).load(movies).logged) == PAIRS


def test_a_bad_rating_is_refused_before_anything_is_fitted(
    fake_ml100k: FakeML100K, tmp_path: Path, set_line: Callable[[int, str], Callable[[str], str]]
) -> None:
    root = fake_ml100k(tmp_path, edit={"ml-100k.inter": set_line(3, "1\t2\t9\t880000000")})
    with pytest.raises(DataError, match=r"ml-100k\.inter: line 3: rating 9 is outside 1\.\.5"):
        ML100KUplift().load(root)
    assert not (root / "ml-100k" / ".causalrec").exists()


def test_latent_taste_is_assumed_negligible_and_said_so() -> None:
    adjustment = identify_effect("dataset=ml100k_uplift")
    assert adjustment.estimand == "effect" and adjustment.training.assumed == ("taste is negligible",)
    assert set(adjustment.training.columns) == {"affinity", "genre", "popularity", "year"}
    with pytest.raises(NotIdentified, match="taste drive"):
        identify_effect("dataset=ml100k_uplift", "graph.assume=false")


@pytest.mark.network
def test_the_real_movies_have_a_confounded_effect() -> None:
    data = ML100KUplift().load(DATA)
    means, _, chance = truths(data)
    log = data.logged
    assert (log.num_users, log.num_items, len(log)) == (943, 1682, 943 * 1682)
    assert means.mean(axis=0) == pytest.approx([0.0639, 0.1422], abs=0.002)
    assert chance.sum() == pytest.approx(94_300, abs=2) and abs(log.treatment.sum() - 94_300) < 1000
    effect, shown = means[:, 1] - means[:, 0], log.treatment == 1
    assert log.outcome[shown].mean() - log.outcome[~shown].mean() > effect.mean() + 0.05
    assert effect[shown].mean() < 0, "most of what is recommended would be seen anyway"


@pytest.mark.parametrize("name", ["ihdp", "hillstrom", "ml100k_uplift"])
def test_each_says_that_it_has_effects(name: str) -> None:
    card = validate_component("dataset", compose_config([f"dataset={name}"])["dataset"]).build().card
    assert card.feedback == "exposure_logged" and card.arms and card.name == name
    assert card.known_truth == (name != "hillstrom")
