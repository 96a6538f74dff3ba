"""Falsification: a graph the data contradict fails by name, and what cannot be tested never passes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

import causalrec
from causalrec import cli
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.datasets.hillstrom import Hillstrom
from causalrec.data.datasets.ihdp import IHDP
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.graph.backdoor import adjustment_set
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.falsify import Independence, falsify, holm, untestable_reason

CONF = Path(causalrec.__file__).parents[1] / "conf"
CARDS = {data.card.name: data.card for data in (Hillstrom(), IHDP(), ML100KSemisynthetic())}
OUTCOME = [f"x{k} -> outcome" for k in range(5)]


def graph(*edges: str, latent: tuple[str, ...] = ()) -> CausalGraph:
    return CausalGraph(edges=[*edges, "exposure -> outcome"], latent=list(latent))


def dataset(log: InteractionLog, kinds: dict[str, str] | None = None, /, **columns: Any) -> CausalDataset:
    """A log whose columns are of its users."""
    kinds = kinds or {}
    card = DatasetCard(
        name="toy",
        domain="test",
        licence="none",
        urls=(),
        sha256={},
        columns=tuple(Column(name, "user", kinds.get(name, "numeric")) for name in columns),  # type: ignore[arg-type]
        outcome="reward",
        feedback="exposure_logged" if log.has_arms else "explicit",
        arms=("one",) if log.has_arms else (),
    )
    items = pl.DataFrame({"item": [str(k) for k in range(log.num_items)]})
    return CausalDataset(card, log, pl.DataFrame(columns), items)


def treatment_log(treatment: Any, outcome: Any, users: Any = None) -> InteractionLog:
    user = np.arange(len(treatment)) if users is None else users
    return InteractionLog(
        np.zeros(len(treatment), np.int64),
        np.asarray(treatment, np.int64),
        np.asarray(outcome, np.float32),
        1,
        user=user,
        num_users=int(user.max()) + 1,
    )


def world(seed: int = 0, units: int = 240) -> tuple[CausalDataset, Any]:
    """Column a drives exposure, b only the outcome."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, units))
    exposure = (a + rng.logistic(size=units) / 2 > 0).astype(np.int64)
    outcome = exposure + a + b + rng.normal(size=units)
    return dataset(treatment_log(exposure, outcome), a=a, b=b), exposure


TRUE = ("a -> exposure", "a -> outcome", "b -> outcome")


@pytest.mark.long
def test_the_true_graph_of_the_simulation_passes_and_one_that_lacks_a_cause_fails_by_its_name() -> None:
    data = EffectSimulation(units=600).load(Path())
    falsification = falsify(graph("x0 -> exposure", "x1 -> exposure", *OUTCOME), data, rows=120, permuted=4)
    assert (falsification.verdict, falsification.rows, falsification.tested, falsification.violated) == (
        "passes",
        120,
        16,
        (),
    )
    assert falsification.no_worse is not None and falsification.alike is not None and falsification.no_worse < 0.2
    wrong = falsify(graph("x0 -> exposure", *OUTCOME), data, rows=120, permuted=1)
    assert wrong.verdict == "fails"
    assert {(independence.left, independence.right) for independence in wrong.violated} == {("exposure", "x1")}
    assert wrong.violated[0].p_value < 1e-3
    assert "rejected at 1% (Holm), " in wrong.why and " of them about exposure or outcome" in wrong.why


@pytest.mark.long
def test_few_true_graphs_fail() -> None:
    assert [falsify(graph(*TRUE), world(seed)[0], permuted=1).verdict for seed in range(12)].count("fails") <= 1


@pytest.mark.long
def test_dependent_columns_are_told_apart_from_what_is_said_of_exposure() -> None:
    data, exposure = world()
    a = data.user_table["a"].to_numpy()
    twin = dataset(data.logged, a=a, b=data.user_table["b"].to_numpy(), c=a + 0.1 * exposure.std())
    falsification = falsify(graph(*TRUE, "c -> exposure", "c -> outcome"), twin)
    assert (
        falsification.verdict,
        [(independence.left, independence.right) for independence in falsification.violated],
    ) == ("incomplete", [("a", "c")])
    reason = (
        "none of them about exposure or outcome; columns depend on each other: draw edges between them; the adjustment"
    )
    assert f"{reason} holds whatever they are" in falsification.why


