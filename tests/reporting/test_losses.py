"""A row that loses to a special case of itself is marked in every table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from handmade import make_run, score

from causalrec.records.run_folder import RunFolder
from causalrec.reporting.latex import latex
from causalrec.reporting.paper_table import collect_obtained, paper_table
from causalrec.reporting.paper_text import markdown as paper_markdown
from causalrec.reporting.score_table import markdown
from causalrec.reporting.study import Study
from causalrec.reporting.submodels import MARK, losses
from causalrec.reporting.table import tables
from causalrec.reporting.table_text import text_table

AUC, MSE, BIAS = "auc@randomised", "mse@randomised", "bias@randomised"
BETTER = {"auc": True, "mse": False, "bias": None}


def run(name: str, seed: int, values: dict[str, float], submodels: dict[str, str] | None = None) -> RunFolder:
    """Make a run whose values without groups of rows vary by a thousandth."""
    rng = np.random.default_rng([seed, len(name)])
    scores = [
        dataclasses.replace(score(metric, "randomised", value + seed / 1000, name), higher_is_better=BETTER[metric])
        for metric, value in values.items()
    ]
    pair = make_run(name, seed=seed, scores=scores)
    record = dataclasses.replace(pair.record, key=f"{name}{seed}", submodels=submodels or {})
    jackknife = {held.key: held.value + rng.normal(0, 1e-4, size=(3, 20)) for held in scores if held.value is not None}
    return dataclasses.replace(pair, record=record, jackknife=jackknife)


def runs(row: dict[str, float], case: dict[str, float]) -> list[RunFolder]:
    pair = []
    for seed in (0, 1):
        pair.append(run("mf-ips", seed, row, {"biases": f"mf-ips-biases{seed}", "no_text": "not run"}))
        pair.append(run("mf-ips-biases", seed, case))
    return pair


@pytest.mark.parametrize(
    ("auc", "mse", "lost"),
    [(0.70, 0.20, [AUC]), (0.76, 0.25, [MSE]), (0.70, 0.25, [AUC, MSE]), (0.7501, 0.2001, []), (0.80, 0.15, [])],
)
def test_a_row_loses_where_the_interval_lies_on_the_worse_side(auc: float, mse: float, lost: list[str]) -> None:
    pair = runs({"auc": auc, "mse": mse, "bias": 0.3}, {"auc": 0.75, "mse": 0.2, "bias": 0.0})
    lost_cells = losses({"mf-ips": pair[::2]}, pair, [AUC, MSE, BIAS])
    assert list(lost_cells) == [("mf-ips", column) for column in lost], "bias has no better end, no_text no run"
    for held in lost_cells.values():
        assert [loss.submodel for loss in held] == ["biases"] and held[0].comparison.seeds == 2


def test_a_marked_cell_says_so_on_every_surface() -> None:
    pair = runs({"auc": 0.7, "mse": 0.2}, {"auc": 0.75, "mse": 0.2})
    (table,) = tables(pair, (AUC, MSE), show_submodels=True)
    assert table.rows["mf-ips"][AUC].loses_to == ("biases",) and table.rows["mf-ips"][MSE].loses_to == ()
    assert "mf-ips-biases" in table.rows and not table.rows["mf-ips-biases"][AUC].loses_to
    (note,) = [line for line in table.footnotes if line.startswith(MARK)]
    assert note.startswith(f"{MARK} mf-ips loses to its special case biases: {AUC} -0.0500 [-0.05")
    for text in (markdown(table), text_table(table).render(200)):
        assert f" ± 0.001 {MARK}" in text and text.count(MARK) == 2 and note[:40] in text
    assert table.as_json()["rows"]["mf-ips"][AUC]["loses_to"] == ("biases",)  # type: ignore[index]


def test_special_cases_may_stay_out_of_the_table_and_mark_it_all_the_same() -> None:
    pair = runs({"auc": 0.7}, {"auc": 0.75})
    rows, cases = pair[::2], pair[1::2]
    (table,) = tables(pair, (AUC,))
    assert "mf-ips" in table.rows and "mf-ips-biases" not in table.rows
    assert table.rows["mf-ips"][AUC].loses_to == ("biases",)
    study = Study.model_validate(
        {"title": "t", "sweep": "s", "seeds": [0, 1], "base": [], "rows": {"mf-ips": []}, "columns": [AUC]}
        | {"published": [{"row": "mf-ips", "column": AUC, "value": ".7"}]}
    )
    obtained, baselines = collect_obtained([table])
    paper = paper_table(study, obtained, baselines, rows, False, cases)
    assert paper.cells["mf-ips", AUC].loses_to == ("biases",)
    assert f"0.7005 ± 0.0007 {MARK} |" in paper_markdown(paper) and r"$\triangledown$" in latex(paper)
    assert paper.footnotes[0].startswith(f"{MARK} mf-ips loses to its special case biases")
    assert not paper_table(study, obtained, baselines, rows, False).cells["mf-ips", AUC].loses_to


def test_marks_stay_where_a_folder_holds_the_tables_of_two_thresholds() -> None:
    pair = runs({"auc": 0.7}, {"auc": 0.75})
    other = [
        dataclasses.replace(
            held,
            record=dataclasses.replace(
                held.record,
                key=held.record.key + "x",
                submodels={name: key + "x" for name, key in held.record.submodels.items()},
                config={**held.record.config, "dataset": {"threshold": 4.0}},
                audit=dataclasses.replace(held.record.audit, threshold=4.0),
            ),
        )
        for held in pair
    ]
    both = tables([*pair, *other], (AUC,))
    assert len(both) == 2 and all(table.rows["mf-ips"][AUC].loses_to == ("biases",) for table in both)


def test_a_special_case_that_did_not_finish_is_said() -> None:
    pair = runs({"auc": 0.7}, {"auc": 0.75})
    (table,) = tables(pair, (AUC,))
    line = "mf-ips: not compared with every run of its special cases no_text: not finished."
    assert line in table.footnotes
