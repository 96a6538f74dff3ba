"""Proposed edges: true ones are kept, absent ones contradicted, and what cannot be told is said so."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec import cli
from causalrec.commands.edges_file import read_edges
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.kernel_independence import kernel_test
from causalrec.graph.proposed_edges import EdgeCheck, ProposedEdge, check_names, check_proposed_edges
from tests.graph.test_falsify import dataset, treatment_log

TRUE = [("a", "b"), ("b", "c"), ("a", "d"), ("c", "e"), ("d", "e")]
ABSENT = [("a", "c"), ("a", "e"), ("b", "d"), ("b", "e"), ("c", "d")]
DECLARED = CausalGraph(edges=["exposure -> outcome"])


def scm(seed: int, units: int = 200) -> CausalDataset:
    """Five columns of users: a -> b -> c -> e, a -> d -> e, not all of them linear."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(5, units))
    a = noise[0]
    b = a + noise[1]
    c = np.tanh(b) * 1.5 + 0.7 * noise[2]
    d = a + noise[3]
    e = c + d + noise[4]
    log = treatment_log(rng.integers(2, size=units), rng.normal(size=units))
    return dataset(log, a=a, b=b, c=c, d=d, e=e)


def judge(data: CausalDataset, *edges: tuple[str, str], graph: CausalGraph = DECLARED, **settings: Any) -> Any:
    checks = check_proposed_edges([ProposedEdge(*edge) for edge in edges], graph, data, **settings)
    return {(check.cause, check.effect): check for check in checks}


def test_true_edges_are_kept_and_absent_ones_contradicted() -> None:
    checks = judge(scm(0), *TRUE, *ABSENT)
    assert {edge: checks[edge].verdict for edge in TRUE} == dict.fromkeys(TRUE, "kept")
    assert {edge: checks[edge].verdict for edge in ABSENT} == dict.fromkeys(ABSENT, "contradicted")
    assert checks["a", "c"].given == ("b",) and checks["a", "c"].rows == 200
    adjusted = [checks[edge].adjusted for edge in (*TRUE, *ABSENT)]
    assert all(a >= checks[edge].p_value for a, edge in zip(adjusted, (*TRUE, *ABSENT), strict=True))


@pytest.mark.long
def test_absent_edges_are_kept_in_few_draws() -> None:
    """100 draws: any of five absent edges kept in at most 8, each true edge kept in at least 90."""
    checks = [judge(scm(seed), *TRUE, *ABSENT) for seed in range(100)]
    alarms = sum(any(each[edge].verdict == "kept" for edge in ABSENT) for each in checks)
    retained = Counter(edge for each in checks for edge in TRUE if each[edge].verdict == "kept")
    assert alarms <= 8 and min(retained[edge] for edge in TRUE) >= 90


def test_an_edge_that_closes_a_cycle_is_contradicted_by_those_before_it() -> None:
    checks = judge(scm(0), ("a", "b"), ("b", "c"), ("c", "a"), ("outcome", "a"), ("a", "exposure"))
    assert checks["c", "a"] == EdgeCheck(
        cause="c", effect="a", verdict="contradicted", why="goes in a cycle with a -> b -> c"
    )
    backwards = judge(scm(0), ("outcome", "exposure"))
    assert backwards["outcome", "exposure"].why == "goes in a cycle with exposure -> outcome"


def test_what_cannot_be_told_is_not_testable() -> None:
    hidden = CausalGraph(edges=["taste -> a", "taste -> b", "exposure -> outcome"], latent=["taste"])
    checks = judge(scm(0), ("a", "b"), ("taste", "c"), graph=hidden)
    assert checks["a", "b"].verdict == "not testable" and "nothing that is seen separates" in checks["a", "b"].why
    assert checks["taste", "c"].why == "taste is latent"
    few = judge(scm(0, units=40), ("a", "b"))["a", "b"]
    assert (few.verdict, few.why, few.rows) == ("not testable", "40 rows, below 50", 40)
    constant = scm(0)
    constant = replace(constant, user_table=constant.user_table.with_columns(a=1.0))
    assert "a has no column of numbers or categories that varies" in judge(constant, ("a", "b"))["a", "b"].why
    chosen = replace(scm(0), card=replace(scm(0).card, self_selected=True))
    assert judge(chosen, ("exposure", "outcome"))["exposure", "outcome"].verdict == "not testable"