def test_a_dependence_on_what_follows_exposure_is_no_mere_matter_of_columns() -> None:
    """What is taken for a cause of the outcome follows exposure by m: adjusting for all parents does not help."""
    rng = np.random.default_rng(0)
    exposure = (rng.random(240) < 0.5).astype(np.int64)
    m = exposure + rng.normal(size=240)
    c = m + 0.3 * rng.normal(size=240)
    log = world()[0].logged
    rows = replace(
        log.take(np.arange(240)), treatment=exposure, outcome=(m + c + rng.normal(size=240)).astype(np.float32)
    )
    falsification = falsify(graph("exposure -> m", "m -> outcome", "c -> outcome"), dataset(rows, m=m, c=c))
    assert falsification.verdict == "fails" and ("c", "m") in {
        (independence.left, independence.right) for independence in falsification.violated
    }


def test_dependent_columns_fail_a_graph_whose_adjustment_rests_on_their_independence() -> None:
    """a is said to drive exposure alone and b the outcome alone: nothing is adjusted for, unless a and b depend."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=240)
    b = a + 0.5 * rng.normal(size=240)
    exposure = rng.integers(2, size=240)
    outcome = exposure + 2 * b + rng.normal(size=240)
    falsification = falsify(
        graph("a -> exposure", "b -> outcome"), dataset(treatment_log(exposure, outcome), a=a, b=b), permuted=1
    )
    assert [(independence.left, independence.right) for independence in falsification.violated] == [("a", "b")]
    assert (
        falsification.verdict == "fails"
        and "draw edges between them; what is adjusted for rests on them" in falsification.why
    )
    with_edge = falsify(
        graph("a -> b", "a -> exposure", "b -> outcome"),
        dataset(treatment_log(exposure, outcome), a=a, b=b),
        permuted=1,
    )
    assert with_edge.violated == ()


@pytest.mark.parametrize("name", ["hillstrom", "ihdp", "ml100k_semisynthetic"])
def test_edges_between_columns_change_no_adjustment(name: str) -> None:
    """Without the edges that touch neither exposure nor outcome, the same columns are adjusted for."""
    declared = yaml.safe_load((CONF / "graph" / f"{name}.yaml").read_text(encoding="utf-8"))
    named = CausalGraph(edges=declared["edges"], latent=declared["latent"]).for_columns(CARDS[name])
    declared["edges"] = named.edges
    ends = ({node.strip() for node in edge.split("->")} for edge in declared["edges"])
    touching = [edge for edge, both in zip(declared["edges"], ends, strict=True) if both & {"exposure", "outcome"}]
    chosen = []
    for edges in (declared["edges"], touching):
        causal = CausalGraph(edges=edges, latent=declared["latent"])
        observed = frozenset(causal.digraph) - set(causal.latent) - {"exposure", "outcome"}
        chosen.append(adjustment_set(causal.digraph, "exposure", "outcome", observed))
    causes = sorted(edge.split(" -> ")[0] for edge in touching if edge.endswith("-> exposure"))
    assert len(touching) < len(declared["edges"]) and chosen == [tuple(causes)] * 2
    reason = untestable_reason(CausalGraph(edges=declared["edges"], latent=declared["latent"]), CARDS[name])
    assert reason == (
        "no column holds background, whose effects are among what would be tested" if name == "ihdp" else None
    )


def test_categories_are_read() -> None:
    rng = np.random.default_rng(0)
    town = rng.choice(["north", "south", "west"], 240)
    exposure = (rng.random(240) < np.where(town == "west", 0.9, 0.2)).astype(int)
    data = dataset(treatment_log(exposure, exposure + rng.normal(size=240)), {"town": "category"}, town=town)
    falsification = falsify(graph("town -> outcome"), data)
    assert [(independence.left, independence.right) for independence in falsification.violated] == [
        ("exposure", "town")
    ]
    more = rng.normal(size=240)
    outcome = exposure + more + (town == "west") + rng.normal(size=240)
    data = dataset(treatment_log(exposure, outcome), {"town": "category"}, town=town, more=more)
    given = falsify(graph("town -> exposure", "town -> outcome", "more -> outcome"), data)
    assert (given.verdict, given.tested) == ("passes", 3), "more and exposure also given town"


def test_what_is_too_weak_to_tell_from_any_other_graph_is_not_a_pass() -> None:
    rng = np.random.default_rng(1)
    a, b, outcome = rng.normal(size=(3, 240))
    falsification = falsify(graph(*TRUE), dataset(treatment_log(rng.integers(2, size=240), outcome), a=a, b=b))
    assert (falsification.verdict, falsification.violated) == ("not testable", ())
    assert falsification.no_worse is not None and falsification.no_worse > 0.5
    assert "graphs with permuted nodes do as well: dependences are too weak to tell them apart" in falsification.why


def test_a_latent_cause_of_what_is_tested_is_never_a_pass() -> None:
    data = world()[0]
    falsification = falsify(graph(*TRUE, "mood -> b", latent=("mood",)), data)
    assert (falsification.verdict, falsification.tested, falsification.rows) == ("not testable", 0, 0)
    assert falsification.why == "no column holds mood, whose effects are among what would be tested"
    aside = graph(*TRUE, "mood -> name", latent=("mood",))
    assert untestable_reason(aside, data.card) is None, "nothing tested follows from it"


def test_self_selection_is_a_latent_cause() -> None:
    card = world()[0].card
    reason = untestable_reason(graph(*TRUE), DatasetCard(**{**vars(card), "self_selected": True}))
    assert reason is not None and "users of toy choose by how they would rate" in reason


def test_a_graph_that_implies_nothing_is_not_testable() -> None:
    data = world()[0]
    falsification = falsify(graph("a -> exposure", "a -> outcome"), data)
    assert falsification.verdict == "not testable" and "implies no independence" in falsification.why


def test_one_row_of_each_user_is_read() -> None:
    """Forty rows a user of two columns without relation would else be taken for hundreds of witnesses."""
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(60), 40)
    a, b = rng.normal(size=(2, 60))
    b[0] = a[0] = 3.0
    exposure = rng.integers(2, size=len(users))
    data = dataset(treatment_log(exposure, exposure + rng.normal(size=len(users)), users), a=a, b=b)
    falsification = falsify(graph("a -> outcome", "b -> outcome"), data)
    assert (falsification.rows, falsification.violated) == (60, ())


def test_a_log_of_exposed_rows_is_read_as_pairs_without_the_outcome() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 150))
    pairs = np.argwhere(rng.random((150, 8)) < 1 / (1 + np.exp(-3 * a))[:, None])
    log = InteractionLog(
        pairs[:, 1], np.ones(len(pairs), np.int64), np.ones(len(pairs), np.float32), 8, pairs[:, 0], 150
    )
    falsification = falsify(graph("b -> exposure", "b -> outcome", "a -> outcome"), dataset(log, a=a, b=b))
    assert (falsification.verdict, falsification.rows, falsification.untested) == ("fails", 150, ("outcome",))
    assert ("a", "exposure") in {(independence.left, independence.right) for independence in falsification.violated}


def test_it_repeats_itself_and_leaves_global_random_numbers_alone() -> None:
    data = world()[0]
    before = str(np.random.get_state()), random.getstate()  # noqa: NPY002
    assert falsify(graph(*TRUE), data, permuted=3) == falsify(graph(*TRUE), data, permuted=3)
    assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002


def test_a_number_that_is_none_is_refused_by_name() -> None:
    data = world()[0]
    broken = dataset(data.logged, a=np.where(np.arange(240) == 7, np.nan, 1.0), b=data.user_table["b"].to_numpy())
    with pytest.raises(DataError, match="column a: holds what is not a finite number; fill or drop these rows"):
        falsify(graph(*TRUE), broken)


def test_holm_by_hand() -> None:
    tests = [Independence("a", name, (), p) for name, p in (("b", 0.02), ("c", 0.001), ("d", 0.03), ("e", 0.013))]
    assert [independence.right for independence in holm(tests, 0.04)] == ["c", "e", "b", "d"], "0.04 / 4, / 3, / 2, / 1"
    assert [independence.right for independence in holm(tests, 0.036)] == ["c"], "0.013 is above 0.036 / 3"
    assert holm(tests, 0.0039) == ()


def check_graph(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(["graph", "check", *arguments]) == 0
    return capsys.readouterr()


@pytest.mark.long
def test_the_command_tells_what_the_data_contradict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["task=effect", "dataset.units=250"]
    falsification = json.loads(check_graph(capsys, *small, "--json")[0])
    assert (
        falsification["training"]["columns"] == ["x0", "x1"] and falsification["falsification"]["verdict"] == "passes"
    )
    edges = ",".join(f"'{edge}'" for edge in ("x0 -> exposure", *OUTCOME, "exposure -> outcome"))
    out, err = check_graph(capsys, *small, f"graph.edges=[{edges}]")
    assert "falsification: fails: " in out and "(250 rows)" in out
    assert "contradicted: exposure and x1 are independent given x0: p = " in out
    assert "blind to: causes that no column holds" in out
    assert "testing the graph on at most 500 rows of effect_simulation, one of each user" in err
    assert list(tmp_path.iterdir()) == []


def test_absent_data_are_not_fetched_for_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path))
    falsification = json.loads(check_graph(capsys, "task=effect", "dataset=hillstrom", "--json")[0])["falsification"]
    assert falsification["verdict"] == "not testable"
    assert falsification["why"] == f"the data are not below {tmp_path}; causalrec data fetch hillstrom"
    assert list(tmp_path.iterdir()) == []
