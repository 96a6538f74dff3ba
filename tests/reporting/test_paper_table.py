"""Published beside obtained: which verdict each cell gets, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import make_run, replace_values, score

from causalrec.records.run_folder import RunFolder
from causalrec.reporting.latex import ESCAPES, escape, latex
from causalrec.reporting.paper_table import PaperTable, collect_obtained, paper_table
from causalrec.reporting.paper_text import markdown, text_tables
from causalrec.reporting.study import Study
from causalrec.reporting.study_files import save_study
from causalrec.reporting.table import tables
from causalrec.reporting.verdict import Obtained

AUC, NDCG = "auc@randomised", "ndcg@5@randomised"
STUDY: dict[str, Any] = {
    "title": "a & b_c: 5 %",
    "sweep": "s",
    "seeds": [0, 1],
    "base": [],
    "rows": {"mf-naive": [], "mf-ips": [], "mf-dr": []},
    "columns": [AUC, NDCG],
    "source": {"paper": "P_1", "table": "Table 2"},
    "missing": [{"row": "UPO", "reason": "no formula"}, {"column": "yahoo auc", "reason": "licence"}],
    "published": [
        {"row": "mf-naive", "column": AUC, "value": ".700", "sd": ".010", "n": 2},
        {"row": "mf-ips", "column": AUC, "value": ".800", "sd": ".010", "n": 2, "note": "best of three"},
        {"row": "mf-dr", "column": AUC, "value": ".900"},
        {"row": "UPO", "column": AUC, "value": ".749"},
        {"row": "mf-ips", "column": "yahoo auc", "value": ".678"},
    ],
    "compare": {"to": "mf-naive", "columns": [AUC]},
}


def records() -> list[RunFolder]:
    """mf-naive at .69 and .71, mf-ips at .64 and .66, one group structure; mf-dr has no record."""
    rng, runs = np.random.default_rng(0), []
    for name, centre in (("mf-naive", 0.7), ("mf-ips", 0.65)):
        for seed in range(2):
            value = centre + 0.02 * (seed - 0.5)
            scores = [score("auc", "randomised", value, name, 0.6, 0.8), score("ndcg@5", "randomised", 0.5, name)]
            left_out = value + rng.normal(0, 1e-4, size=(3, 20))
            run = make_run(name, seed=seed, scores=scores, replicates=np.linspace(centre - 0.1, centre + 0.1, 41))
            jackknife = {f"{name}|randomised|auc": left_out, "constant|randomised|auc": np.full((3, 20), 0.5)}
            runs.append(dataclasses.replace(run, jackknife=jackknife))
    return runs


def make_table(smoke: bool = False, **changes: Any) -> PaperTable:
    saved = records()
    obtained_cells, baselines = collect_obtained(tables(saved, (AUC, NDCG)))
    return paper_table(Study.model_validate({**STUDY, **changes}), obtained_cells, baselines, saved, smoke)


def test_each_cell_gets_its_verdict() -> None:
    table = make_table()
    words = {(cell.row, cell.column): cell.value and cell.value.word for cell in table.cells.values()}
    assert words == {
        ("constant", AUC): None,
        ("mf-naive", AUC): "within",
        ("mf-naive", NDCG): None,
        ("mf-ips", AUC): "below",
        ("mf-ips", NDCG): None,
        ("mf-ips", "yahoo auc"): "cannot be",
        ("mf-dr", AUC): "not run",
        ("UPO", AUC): "cannot be",
    }
    gains = {(cell.row, cell.column): cell.gain.word for cell in table.cells.values() if cell.gain}
    assert gains == {("mf-ips", AUC): "not reproduced", ("mf-dr", AUC): "not run", ("UPO", AUC): "cannot be"}
    assert table.counts == {
        "gains": {"not reproduced": 1, "not run": 1, "cannot be": 1},
        "values": {"within": 1, "below": 1, "cannot be": 2, "not run": 1},
    }
    gain = table.cells["mf-ips", AUC].gain
    assert gain is not None and (gain.published, gain.obtained) == (0.1, pytest.approx(-0.05))
    wrong = table.cells["mf-ips", AUC].value
    assert wrong is not None and wrong.difference == pytest.approx(-0.15)
    # sd over seeds sqrt(2) * .01 against .010 published; 3 * .01414 * sqrt(1/2 + 1/2) + .0005
    assert wrong.tolerance == pytest.approx(0.0429, abs=1e-4)


def test_a_reference_row_without_a_run_or_a_number_is_said_of_every_gain() -> None:
    saved = [run for run in records() if run.record.name != "mf-naive"]
    obtained_cells, baselines = collect_obtained(tables(saved, (AUC, NDCG)))
    cells = paper_table(Study.model_validate(STUDY), obtained_cells, baselines, saved, smoke=False).cells
    gain, value = cells["mf-ips", AUC].gain, cells["mf-ips", AUC].value
    assert gain is not None and (gain.word, gain.reason) == (
        "not run",
        "mf-naive, the row of reference: no finished run",
    )
    assert value is not None and value.word == "below"
    assert not [cell for cell in cells.values() if cell.comparison], "no row stands in for the reference"
    unprinted = [cell for cell in STUDY["published"] if cell["row"] != "mf-naive"]
    assert not [cell for cell in make_table(published=unprinted).cells.values() if cell.gain]


def test_baselines_come_first_then_what_is_run_then_what_is_not() -> None:
    table = make_table()
    assert table.rows == ("constant", "mf-naive", "mf-ips", "mf-dr", "UPO")
    assert table.columns == (AUC, NDCG, "yahoo auc")
    assert table.run_columns == (AUC, NDCG)


def test_smoke_judges_nothing() -> None:
    assert make_table(smoke=True).counts == {
        "gains": {"smoke: not judged": 2, "cannot be": 1},
        "values": {"smoke: not judged": 3, "cannot be": 2},
    }


def test_differences_stand_beside_methods_and_baselines() -> None:
    cells = make_table().cells
    ips, constant = cells["mf-ips", AUC].comparison, cells["constant", AUC].comparison
    assert ips is not None and ips.difference == pytest.approx(-0.05) and ips.real
    assert constant is not None and constant.difference == pytest.approx(-0.2)
    assert cells["mf-naive", AUC].comparison is None and cells["mf-ips", NDCG].comparison is None
    assert not [cell for cell in make_table(compare=None).cells.values() if cell.comparison]


def test_footnotes_name_source_rule_reasons_and_notes() -> None:
    notes = make_table(notes=["own words"]).footnotes
    assert notes[0] == "own words"
    assert "Published: P_1, Table 2." in notes
    assert "UPO: cannot be reproduced here: no formula." in notes
    assert "yahoo auc: cannot be reproduced here: licence." in notes
    assert f"mf-ips, {AUC}: best of three." in notes
    assert [note for note in notes if note.startswith("Value within: |obtained - published| <= 3 sd")]
    (rule,) = [note for note in notes if note.startswith("Gain over mf-naive reproduced: within 3 sqrt(")]
    assert "over test rows and seeds" in rule
    same = make_table(source={**STUDY["source"], "same_test": True}).footnotes
    assert [note for note in same if "over seeds alone, as the test rows are the paper's" in note]


def test_what_must_be_read_with_a_data_set_stands_first() -> None:
    saved = records()
    saved[1] = replace_values(saved[1], "data", caveat="simulated data")
    obtained_cells, baselines = collect_obtained(tables(saved, (AUC, NDCG)))
    table = paper_table(Study.model_validate(STUDY), obtained_cells, baselines, saved, smoke=False)
    assert table.footnotes[0] == "coat: simulated data." and "coat: simulated data." in markdown(table)


def test_an_estimation_names_the_row_it_does_not_have() -> None:
    study = Study.model_validate(
        {**STUDY, "kind": "estimate", "compare": None, "columns": ["mae/ips"], "missing": []}
        | {"published": [{"row": row, "column": "mae/ips", "value": "0.1"} for row in ("rec_ones", "rec_fives")]}
    )
    obtained_cells = {("rec_ones", "mae/ips"): Obtained(0.1, 0.01, 0.0, 0.2, 50)}
    table = paper_table(study, obtained_cells, (), [], smoke=False)
    verdicts = {cell.row: cell.value for cell in table.cells.values()}
    assert verdicts["rec_ones"] is not None and verdicts["rec_ones"].word == "within"
    lost = verdicts["rec_fives"]
    assert lost is not None and lost.word == "not run" and "did you mean 'rec_ones'" in str(lost.reason)


def test_markdown_holds_every_cell_once() -> None:
    text = markdown(make_table())
    rows = [line for line in text.splitlines() if line.startswith("| mf-naive ")]
    assert rows[0].startswith("| mf-naive | .700 ± .010 | 0.7000 ± 0.0141 | [0.6050, 0.7950] | 2 | - | within (")
    assert "## auc@randomised" in text and "## yahoo auc" in text
    assert "| UPO | .749 | - | - | - | - | cannot be | cannot be |" in text
    assert "- Gains over mf-naive: 1 not reproduced, 1 not run, 1 cannot be. Values: 1 within, 1 below, " in text
    assert "| mf-dr | .900 | - | - | - | - | not run: no finished run | not run: no finished run |" in text


def test_the_terminal_shows_what_was_run() -> None:
    shown = " ".join("\n".join(block.render(200) for block in text_tables(make_table())).split())
    for text in (
        "mf-ips",
        "0.6500 ± 0.0141",
        "below (-0.15, allowed 0.0429)",
        "not reproduced (published +0.1, ours -0.05, allowed",
        "difference to mf-naive",
        "UPO",
    ):
        assert text in shown
    assert "a & b_c: 5 %: yahoo auc" not in shown


@pytest.mark.parametrize("letter", [k for k in ESCAPES if k.isascii()])
def test_what_latex_reads_as_a_command_is_escaped(letter: str) -> None:
    assert escape(f"a{letter}b") not in (f"a{letter}b", "ab")
    assert escape("\\{}") == r"\textbackslash{}\{\}"


def test_latex_is_a_booktabs_table_without_a_raw_special() -> None:
    text = latex(make_table())
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert all(text.count(rule) == 1 for rule in (r"\toprule", r"\bottomrule", r"\begin{tabular}", r"\end{table}"))
    assert r"\caption{a \& b\_c: 5 \%}" in text
    assert r"mf-ips & .800 $\pm$ .010 & 0.650 $\pm$ 0.014* $\times$ & -- & 0.500" in text
    assert r"UPO & .749 & -- & -- & -- \\" in text
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 5 and {line.count(" & ") for line in rows} == {4}
    assert not re.search(r"(?<!\\)[_%#]", text.split("\n", 1)[1]), "every special stands behind a backslash"


def test_the_result_is_json_and_whole(tmp_path: Path) -> None:
    document = save_study(tmp_path, make_table(), command="causalrec reproduce x", seconds=1.5, failures=[])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gains.svg", "result.json", "table.md", "table.tex"]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    loaded = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert loaded == document
    (cell,) = (c for c in loaded["cells"] if (c["row"], c["column"]) == ("mf-ips", AUC))
    assert cell["published"] == {"value": ".800", "sd": ".010", "se": None, "n": 2, "note": "best of three"}
    assert cell["obtained"]["mean"] == pytest.approx(0.65) and cell["obtained"]["n"] == 2
    assert (
        cell["value"]["word"] == "below"
        and cell["gain"]["word"] == "not reproduced"
        and cell["comparison"]["real"] is True
    )
    assert loaded["counts"]["values"]["cannot be"] == 2 and loaded["versions"]["numpy"] == np.__version__
    assert loaded["command"] == "causalrec reproduce x" and loaded["seconds"] == 1.5


def test_leave_groups_out_values_are_read_from_their_sidecar(tmp_path: Path) -> None:
    path = make_run("x").record.save(tmp_path)
    assert RunFolder.load(path).jackknife == {}
    np.savez(tmp_path / "jackknife.npz", **{"x|randomised|auc": np.ones((3, 20), np.float32)})
    left_out = RunFolder.load(path).jackknife["x|randomised|auc"]
    assert left_out.shape == (3, 20) and left_out.dtype == np.float64


def test_the_names_of_rows_are_escaped_in_latex() -> None:
    printed = [*STUDY["published"], {"row": "U_P&O", "column": AUC, "value": ".5"}]
    text = latex(make_table(missing=[*STUDY["missing"], {"row": "U_P&O", "reason": "no formula"}], published=printed))
    assert "\n" + r"U\_P\&O & .5 & -- & -- & -- \\" in text


def test_baselines_of_several_data_sets_stay_apart() -> None:
    coat, second = tables([make_run()])[0], tables([make_run()])[0]
    other = dataclasses.replace(second, dataset="shop", rows={name: dict(of) for name, of in second.rows.items()})
    alone, names = collect_obtained([coat])
    assert names == coat.baselines and {row for row, _ in alone} == set(coat.rows)
    both, names = collect_obtained([coat, other])
    assert names == tuple(f"{name}, {table.dataset.split()[0]}" for table in (coat, other) for name in coat.baselines)
    assert len(both) == len(alone) + sum(row in coat.baselines for row, _ in alone), "the model's row is told once"
