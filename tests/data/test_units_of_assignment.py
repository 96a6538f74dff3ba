"""Rows that one assignment of treatment covers stay together, in every division of the rows of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from causalrec.commands.data_check import RequestCheck
from causalrec.config.compose import compose_all, compose_and_check, normalise_overrides, validate_group
from causalrec.config.schema import ExperimentConfig
from causalrec.data.assignment_unit import mark_units, require_overlap, unit_ranks
from causalrec.data.audit import audit
from causalrec.data.card import Column, ColumnEntity, DatasetCard
from causalrec.data.clusters import cluster_axes, one_of
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.logged import LoggedRows
from causalrec.data.split.auto import Auto
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.few_shot import FewShot
from causalrec.data.split.random import Random
from causalrec.data.split.splits import Splits
from causalrec.data.split.temporal import Temporal
from causalrec.data.split.whole_units import WholeUnits
from causalrec.data.torn_units import torn_units
from causalrec.errors import DataError, RequestError
from causalrec.estimators.cross_fitting import fold_of
from causalrec.learners.table_columns import TableColumns, log_to_fit
from causalrec.prepared import PreparedData
from causalrec.records.record_sections import audit_section
from causalrec.running.prepare import plan_run, prepare_data
from causalrec.running.recording import planned_record
from causalrec.running.reopen import check_same_rows
from causalrec.training.datamodule import LogTensors
from causalrec.training.folds import fold_logs
from causalrec.types import Ints

USERS, ROWS, ITEMS = 60, 6, 12
USER = np.repeat(np.arange(USERS), ROWS)
HOUSE = USER // 3
CARD = DatasetCard(
    name="toy",
    domain="test",
    licence="none",
    urls=(),
    sha256={},
    columns=(
        Column("user", "user", "id"),
        Column("item", "item", "id"),
        Column("house", "user", "category"),
        Column("shop", "row", "numeric"),
    ),
    outcome="reward",
    feedback="exposure_logged",
    arms=("treated",),
    randomised_training=True,
    repeats="allowed",
)


def assign_arms(count: int, arms: int = 2, seed: int = 0) -> Ints:
    """An arm for each of `count` units, evenly."""
    return np.random.default_rng(seed).permutation(np.arange(count) % arms)


def log_of(treatment: Ints, seed: int = 0, **columns: Any) -> InteractionLog:
    rng, rows = np.random.default_rng(seed), len(USER)
    settings: dict[str, Any] = {"item": rng.integers(ITEMS, size=rows), "user": USER, "columns": {"shop": HOUSE * 1.0}}
    settings |= {"propensity": np.full(rows, 0.5, np.float32), "time": rng.permutation(rows), **columns}
    return InteractionLog(
        treatment=treatment,
        outcome=rng.normal(size=rows).astype(np.float32),
        num_items=ITEMS,
        num_users=USERS,
        name="toy",
        **settings,
    )


def dataset_of(log: InteractionLog, test: InteractionLog | None = None, **card: Any) -> CausalDataset:
    users = pl.DataFrame({"user": range(USERS), "house": [f"h{k // 3}" for k in range(USERS)]})
    items = pl.DataFrame({"item": range(ITEMS)})
    return CausalDataset(dataclasses.replace(CARD, **card), log, users, items, test)


BY_USER = log_of(assign_arms(USERS)[USER])
ITEM = np.random.default_rng(3).integers(ITEMS, size=len(USER))
BY_ITEM = log_of(assign_arms(ITEMS)[ITEM], item=ITEM)
BY_ROW = log_of(assign_arms(len(USER)))


def columns_of(log: InteractionLog, level: str) -> Ints:
    ids = {"user": log.user, "item": log.item, "house": None if log.user is None else log.user // 3}[level]
    assert ids is not None
    return ids


def require_apart(splits: Splits, level: str) -> None:
    """No unit of a level is on two sides, and each side has both arms."""
    logs = [splits.train, splits.validation, *([] if splits.test_is_randomised else [splits.test])]
    units = [np.unique(columns_of(log, level)) for log in logs]
    assert len(np.unique(np.concatenate(units))) == sum(map(len, units))
    assert all(len(np.unique(log.treatment)) == 2 for log in logs)


@pytest.mark.parametrize(("log", "level"), [(BY_USER, "user"), (BY_ITEM, "item")])
def test_auto_holds_out_whole_units_before_it_looks_at_times_and_says_so(log: InteractionLog, level: str) -> None:
    data = dataset_of(log)
    splits = Auto()(data)
    require_apart(splits, level)
    assert splits.train.unit_level == splits.test.unit_level == level
    report = audit(data, splits, Auto())
    words = f"(picked by split=auto: treatment is constant within {one_of(level)})"
    assert report.split == f"whole units of assignment {words}" and report.assignment_unit == level
    assert report.unseen_rule == "keep" and not [line for line in report.warnings if "tears" in line]
    assert WholeUnits()(data).hashes == splits.hashes


def test_a_named_column_is_a_level_and_the_one_of_fewest_units_is_the_unit() -> None:
    data = mark_units(dataset_of(log_of(assign_arms(USERS // 3)[HOUSE])), ["house", "shop"])
    assert data.logged.unit_level == "house", "users and shops are constant too, and houses were named first"
    require_apart(Auto()(data), "house")
    by_shop = mark_units(dataset_of(log_of(assign_arms(USERS // 3)[HOUSE])), ["shop"])
    assert by_shop.logged.unit is not None
    assert len(np.unique(by_shop.logged.unit * 100 + HOUSE)) == len(np.unique(by_shop.logged.unit)) == USERS // 3
    assert mark_units(data, []) is data, "marked once"
    assert mark_units(dataset_of(BY_USER), ["house"]).logged.unit_level == "user", "houses have both arms"


def test_where_treatment_varies_within_all_levels_nothing_changes() -> None:
    data = dataset_of(BY_ROW)
    marked = mark_units(data, ["house"])
    assert marked.logged.unit is None and marked.logged.unit_level == "row"
    assert Auto()(data).hashes == Temporal()(data).hashes
    exposed = dataset_of(dataclasses.replace(BY_ROW, treatment=np.ones(len(USER), np.int64)), arms=())
    assert Auto()(exposed).train.unit is None and Auto()(exposed).hashes == Temporal()(exposed).hashes


def test_beside_a_randomised_part_the_validation_rows_are_whole_units() -> None:
    data = dataset_of(BY_USER, BY_ROW, randomised="drawn", fresh_test_labels=True)
    splits = Auto()(data)
    require_apart(splits, "user")
    assert len(splits.test) == len(BY_ROW) and splits.test.unit is None
    assert torn_units(splits) is None, "the test has its own assignment"
    same = dataset_of(BY_USER, log_of(BY_USER.treatment, seed=9), randomised="drawn", fresh_test_labels=True)
    warning = torn_units(Auto()(same))
    assert warning is not None and warning.endswith("noise may pass for an effect; set split=cold_users")
    sample = Random(propensity_sample=0.2)(same)
    assert sample.randomised_sample is not None and len(sample.randomised_sample) == 72
    assert not np.isin(sample.randomised_sample.user, sample.test.user).any(), "whole units are set aside"


@pytest.mark.parametrize("split", [Random(), Temporal(), FewShot(base=Random(unseen="keep"), train_size=200)])
def test_a_split_that_tears_units_is_warned_of_with_their_share_and_the_mend(split: AbstractSplit) -> None:
    data = dataset_of(BY_USER)
    splits = split(data)
    (line,) = [line for line in audit(data, splits, split).warnings if "tears" in line]
    shared = int(np.isin(columns_of(splits.test, "user"), columns_of(splits.train, "user")).sum())
    rows = f"{shared} of {len(splits.test)} test rows ({shared / len(splits.test):.1%})"
    assert line.startswith(f"treatment is constant within a user, and the split tears users: {rows}")
    assert line.endswith("set split=auto") and "\n" not in line


def test_a_level_of_one_unit_an_arm_names_the_arms_and_is_no_unit() -> None:
    variants = log_of(BY_USER.treatment, item=BY_USER.treatment)
    assert mark_units(dataset_of(variants)).logged.unit_level == "user"
    by_row = log_of(BY_ROW.treatment, item=BY_ROW.treatment)
    assert mark_units(dataset_of(by_row)).logged.unit_level == "row"
    assert cluster_axes(dataset_of(by_row), by_row, "auto", "row") == ("user",), "two clusters are none"
    with pytest.raises(RequestError, match="constant within an item"):
        require_overlap(dataset_of(by_row), ["item"])


def test_too_few_units_to_hold_out_leave_the_split_as_it_was_and_are_warned_of() -> None:
    few = dataset_of(log_of((ITEM % 5 < 2).astype(np.int64), item=ITEM % 5))
    assert mark_units(few).logged.unit_level == "item"
    assert Auto()(few).hashes == Temporal()(few).hashes
    (line,) = [line for line in audit(few, Auto()(few), Auto()).warnings if "constant" in line]
    assert line == (
        "treatment is constant within an item, and an arm has 2: too few to hold any out, so that what differs between "
        "them passes for an effect"
    )
    with pytest.raises(DataError, match=r"split=whole_units: an arm has 2 of the units of assignment \(item\)"):
        WholeUnits()(few)
    rough = dataset_of(log_of((ITEM % 6 < 3).astype(np.int64), item=ITEM % 6))
    require_apart(Auto()(rough), "item")
    assert any("cross-fitted by others" in line for line in audit(rough, Auto()(rough), Auto()).warnings)


def test_a_coarser_column_that_nobody_named_is_pointed_out() -> None:
    def lines_of(data: CausalDataset) -> list[str]:
        return [line for line in audit(data, Auto()(data), Auto()).warnings if "house too" in line]

    data = dataset_of(log_of(assign_arms(USERS // 3)[HOUSE]))
    (line,) = lines_of(data)
    assert line.startswith("treatment is constant within a house too, not only within a user: where it was assigned by")
    assert line.endswith("set evaluation.cluster=[house]")
    assert lines_of(mark_units(data, ["house"])) == lines_of(dataset_of(BY_ROW)) == []


def test_dropping_test_rows_of_unseen_ids_leaves_none_and_says_so() -> None:
    with pytest.raises(DataError, match=r"split\.unseen=drop leaves none; set split\.unseen=keep$"):
        Auto(unseen="drop")(dataset_of(BY_USER))


def test_few_shot_rows_of_whole_units_stay_apart() -> None:
    data = dataset_of(BY_USER)
    require_apart(FewShot(base=Auto(), train_size=100)(data), "user")


@pytest.mark.parametrize("arms", [2, 3])
def test_every_side_has_every_arm_however_few_its_units_are(arms: int) -> None:
    treatment = np.minimum(np.arange(USERS), 3 * (arms - 1) - 1) // 3 if arms == 3 else (np.arange(USERS) < 3) * 1
    treatment = np.where(np.arange(USERS) < 3 * (arms - 1), treatment, arms - 1 if arms == 3 else 0)
    splits = WholeUnits()(dataset_of(log_of(treatment[USER])))
    for log in (splits.train, splits.validation, splits.test):
        assert len(np.unique(log.treatment)) == arms
    assert not np.isin(splits.test.user, splits.train.user).any()


def test_the_test_has_two_units_of_each_arm_where_there_are_some_and_few_are_warned_of() -> None:
    data = dataset_of(log_of((ITEM % 2).astype(np.int64), item=ITEM))  # six of each arm
    assert len(np.unique(Auto()(data).test.item)) == 2
    rng = np.random.default_rng(0)
    many = rng.integers(16, size=len(USER))
    log = dataclasses.replace(log_of((many % 2).astype(np.int64), item=many % ITEMS), item=many, num_items=16)
    data = dataclasses.replace(dataset_of(BY_USER), logged=log, item_table=pl.DataFrame({"item": range(16)}))
    splits = Auto()(data)
    assert len(np.unique(splits.test.item)) == 4 and len(np.unique(splits.train.item)) == 10
    assert "the test has 4 units of assignment (item): few to resample" in "\n".join(
        audit(data, splits, Auto()).warnings
    )


def test_units_are_ranked_arm_by_arm_whatever_their_ids() -> None:
    ranks = unit_ranks(USER * 7 + 5, BY_USER.treatment)
    assert sorted(set(ranks.tolist())) == list(range(USERS))
    assert (np.diff(BY_USER.treatment[np.argsort(ranks, kind="stable")]) >= 0).all()
    for k in range(4):
        assert BY_USER.treatment[ranks % 4 == k].sum() in (42, 48), "30 treated users of six rows, dealt to four"


def test_logs_of_units_join_logs_of_units_alone() -> None:
    marked = mark_units(dataset_of(BY_USER)).logged
    assert len(marked.take(np.arange(5)).concatenate(marked)) == 5 + len(marked)
    with pytest.raises(DataError, match=r"toy: toy has other units of assignment; mark the units of both first"):
        marked.concatenate(BY_USER)


@pytest.mark.parametrize(
    ("log", "adjusted", "columns", "level"),
    [
        (BY_USER, "user", (), "user"),
        (BY_ITEM, "item", (), "item"),
        (log_of(assign_arms(USERS // 3)[HOUSE]), "house", ("house",), "house"),
        (log_of(assign_arms(USERS // 3)[HOUSE]), "user", ("house",), "user"),
        (log_of(assign_arms(USERS // 3)[HOUSE]), "house", (), "house"),
    ],
)
def test_an_id_that_has_one_arm_alone_cannot_be_adjusted_for(
    log: InteractionLog, adjusted: str, columns: tuple[str, ...], level: str
) -> None:
    with pytest.raises(RequestError) as caught:
        require_overlap(dataset_of(log), [adjusted], columns)
    message, where = str(caught.value), f"treatment is constant within {one_of(level)}"
    assert message.startswith(f"graph: the effect is adjusted for {adjusted}, but {where}")
    assert "\n" not in message
    require_overlap(dataset_of(BY_ROW), [adjusted], columns)
    other: dict[str, ColumnEntity] = {"user": "item", "item": "user", "house": "item"}
    require_overlap(dataset_of(log), [other[adjusted]], columns)


SETTINGS = ["user=user", "item=item", "outcome=y", "kind=reward", "threshold=null", "exposure=t", "arms=[treated]"]
SETTINGS += ["feedback=exposure_logged", "repeats=allowed", "randomised_log=true", "self_selected=false"]
SETTINGS += ["users={columns: {x: numeric, house: category}}", "row_columns={w: numeric}"]
EDGES = 'graph.edges=["x, w, user, item -> outcome","exposure -> outcome"]'


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log whose treatment was drawn by user."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    treatment, x, ability = assign_arms(USERS)[USER], rng.normal(size=USERS), rng.normal(size=USERS)
    outcome = ability[USER] + treatment + rng.normal(size=len(USER))
    lines = [
        f"u{user},i{item},{y:.4f},{arm},{x[user]:.4f},h{user // 3},{w:.3f}"
        for user, item, y, arm, w in zip(USER, ITEM, outcome, treatment, rng.normal(size=len(USER)), strict=True)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user,item,y,t,x,house,w", *lines]) + "\n")
    return folder


def config_of(tables: Path, *overrides: str) -> ExperimentConfig:
    keys = [f"dataset.{setting}" for setting in (*SETTINGS, f"folder={tables}")]
    chosen = ["task=effect", "dataset=csv", *keys, EDGES, *overrides]
    return compose_all([normalise_overrides(chosen)])[0]


def prepare(tables: Path, *overrides: str) -> PreparedData:
    config = config_of(tables, *overrides)
    return prepare_data(config, plan_run(config))


def test_each_division_of_a_run_keeps_units_together(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    config = config_of(tables)
    prepared = prepare_data(config, plan_run(config))
    require_apart(prepared.splits, "user")
    assert prepared.folds.count == 4 and prepared.cluster_axes == ("user",)
    assert prepared.audit.cluster_axes == ("user",) and prepared.audit.assignment_unit == "user"
    for train, held in fold_logs(prepared.train, prepared.folds.count):
        assert not np.isin(train.user, held.user).any() and len(np.unique(held.treatment)) == 2
        assert_halves_of_users(train, prepared)
    rows = TableColumns.from_views(config, prepared).rows(log_to_fit(prepared), 1, binary=False)
    (axis,) = rows.clusters
    assert rows.groups is not None
    np.testing.assert_array_equal(rows.groups, log_to_fit(prepared).user)
    np.testing.assert_array_equal(axis, log_to_fit(prepared).user)
    notes = config.components.task.footnotes(config, prepared)
    assert notes[-1] == "Intervals cluster rows by user."


def assert_halves_of_users(train: InteractionLog, prepared: PreparedData) -> None:
    """The two networks of cross-fitting learn of users apart, each of both arms."""
    tensors = LogTensors(train, prepared.features)
    for rows in LoggedRows(batch_size=len(train)).epoch(train, "logged", 0, 0):
        batch = tensors.batch(rows)
        half, user = fold_of(batch), batch.user
        assert user is not None and 0.4 < float(half.mean()) < 0.6
        assert not np.isin(user[half == 0].numpy(), user[half == 1].numpy()).any()
        for k in (0, 1):
            assert len(torch.unique(batch.treatment[half == k])) == 2


def test_a_run_of_rows_at_random_says_that_it_tears_units(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    prepared = prepare(tables, "split=random")
    assert any("the split tears users" in line and "set split=auto" in line for line in prepared.audit.warnings)


def test_a_run_opened_again_says_where_its_rows_are_held_out_otherwise(
    tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tables)
    config, torn = config_of(tables), prepare(tables, "split=random")
    plan = plan_run(config)
    prepared = prepare_data(config, plan)
    record = dataclasses.replace(planned_record(config, plan, "alone"), audit=audit_section(prepared.audit))
    assert record.audit.assignment_unit == "user" and record.audit.cluster_axes == ("user",)
    check_same_rows(record, prepared.audit)
    with pytest.raises(DataError, match=r"test, train, validation rows are not those of its record: this version"):
        check_same_rows(record, torn.audit)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.cluster=[x0]", "evaluation.cluster: x0 holds numbers that are not whole, and makes no clusters"),
        ("evaluation.cluster=[z9]", "evaluation.cluster: effect_simulation has no column 'z9'"),
    ],
)
def test_data_check_judges_clusters_too(override: str, message: str) -> None:
    plain = compose_and_check(normalise_overrides(["task=effect", override]))
    dataset = validate_group(plain, "dataset").build()
    problems = RequestCheck(plain, dataset)(dataset.load(Path()))
    (line,) = [problem.message for problem in problems if "cluster" in problem.message]
    assert line.startswith(message)


def test_a_run_that_adjusts_for_its_unit_is_refused_before_a_fit(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    edges = EDGES.replace('"exposure', '"user -> exposure","exposure')
    with pytest.raises(RequestError, match=r"^graph: the effect is adjusted for user, but treatment is constant"):
        prepare(tables, edges, "dataset.randomised_log=false")
