"""What every metric of `conf/metric` keeps: exact bootstrap replicates, no dependence on order or batching."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch
import yaml
from torchmetrics import Metric

from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.bootstrap import cluster_weights
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.types import LabelKind

USERS = 12
OF_RANKINGS = {"lists", "sampled"}  # of whole catalogues: no rows are added to them


def declared_metrics() -> dict[str, ComponentConfig]:
    files = sorted((package_folder("conf") / "metric").glob("*.yaml"))
    nodes = [(name, node) for file in files for name, node in yaml.safe_load(file.read_text()).items()]
    return {name: validate_component(f"metric.{name}", node, AbstractMetric) for name, node in nodes}


METRICS = declared_metrics()
CASES = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name, chosen in METRICS.items()
    for kind in get_args(LabelKind)
    if kind in chosen.target.labels - OF_RANKINGS
]


def build_metric(name: str, clusters: int = USERS) -> AbstractMetric:
    metric: AbstractMetric = METRICS[name].build(clusters)
    return metric


def rows(kind: LabelKind, seed: int = 0) -> Scored:
    """Rows with ties; user 10 has no positive, user 11 no row."""
    rng = np.random.default_rng(seed)
    is_choice = kind in ("binary", "ranking")  # few, low ones too, in lists so long that the first 10 miss some
    user = np.concatenate([np.arange(11), rng.integers(0, 11, size=300 if is_choice else 180)])
    prediction = rng.random(len(user)).round(1) * 0.9 + 0.05
    if is_choice:
        label = (rng.random(len(user)) < 0.1 + 0.1 * prediction).astype(np.float32)
    else:
        label = (rng.integers(0, 6, size=len(user)) if kind == "graded" else rng.random(len(user))).astype(np.float32)
    label[user == 10] = 0
    columns = prediction.astype(np.float32), label, user
    scored = Scored(*(torch.from_numpy(column) for column in columns), 0.4)
    return scored if kind not in ("effect", "uplift") else of_effects(scored, kind, rng)


def of_effects(scored: Scored, kind: LabelKind, rng: np.random.Generator) -> Scored:
    """The same rows, as effects between -1 and 1; outcomes are likelier under treatment where the effect is high."""
    effect = (2 * scored.prediction - 1).numpy()
    propensity = rng.uniform(0.3, 0.7, len(effect)).astype(np.float32)
    treatment = (rng.random(len(effect)) < propensity).astype(np.int64)
    outcome = (rng.random(len(effect)) < 0.5 + effect * (treatment - 0.5)).astype(np.float32)
    tensors = [torch.from_numpy(column) for column in (effect, outcome, treatment, propensity)]
    label = tensors[1] if kind == "uplift" else 2 * scored.label - 1
    others = {"treatment": tensors[2], "propensity": tensors[3], "drawn_effect": label + torch.from_numpy(effect)}
    return dataclasses.replace(scored, prediction=tensors[0], label=label, **others)


def take(scored: Scored, index: torch.Tensor) -> Scored:
    return scored.where(index)


def resample(scored: Scored, times: np.ndarray) -> Scored:
    """Build the resampled data set: user u stands in it `times[u]` times, each time as a user of its own."""
    row_blocks, clusters = [], []
    copies = [user for user, count in enumerate(times) for _ in range(int(count))]
    for new, user in enumerate(copies):
        mine = torch.nonzero(scored.cluster == user).squeeze(1)
        row_blocks.append(mine)
        clusters.append(torch.full((len(mine),), new))
    return dataclasses.replace(take(scored, torch.cat(row_blocks)), cluster=torch.cat(clusters))


def value(name: str, scored: Scored, clusters: int = USERS) -> float:
    metric = build_metric(name, clusters)
    metric.update(scored)
    return float(metric.compute())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_replicates_are_the_metric_of_the_resampled_data_set(name: str, kind: LabelKind) -> None:
    scored, weights = rows(kind), cluster_weights(USERS, 40, 1)
    metric = build_metric(name)
    metric.update(scored)
    replicates = metric.replicates(torch.from_numpy(weights))
    assert replicates.shape == (40,)
    expected = [value(name, resample(scored, row)) for row in weights]
    replicates = replicates.abs() if metric.absolute else replicates
    np.testing.assert_allclose(replicates.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert len(set(expected)) > 10


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_weights_of_one_give_the_value(name: str, kind: LabelKind) -> None:
    metric = build_metric(name)
    metric.update(rows(kind))
    replicates = metric.replicates(torch.ones(1, USERS, dtype=torch.float64))
    assert float(replicates[0]) == pytest.approx(float(metric.compute()), rel=1e-12)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_neither_the_order_of_rows_nor_the_names_of_users_matter(name: str, kind: LabelKind) -> None:
    scored = rows(kind)
    rng = np.random.default_rng(2)
    shuffled = take(scored, torch.from_numpy(rng.permutation(len(scored.label))))
    renamed = dataclasses.replace(shuffled, cluster=torch.from_numpy(rng.permutation(USERS))[shuffled.cluster])
    assert value(name, renamed) == pytest.approx(value(name, scored), rel=1e-9)


@pytest.mark.parametrize("split", ["by user", "across users"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_two_updates_equal_one(name: str, kind: LabelKind, split: str) -> None:
    scored = rows(kind)
    first = scored.cluster < 5 if split == "by user" else torch.arange(len(scored.label)) < 40
    metric = build_metric(name)
    for mask in (first, ~first):
        metric.update(take(scored, torch.nonzero(mask).squeeze(1)))
    assert float(metric.compute()) == pytest.approx(value(name, scored), rel=1e-9)
    weights = torch.from_numpy(cluster_weights(USERS, 5, 3))
    single = build_metric(name)
    single.update(scored)
    np.testing.assert_allclose(metric.replicates(weights), single.replicates(weights), rtol=1e-9)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_metric_is_a_torchmetric_that_forgets_when_reset(name: str, kind: LabelKind) -> None:
    metric = build_metric(name)
    assert isinstance(metric, Metric)
    metric.update(rows(kind, seed=9))
    metric.reset()
    metric.update(rows(kind))
    assert float(metric.compute()) == value(name, rows(kind))
    copy = metric.clone()
    copy.reset()
    assert float(copy(rows(kind, seed=9))) == pytest.approx(value(name, rows(kind, seed=9)), rel=1e-9)
    assert float(metric.compute()) == value(name, rows(kind))


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_which_labels_and_which_direction(name: str) -> None:
    metric = build_metric(name)
    assert metric.labels and metric.labels <= set(get_args(LabelKind))
    if metric.labels <= OF_RANKINGS:
        return
    better = metric.higher_is_better
    kind: LabelKind = sorted(metric.labels - OF_RANKINGS or metric.labels)[0]  # type: ignore[assignment]
    scored = rows(kind)
    if getattr(metric, "k", 0) >= int(torch.bincount(scored.cluster).max()):
        return  # all rows of a user are among its k best
    top = float(scored.label.max())
    good = dataclasses.replace(scored, prediction=scored.label / top if "log" in name else scored.label)
    bad = dataclasses.replace(scored, prediction=top - scored.label)
    constant = dataclasses.replace(scored, prediction=torch.full_like(scored.prediction, float(scored.label.mean())))
    if kind == "uplift":
        good, bad = scored, dataclasses.replace(scored, prediction=-scored.prediction)
    if better is None:  # bias, a remainder: perfect predictions give 0; or it is of the outcomes alone
        assert value(name, good) == 0 or value(name, good) == value(name, bad)
    elif value(name, good) == value(name, bad):  # resolution: what is wrong throughout tells rows apart as well
        assert (value(name, good) > value(name, constant)) == better
    else:
        assert (value(name, good) > value(name, bad)) == better
