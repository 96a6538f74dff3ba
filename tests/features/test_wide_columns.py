"""A category of many levels is held by its level: the same numbers as written out, in memory that rows alone decide."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import DataError
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.sampled_softmax import SampledSoftmax
from causalrec.features import feature_matrix as feature_matrix_file
from causalrec.features import row_columns
from causalrec.features.design_matrix import design_matrix
from causalrec.features.feature_matrix import FeatureMatrix, require_dense_memory
from causalrec.features.views import feature_matrix
from causalrec.graph.column_balance import balance
from causalrec.graph.one_armed import one_armed_shares
from causalrec.heads.base import AbstractHead
from causalrec.heads.classes import Classes
from causalrec.heads.dot import Dot
from causalrec.heads.s_net import SNet
from causalrec.heads.tarnet import TARNet
from causalrec.models import CausalModel
from causalrec.propensity.logistic import Logistic
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import BatchLoader, LogTensors
from causalrec.types import OUTCOME, Batch

USERS, ITEMS, ROWS = 40, 30, 300
NAMES = np.array([f"c{k}" for k in range(10_000)])
CARD = DatasetCard(
    name="toy",
    domain="",
    licence="",
    urls=(),
    sha256={},
    columns=(
        Column("user", "user", "id"),
        Column("age", "user", "numeric"),
        Column("zip", "user", "category"),
        Column("tags", "item", "multi_hot"),
        Column("price", "item", "numeric"),
        Column("taste", "pair", "numeric"),
        Column("campaign", "row", "category"),
        Column("hour", "row", "numeric"),
    ),
    outcome="click",
    feedback="explicit",
)
OF_SIDES, VIEW = ("age", "price", "tags", "zip"), ("age", "campaign", "hour", "price", "tags", "taste", "zip")


def dataset(rows: int = ROWS, campaigns: int = 12) -> CausalDataset:
    rng = np.random.default_rng(0)
    codes = rng.integers(USERS * ITEMS, size=rows) if rows > ROWS else rng.choice(USERS * ITEMS, rows, replace=False)
    log = InteractionLog(
        item=codes % ITEMS,
        treatment=np.ones(rows, np.int64),
        outcome=rng.integers(2, size=rows).astype(np.float32),
        num_items=ITEMS,
        user=codes // ITEMS,
        num_users=USERS,
        propensity=rng.uniform(0.2, 0.9, rows).astype(np.float32),
        columns={"campaign": NAMES[rng.integers(campaigns, size=rows)], "hour": rng.normal(size=rows)},
    )
    users = pl.DataFrame({"age": rng.normal(size=USERS), "zip": [f"z{k % 9}" for k in range(USERS)]})
    tags = [[f"t{k % 7}", f"t{k % 5}", "all"][: 1 + k % 3] for k in range(ITEMS)]
    items = pl.DataFrame({"tags": tags, "price": rng.normal(size=ITEMS)})
    pairs = {"taste": lambda user, item: (0.1 * user - 0.2 * item).astype(np.float32)}
    return CausalDataset(CARD, log, users, items, pair_features=pairs)


DATA = dataset()


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[FeatureMatrix, FeatureMatrix]]:
    """The same view, every category wide, and written out."""

    def make(view: tuple[str, ...] = VIEW) -> tuple[FeatureMatrix, FeatureMatrix]:
        out = feature_matrix(DATA, view)
        monkeypatch.setattr(row_columns, "WIDE_LEVELS", 3)
        return feature_matrix(DATA, view), out

    return make


Views = Callable[..., tuple[FeatureMatrix, FeatureMatrix]]


def test_its_numbers_are_those_written_out(views: Views) -> None:
    wide, out = views()
    assert wide.names == out.names and out.dense is None and wide.dense is not None and len(wide.dense) == 4
    assert dict(wide.wide_columns) == {"zip": 9, "tags": 8, "campaign": 12}
    short = "age, zip (9 levels), price, tags (8 levels), taste, campaign (12 levels), hour"
    assert ", ".join(wide.short_names) == short
    np.testing.assert_array_equal(wide.of_log(DATA.logged), out.of_log(DATA.logged))
    matrix = wide.matrix_of_log(DATA.logged)
    assert sparse.issparse(matrix) and not sparse.issparse(out.matrix_of_log(DATA.logged))
    np.testing.assert_array_equal(matrix.toarray(), out.of_log(DATA.logged))
    np.testing.assert_array_equal(
        wide.of_pairs(DATA.logged.users, DATA.logged.item), out.of_pairs(DATA.logged.users, DATA.logged.item)
    )
    assert wide.identity != out.identity


def test_balance_and_logistic_regression_are_the_same(views: Views) -> None:
    wide, out = views(("user", *OF_SIDES))
    log = DATA.logged
    designs = [design_matrix(log, features) for features in (wide, out)]
    np.testing.assert_array_equal(designs[0].toarray(), designs[1].toarray())  # type: ignore[union-attr]
    pairs = np.arange(USERS * ITEMS)
    found_balance = [
        balance(f.matrix(log.users, log.item), f.matrix(pairs // ITEMS, pairs % ITEMS), log.propensity, f.names)  # type: ignore[arg-type]
        for f in (wide, out)
    ]
    assert found_balance[0] is not None and found_balance[1] is not None
    assert found_balance[0].before == pytest.approx(found_balance[1].before, abs=1e-6)
    assert found_balance[0].after == pytest.approx(found_balance[1].after, abs=1e-6)
    propensities = []
    for features in (wide, out):
        model = Logistic(l2=(1.0,))
        model.fit(log, features)
        propensities.append(model.predict(log))
    np.testing.assert_allclose(propensities[0], propensities[1], atol=1e-6)


def heads(features: FeatureMatrix) -> Iterator[AbstractHead]:
    yield Dot(len(features))
    yield Classes(len(features), 5, num_classes=3)
    yield TARNet(len(features), 5, 2, width=6, arm_width=4)
    yield SNet(len(features), 5, 2, width=6)


@pytest.mark.parametrize("kind", range(4))
def test_heads_give_the_same_outputs_and_gradients(kind: int, views: Views) -> None:
    both, results = views(), []
    for features in both:
        torch.manual_seed(0)
        head = [*heads(features)][kind]
        for parameter in head.parameters():
            parameter.data.normal_()
        inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
        network = RoleNetwork(MF(inputs, width=3), head, "pair", features).double()
        batch = next(iter(BatchLoader(DATA.logged, LogTensors(DATA.logged, features), Balanced(), "logged", 0, 0, 1)))
        raw = network(batch.map_tensors(lambda column: column.double() if column.is_floating_point() else column))
        outputs = [raw] if isinstance(raw, torch.Tensor) else [*raw.values()]
        sum(output.square().sum() for output in outputs).backward()  # type: ignore[union-attr]
        results.append(
            [output.detach() for output in outputs] + [p.grad for p in network.parameters() if p.grad is not None]
        )
    assert len(results[0]) == len(results[1])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("objective", [Naive(), BPR(), SampledSoftmax()], ids=lambda o: type(o).__name__)
def test_negatives_and_candidates_bring_their_levels(objective: Naive | BPR | SampledSoftmax, views: Views) -> None:
    losses, scores = [], []
    for features in views(OF_SIDES):
        torch.manual_seed(0)
        inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
        model = CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=3), Dot(len(features)), "pair", features)}, "logit")
        for parameter in model.parameters():
            parameter.data.normal_()
        tensors = LogTensors(DATA.logged, features)
        batch: Batch = next(iter(BatchLoader(DATA.logged, tensors, Balanced(), objective.space, 0, 0, 1)))
        losses.append(objective.terms(batch, model(batch))["outcome"].value)
        scores.append(model.predict(DATA.logged.users, DATA.logged.item, features, objective))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)


def test_levels_in_which_an_arm_is_missing_are_strata() -> None:
    """Treatment follows the level: told by the name of the column, at once for all levels."""
    level = np.random.default_rng(0).integers(120, size=60_000)
    shares = one_armed_shares((level < 60).astype(int), np.zeros((60_000, 0), "f4"), (), None, {"zip": level})
    assert shares == {"zip": 1.0}
    coin = np.random.default_rng(1).integers(2, size=60_000)
    assert one_armed_shares(coin, np.zeros((60_000, 0), "f4"), (), None, {"zip": level}) == {}


BOUND = 250e6  # bytes; written out, 200,000 rows of 10,000 levels are 8 GB


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_ten_thousand_levels_of_200_000_rows_fit_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data, few = dataset(200_000, 10_000), dataset(8_000, 10_000)

    def read(data: CausalDataset) -> None:
        features = feature_matrix(data, ("age", "campaign"))
        design = design_matrix(data.logged, features)
        assert design.shape == (len(data.logged), len(features))
        batches = BatchLoader(data.logged, LogTensors(data.logged, features), Balanced(), "logged", 0, 0, 1)
        assert sum(len(batch) for batch in batches) == len(data.logged)

    assert peak(lambda: read(data)) < BOUND
    monkeypatch.setattr(row_columns, "WIDE_LEVELS", 20_000)
    assert peak(lambda: read(few)) > BOUND, "written out, even a 25th of the rows takes more"


def test_what_must_write_it_out_is_refused_with_the_arithmetic(monkeypatch: pytest.MonkeyPatch, views: Views) -> None:
    wide, out = views()
    monkeypatch.setattr(feature_matrix_file, "free_memory", lambda: 10_000)
    with pytest.raises(DataError) as caught:
        require_dense_memory(wide, 300, 32, "learner=linear_dml")
    assert str(caught.value).startswith(
        "learner=linear_dml: 300 rows x 33 columns x 32 bytes are 0.0 GB, and 0.0 GB are free, as it needs every level "
        "of zip (9 levels), tags (8 levels), campaign (12 levels) written out; merge rare levels"
    )
    with pytest.raises(DataError, match="features: 300 rows x 33 columns x 4 bytes"):
        wide.of_log(DATA.logged)
    require_dense_memory(out, 300, 32)
    assert dataclasses.replace(wide, rows=()).row_block(DATA.logged) is None