def test_columns_of_items_are_tested_on_a_row_of_each_item() -> None:
    """300 users meet 60 items: each item's columns count once, however often it is met."""
    import polars as pl

    from causalrec.data.card import Column
    from causalrec.data.log import InteractionLog

    rng = np.random.default_rng(0)
    base = scm(0, units=300)
    card = replace(base.card, columns=(Column("x", "item", "numeric"), Column("y", "item", "category")))
    log = InteractionLog(
        rng.integers(60, size=300),
        np.arange(300) % 2,
        rng.normal(size=300).astype(np.float32),
        60,
        user=np.arange(300),
        num_users=300,
    )
    items = pl.DataFrame({"x": rng.normal(size=60), "y": rng.choice(["p", "q"], size=60)})
    data = CausalDataset(card, log, pl.DataFrame({"user": range(300)}), items)
    check = judge(data, ("x", "y"))["x", "y"]
    assert check.verdict == "contradicted" and check.rows == len(np.unique(log.item))


def test_the_statistic_is_that_of_two_kernels_and_a_constant_is_no_condition() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 120))
    plain = kernel_test(x, y)
    assert plain == kernel_test(x, y, [np.ones(120)]) and plain.p_value > 0.05
    assert kernel_test(x, x + 0.1 * y).statistic > 10 * plain.statistic
    words = np.where(x > 0, "up", "down").astype(object)
    assert kernel_test(words, x).p_value < 1e-4 < 0.01 < kernel_test(words, y, [x]).p_value


# --- files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.csv", "from,to\na,b\n\nb, c\n"),
        ("e.csv", "a,b\nb,c"),
        ("e.yaml", "- a -> b\n- b -> c\n"),
        ("e.yml", "edges:\n  - {from: a, to: b}\n  - {from: b, to: c}\n"),
    ],
)
def test_edges_are_read_from_csv_and_yaml(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert [str(edge) for edge in read_edges(tmp_path / name)] == ["a -> b", "b -> c"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("e.txt", "a,b", "the name must end in .yaml or .csv"),
        ("gone.csv", None, "there is no such file; write a line `from,to` for each edge into it"),
        ("e.csv", "from,to\n", "holds no edge"),
        ("e.csv", "a,b\na,b,c", "line 2: 'a,b,c' is no edge; give one cause and one effect"),
        ("e.csv", "a,", "line 1: 'a,' is no edge"),
        ("e.yaml", "- a\n", "edge 1: 'a' is no edge"),
        ("e.yaml", "- x* -> a\n", "edge 1: 'x*,a' is no edge"),
        ("e.yaml", "a -> b\n", "holds no list; write `- cause -> effect` for each edge"),
        ("e.yaml", "- [a\n", "is no YAML; write `- cause -> effect`"),
        ("e.csv", b"\xff\xfe", "is no UTF-8 text (byte 0); save it as UTF-8"),
    ],
)
def test_a_bad_file_is_refused_in_a_line(tmp_path: Path, name: str, text: str | bytes | None, line: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError) as refusal:
        read_edges(path)
    assert line in str(refusal.value) and "\n" not in str(refusal.value) and str(path) in str(refusal.value)


def test_unknown_nodes_too_many_edges_and_own_causes_are_refused() -> None:
    card = scm(0).card
    with pytest.raises(RequestError, match=r"edge 1: unknown node 'aa' for dataset toy; did you mean 'a'\?"):
        check_names([ProposedEdge("aa", "b")], DECLARED, card, "e.csv")
    with pytest.raises(RequestError, match="edge 1: 'a' is proposed as its own cause; drop it"):
        check_names([ProposedEdge("a", "a")], DECLARED, card, "e.csv")
    with pytest.raises(RequestError, match="holds 201 edges; propose 1 to 200"):
        check_names([ProposedEdge("a", "b")] * 201, DECLARED, card, "e.csv")


def test_the_command_prints_a_row_for_each_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.csv").write_text("x1,x2\noutcome,x1\n")
    overrides = ["dataset=effect_simulation", "dataset.units=200", "task=effect", "--edges", "e.csv"]
    assert cli.main(["graph", "check", *overrides]) == 0
    shown = capsys.readouterr().out
    assert "x1 -> x2" in shown and "goes in a cycle with x1 -> " in " ".join(shown.split())
    assert cli.main(["graph", "check", *overrides, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["edges"]
    assert first["verdict"] in ("kept", "contradicted") and second["verdict"] == "contradicted"
    assert cli.main(["graph", "show", *overrides]) == 2
    assert "--edges asks the data; write graph check --edges FILE" in capsys.readouterr().err
