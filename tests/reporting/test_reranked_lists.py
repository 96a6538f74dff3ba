"""Lists ordered anew, in records made by hand: a table with a line a weight, a curve in a picture and on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from handmade import make_run, score

from causalrec.records.run_folder import RunFolder
from causalrec.reporting.figure import pictures
from causalrec.reporting.html import tradeoff
from causalrec.reporting.html.page_data import PageTable
from causalrec.reporting.reranked_lists import reranked_slices, rerankings, tradeoff_curves
from causalrec.reporting.reranked_table import reranked_tables
from causalrec.reporting.table import tables
from causalrec.reporting.tradeoff_figure import tradeoff_figure

CONFIG = {"mmr": {"weight": 0.5, "curve": [0.25]}, "xquad": {"weight": 0.5, "curve": []}}
VALUES = {  # (list_dcg, intra_list_diversity) of each slice
    "lists": (0.40, 0.70),
    "lists_mmr": (0.34, 0.90),
    "lists_mmr_0.25": (0.38, 0.80),
    "lists_xquad": (0.39, 0.72),
}


def run(name: str = "mf-ips", seed: int = 0, lift: float = 0.0, config: Any = None) -> RunFolder:
    scores = [score("auc", "randomised", 0.7, name)]
    for where, (dcg, diversity) in VALUES.items():
        for metric, value in (("list_dcg", dcg + lift), ("intra_list_diversity", diversity)):
            scores.append(score(metric, where, value, name, value - 0.05, value + 0.05))
    gains = [score("list_dcg", f"{where}-lists", VALUES[where][0] - 0.4, name, -0.1, 0.1) for where in list(VALUES)[1:]]
    run_folder = make_run(
        name, seed=seed, scores=[*scores, *gains], config={"reranker": CONFIG if config is None else config}
    )
    replicates = {each.key: (each.value or 0) + np.linspace(-0.02, 0.02, 50) for each in run_folder.record.scores}
    return replace(run_folder, replicates=replicates)


def test_slices_of_lists_are_told_by_re_ranker_and_weight() -> None:
    mmr, xquad = rerankings(run().record)
    assert (mmr.plain, mmr.reranker, dict(mmr.slices)) == (
        "lists",
        "mmr",
        {0.0: "lists", 0.25: "lists_mmr_0.25", 0.5: "lists_mmr"},
    )
    assert dict(xquad.slices) == {0.0: "lists", 0.5: "lists_xquad"}
    assert "lists" not in set(reranked_slices(run().record))
    assert rerankings(run(config={}).record) == rerankings(run(config={"mmr": 3, "x": {"weight": "a"}}).record) == []


def test_a_weight_is_a_line_and_its_gain_stands_beside_its_value() -> None:
    mmr, xquad = reranked_tables([run(), run("mf-dr", lift=0.1)])
    assert list(mmr.rows) == [
        f"{row}, weight {weight}" for row in ("mf-ips", "mf-dr") for weight in ("0", "0.25", "0.5")
    ]
    columns = ("list_dcg@value", "list_dcg@gain", "intra_list_diversity@value", "intra_list_diversity@gain")
    assert mmr.columns == columns and mmr.dataset.endswith("lists ordered anew by mmr")
    assert round(mmr.rows["mf-dr, weight 0.5"]["list_dcg@value"].mean, 9) == 0.44
    assert round(mmr.rows["mf-ips, weight 0.5"]["list_dcg@gain"].mean, 9) == -0.06
    assert "list_dcg@gain" not in mmr.rows["mf-ips, weight 0"]
    assert list(xquad.rows) == [f"{row}, weight {weight}" for row in ("mf-ips", "mf-dr") for weight in ("0", "0.5")]
    (only, _) = reranked_tables([run(), run("mf-dr")], ["mf-dr"])
    assert len(only.rows) == 3
    assert reranked_tables([make_run()]) == []


def test_seeds_are_averaged() -> None:
    mmr, _ = reranked_tables([run(), run(seed=1, lift=0.2)])
    cell = mmr.rows["mf-ips, weight 0.25"]["list_dcg@value"]
    assert (round(cell.mean, 9), cell.seeds) == (0.48, 2) and cell.low < cell.mean < cell.high


def test_the_table_of_scores_shows_plain_lists_alone_unless_a_column_is_named() -> None:
    each = run()
    of_lists = replace(each.record, scores=each.record.scores[1:], baselines=())
    (table,) = tables([replace(each, record=of_lists)])
    assert table.columns == ("list_dcg@lists", "intra_list_diversity@lists")
    (wanted,) = tables([run()], ("list_dcg@lists_mmr", "list_dcg@lists_mmr-lists"))
    assert wanted.columns == ("list_dcg@lists_mmr", "list_dcg@lists_mmr-lists")


def test_a_curve_has_a_point_a_weight_with_both_intervals() -> None:
    record = run().record
    curves = tradeoff_curves(record)
    assert list(curves) == ["intra_list_diversity"]
    points = curves["intra_list_diversity"]["mmr of lists"]
    assert [(p.weight, p.aim.value, p.utility.value) for p in points] == [
        (0, 0.7, 0.4),
        (0.25, 0.8, 0.38),
        (0.5, 0.9, 0.34),
    ]
    figure = tradeoff_figure(record)
    assert figure is not None
    (panel,) = figure.axes
    assert panel.get_ylabel() == "list_dcg" and panel.get_xlabel() == "intra_list_diversity, more is better"
    line = panel.containers[0].lines[0]
    assert np.column_stack(line.get_data()).tolist() == [[0.7, 0.4], [0.8, 0.38], [0.9, 0.34]]
    assert [text.get_text() for text in panel.texts] == ["0", "0.25", "0.5", "0", "0.5"]
    assert "tradeoff" in pictures(record)


def test_without_a_utility_or_lists_there_is_no_picture() -> None:
    record = run().record
    rest = tuple(each for each in record.scores if each.metric != "list_dcg")
    assert tradeoff_figure(replace(record, scores=rest)) is None
    assert tradeoff_figure(make_run().record) is None and "tradeoff" not in pictures(make_run().record)


def test_the_page_draws_each_row_and_nothing_where_no_lists_are() -> None:
    rows = {"mf-ips": [run(), run(seed=1)], "mf-dr": [run("mf-dr")]}
    (table,) = tables([each for group in rows.values() for each in group])
    drawn_section = tradeoff.tradeoff(PageTable(table, rows, {"mf-ips": "#123456"}), "p0-tradeoff")
    assert drawn_section is not None
    assert drawn_section.text.count("<figure") == 4 and "at weights 0, 0.25, 0.5" in drawn_section.text
    plain = {"mf": [make_run("mf")]}
    assert tradeoff.tradeoff(PageTable(table, plain, {}), "p0-tradeoff") is None


def test_a_report_links_the_section_where_there_is_one(tmp_path: Path) -> None:
    from causalrec.reporting.html.page import report

    each = run()
    each.record.save(tmp_path / "s" / "mf-ips" / "seed0-k", each.replicates, {})
    report(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'href="#p0-tradeoff"' in text and 'id="p0-tradeoff"' in text
