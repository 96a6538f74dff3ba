"""The page says what the records say, and nothing in a record can act in it."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import hashlib
import html
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import replace_groups, replace_values, task
from report_records import DECAY, EDGES, HOSTILE, complete_run, failed_run, study, write_runs
from scipy.stats import t

from causalrec import cli
from causalrec.commands.report import report as command
from causalrec.errors import RequestError
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.names import record_summary
from causalrec.records.run_folder import AnyFolder, EstimationFolder, RunFolder, load_folders, runs_of
from causalrec.records.sections import CalibrationBin, DataSection, EpochRecord, ReliabilityCurve
from causalrec.reporting.compare import compare_rows
from causalrec.reporting.html.differences import (
    MAX_REFERENCE_ROWS,
    differences,
    direction,
    forest_data,
    order_rows,
    reference_rows,
)
from causalrec.reporting.html.page import page, report
from causalrec.reporting.html.page_data import PageTable, load_page_data

AUC, MSE = "auc@randomised", "mse@randomised"
VOID = {"meta", "input", "br", "path", "rect", "circle"}


class Page(HTMLParser):
    """A page taken apart: its elements, the text of each kind, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self.inside[-1] if self.inside else "", data))

    def find_all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        candidates = [attributes for name, attributes in self.elements if name == tag]
        return [
            attributes
            for attributes in candidates
            if all(attributes.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]

    def text(self) -> str:
        return " ".join(data for tag, data in self.words if tag not in ("script", "style"))


def make_page(tmp_path: Path, saved: Sequence[AnyFolder] | None = None, columns: tuple[str, ...] = ()) -> str:
    folder = write_runs(tmp_path / "my_sweep", study() if saved is None else saved)
    report(folder, tmp_path / "out.html", columns)
    return (tmp_path / "out.html").read_text(encoding="utf-8")


def load_page_table(tmp_path: Path, saved: list[RunFolder]) -> PageTable:
    page_tables = load_page_data(write_runs(tmp_path / "runs", saved)).tables
    assert len(page_tables) == 1
    return page_tables[0]


def with_curves(run: RunFolder, curve: tuple[EpochRecord, ...]) -> RunFolder:
    candidates = tuple(dataclasses.replace(tried, curve=curve) for tried in run.record.selection.candidates)
    return replace_values(run, "selection", candidates=candidates)


def section(text: str, name: str) -> str:
    return text.split(f'id="p0-{name}"')[1].split("</section>")[0]


def test_the_page_is_whole_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    parsed = Page(make_page(tmp_path))
    assert parsed.inside == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10
    links = [attributes["href"] for attributes in parsed.find_all("a")]
    assert len(links) > 9 and all(link and link.startswith("#") and link[1:] in ids for link in links)
    tips = re.findall(r"url\(#([^)]*)\)", str([attributes for _, attributes in parsed.elements]))
    assert tips and set(tips) <= set(ids)


def test_every_header_cell_has_a_scope_every_table_a_caption_every_chart_words(tmp_path: Path) -> None:
    text = make_page(tmp_path)
    parsed = Page(text)
    assert parsed.find_all("th") and all(
        attributes.get("scope") in ("col", "row") for attributes in parsed.find_all("th")
    )
    assert len(parsed.find_all("caption")) == len(parsed.find_all("table")) >= 6
    charts = parsed.find_all("svg", role="img")
    assert charts and len(
        re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>", text)
    ) == len(charts)
    assert all(
        attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
        for attributes in parsed.find_all("svg")
    )


def test_a_name_that_is_markup_stays_a_name(tmp_path: Path) -> None:
    text = make_page(tmp_path)
    parsed = Page(text)
    assert len(parsed.find_all("script")) == 2 and parsed.find_all("img") == []
    assert html.escape(HOSTILE) in text and HOSTILE not in text
    held = json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[0])
    assert HOSTILE in held[0]["rows"]


@pytest.mark.parametrize("where", ["error", "command", "git_sha", "warning", "file", "version", "criterion", "node"])
def test_no_part_of_a_record_is_read_as_markup(tmp_path: Path, where: str) -> None:
    evil, run = "<img src=x onerror=hacked()>", complete_run("mf-ips", 0, 0.7, 0.2)
    graph = {**run.record.config["graph"], "edges": [*EDGES, f"{evil} -> outcome"]}  # type: ignore[dict-item]
    run = replace_groups(run, graph=graph)
    run = replace_values(
        run, command=evil, git_sha=evil, versions={evil: evil}, data=DataSection(name=evil, sha256={evil: evil})
    )
    run = replace_values(replace_values(run, "overlap", warnings=(evil,)), "selection", criterion=evil)
    broken = failed_run(evil, error=f"{evil}\n{evil}")
    text = make_page(tmp_path, [run, broken])
    assert Page(text).find_all("img") == []
    assert text.count(html.escape(evil)) > 10


def test_the_page_may_load_nothing_and_run_its_own_script_only(tmp_path: Path) -> None:
    text = make_page(tmp_path)
    parsed = Page(text)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = parsed.find_all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert not [
        attributes
        for _, attributes in parsed.elements
        if "src" in attributes or any(key.startswith("on") for key in attributes)
    ]
    assert parsed.find_all("link") == [] and "@import" not in text
    assert "http:" not in text.replace("http://www.w3.org", "")


def test_rows_are_ordered_by_the_first_column_best_first(tmp_path: Path) -> None:
    page_table = load_page_table(tmp_path, study())
    assert order_rows(page_table) == ["mf-dr", "mf-naive", HOSTILE, "constant"]
    assert [direction(page_table, column) for column in (AUC, MSE, "bias@randomised")] == [1, -1, 0]
    text = make_page(tmp_path / "again", columns=(MSE, AUC))
    names = re.findall(r'<th scope="row" data-v="([^"]*)">', section(text, "leaderboard"))
    assert names == ["mf-naive", "mf-dr", html.escape(HOSTILE), "constant"]
    assert re.findall(r'aria-sort="(\w+)"', section(text, "leaderboard")) == ["none", "ascending", "none", "none"]


def test_a_cell_shows_mean_sd_and_interval_and_the_best_is_marked(tmp_path: Path) -> None:
    text = section(make_page(tmp_path), "leaderboard")
    row = text.split('data-v="mf-dr"')[1].split("</tr>")[0]
    assert row.count(" best</span>") == 1 and '<b class="mean">0.745' in row and "±0.007" in row
    assert re.search(r"\[0\.7\d\d, 0\.7\d\d\]", row) and row.endswith('<td data-v="2">2</td>')
    assert "baseline" in text.split('data-v="constant"')[1].split("</tr>")[0]
    assert "n 100" in text


def test_footnotes_that_all_rows_share_are_told_once(tmp_path: Path) -> None:
    notes = load_page_table(tmp_path, study()).table.footnotes
    assert "every row: assumed, not identified: taste is small." in notes
    some = [*study()[:2], *(replace_values(run, "adjustment", propensity_reads=()) for run in study()[2:4])]
    notes = load_page_table(tmp_path / "some", some).table.footnotes
    assert "mf-dr: propensity=popularity reads [], the adjustment set is ['age']." in notes


def test_differences_are_those_of_the_comparison_with_their_intervals(tmp_path: Path) -> None:
    saved = study()
    page_table = load_page_table(tmp_path, saved)
    for column in (AUC, MSE):
        for to in ("mf-naive", "constant", "mf-dr"):
            ours = {comparison.row: comparison for comparison in differences(page_table)[column][to]}
            theirs = {
                comparison.row: comparison
                for comparison in compare_rows(runs_of(load_folders(tmp_path / "runs")), to, column)
            }
            assert ours.keys() == theirs.keys() and len(ours) == 3
            for row, comparison in ours.items():
                other = theirs[row]
                assert (comparison.difference, comparison.adjusted) == pytest.approx((other.difference, other.adjusted))
                assert (comparison.real, comparison.seeds) == (other.real, 2)
                assert comparison.half == pytest.approx(t.ppf(0.975, other.df) * other.se)


def test_a_page_holds_every_pair_to_four_digits(tmp_path: Path) -> None:
    page_table = load_page_table(tmp_path, study())
    held = forest_data(page_table)
    row_numbers = {row: k for k, row in enumerate(held["rows"])}
    cells = {row: rest for row, *rest in held["cells"][AUC][str(row_numbers["mf-naive"])]}
    assert cells[row_numbers["mf-dr"]][0] == pytest.approx(0.04)
    assert cells[row_numbers["constant"]][0] == pytest.approx(-0.205)
    assert held["better"] == {AUC: 1, MSE: -1, "bias@randomised": 0} and held["baselines"] == 1


def test_a_run_without_leave_groups_out_values_is_not_compared(tmp_path: Path) -> None:
    saved = study()
    saved[2] = RunFolder(saved[2].folder, saved[2].record, saved[2].replicates, {})
    seed_counts = {
        difference.row: difference.seeds
        for difference in differences(load_page_table(tmp_path, saved))[AUC]["mf-naive"]
    }
    assert seed_counts["mf-dr"] == 1 and seed_counts[HOSTILE] == 2


def test_many_rows_are_compared_to_baselines_and_best_rows_only(tmp_path: Path) -> None:
    saved = [complete_run(f"row{k}", 0, 0.6 + 0.001 * k, 0.2 + 0.001 * k) for k in range(MAX_REFERENCE_ROWS)]
    page_table = load_page_table(tmp_path, saved)
    assert reference_rows(page_table) == ["constant", f"row{MAX_REFERENCE_ROWS - 1}", "row0"]
    assert set(differences(page_table)[AUC]) == set(reference_rows(page_table))
    assert "only baselines and best rows are offered" in page(load_page_data(tmp_path / "runs"))


def test_failed_and_truncated_records_are_listed_and_stop_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_runs(tmp_path / "runs", [*study(), failed_run()])
    whole_text = (folder / "row0" / "seed0" / "record.json").read_text(encoding="utf-8")
    (folder / "cut").mkdir()
    (folder / "cut" / "record.json").write_text(whole_text[:300], encoding="utf-8")
    lacking = json.loads(whole_text)
    del lacking["selection"]
    (folder / "old").mkdir()
    (folder / "old" / "record.json").write_text(json.dumps(lacking), encoding="utf-8")
    odd = {**json.loads(whole_text), "scores": [{"metric": 3}]}
    (folder / "odd").mkdir()
    (folder / "odd" / "record.json").write_text(json.dumps(odd), encoding="utf-8")
    (folder / "row1" / "seed1" / "jackknife.npz").write_bytes(b"PK not a zip")
    page_data = load_page_data(folder)
    assert cli.main(["table", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "mf-dr" in out and err.count("causalrec: not in the table: ") == err.count("\n") == 3, "no jackknife is read"
    assert f"{folder / 'cut' / 'record.json'}: not a whole record (" in err
    assert {broken_record.path.split("/")[0] for broken_record in page_data.broken} == {"cut", "old", "odd", "row1"}
    text = page(page_data)
    failures = text.split('id="failed"')[1].split("</section>")[0]
    assert "line 3 is short" in failures and "&lt;b&gt;second line" in failures
    assert "<code>row6/seed7</code>" in failures
    assert "not a whole record" in failures and "no `selection` in it" in failures and "cut/record.json" in failures
    assert "5 failed or broken" in text and str(tmp_path) not in failures
    assert "mf-dr" in section(text, "leaderboard")


def test_without_a_finished_run_the_page_says_so(tmp_path: Path) -> None:
    text = make_page(tmp_path, [failed_run()])
    assert "No finished run" in text and "line 3 is short" in text
    assert "failed or broken" not in make_page(tmp_path / "fine")


def test_an_empty_folder_or_an_unknown_column_is_refused_and_the_old_page_stays(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no record\.json"):
        report(tmp_path, tmp_path / "out.html")
    old = make_page(tmp_path)
    with pytest.raises(RequestError, match="did you mean 'auc@randomised'"):
        report(tmp_path / "my_sweep", tmp_path / "out.html", ("auc@randomized",))
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == old


def test_a_debiased_outcome_is_never_called_an_effect(tmp_path: Path) -> None:
    text = Page(make_page(tmp_path)).text()
    assert "E[outcome | do(exposure)]" in text
    assert len(re.findall(r"\beffects?\b", text)) == len(re.findall(r"not an effect\b", text)) >= 2
    effects = [replace_values(run, task=task("effect")) for run in study()]
    text = Page(make_page(tmp_path / "effects", effects)).text()
    assert "effect: E[outcome(1) − outcome(0)]" in text and "not an effect" not in text


def test_two_estimands_have_an_article_each(tmp_path: Path) -> None:
    other = [replace_values(run, task=task("effect")) for run in study()[:2]]
    text = make_page(tmp_path, [*study()[2:], *other])
    titles = re.findall(r"<article><h2>([^<]*)<", text)
    assert titles == [f"coat (1 = rating &gt;= 3), estimand={name}" for name in ("exposed_mean", "effect")]
    assert 'id="p1-leaderboard"' in text and text.count(f"<b>{titles[1]}</b>") == 1
    assert "mf-naive" not in section(text, "leaderboard")


def test_curves_show_the_chosen_candidate_and_its_best_epoch(tmp_path: Path) -> None:
    text = section(make_page(tmp_path), "curves")
    assert text.count("<figure") == 3 and text.count("<circle") == 12  # two charts and two seeds a row
    first = text.split("</svg>")[0]
    assert first.count('class="main"') == 1 and first.count('class="other"') == 1
    main = re.findall(r'd="([^"]*)" class="main"', first)[0]
    assert main.count("M") == 2 and main.startswith("M40 92.6 93 ")  # both seeds; 0.64 of 0.60 to 0.79
    assert 'cx="146"' in first  # epoch 2 of 0 to 4, between 40 and 252


def test_records_without_curves_say_so(tmp_path: Path) -> None:
    saved = [with_curves(run, ()) for run in study()]
    assert "hold no learning curve" in section(make_page(tmp_path, saved), "curves")
    saved[0] = with_curves(saved[0], (EpochRecord(0, 0.5, None),))
    text = section(make_page(tmp_path / "some", saved), "curves")
    assert text.count("<figure") == 1 and "mf-dr, " in text and "<title>training loss by epoch" in text


def test_overlap_is_told_once_per_propensity_with_its_range_and_warnings(tmp_path: Path) -> None:
    saved = study()
    saved[0] = replace_values(saved[0], "overlap", clip=0.1, clipped=0.5, ece=0.01, warnings=("too many clipped",))
    text = section(make_page(tmp_path, saved), "propensity")
    assert text.count('class="block"') == 1
    words = re.sub(r"<[^>]+>", " ", text)
    assert re.search(r"below the clip, 0\.1\s+0\.5\s", words) and re.search(r"below the clip, 0\.01\s+0\.125\s", words)
    assert "0.004 to 0.01" in words and "80 of 100" in words
    assert "too many clipped (mf-naive)." in words and "of rows of" not in words
    by_arm = {"none": 0.0, "arm 1": 0.75}
    saved[0] = replace_values(saved[0], "overlap", clipped_by_arm=by_arm)
    words = re.sub(r"<[^>]+>", " ", section(make_page(tmp_path / "arms", saved), "propensity"))
    assert re.search(r"of rows of none\s+0\s.*of rows of arm 1\s+0\.75\s", words)
    summary = record_summary(saved[0].record)
    assert [summary[f"overlap/clipped_by_arm/{arm}"] for arm in by_arm] == [0.0, 0.75]
    assert "Quantiles: 0 % 0.005, 1 % 0.02" in words and "age=30: 0.3 before, −0.05 after" in words
    saved[0] = replace_groups(saved[0], propensity={"_target_": "p.Logistic"})
    assert section(make_page(tmp_path / "two", saved), "propensity").count('class="block"') == 2


def test_calibration_weighs_its_bins_by_their_rows(tmp_path: Path) -> None:
    bins = (CalibrationBin(0.2, 0.3, 30), CalibrationBin(0.8, 0.6, 10), CalibrationBin(None, 0.5, 0))
    text = section(make_page(tmp_path, [complete_run("mf-ips", 0, 0.7, 0.2, calibration=bins)]), "calibration")
    assert "ECE 0.125" in text  # (30 * 0.1 + 10 * 0.2) / 40
    text = section(
        make_page(tmp_path / "without", [complete_run("mf-ips", 0, 0.7, 0.2, calibration=())]), "calibration"
    )
    assert "No calibration in the records of mf-ips" in text and "<svg" not in text


def test_maps_of_predictions_stand_beside_what_was_predicted(tmp_path: Path) -> None:
    bins = (CalibrationBin(0.3, 0.3, 30), CalibrationBin(0.6, 0.5, 10))
    curves = (
        ReliabilityCurve("randomised", False, (CalibrationBin(0.5, 0.3, 30),)),
        ReliabilityCurve("randomised_platt_weighted", True, bins),
    )
    run = complete_run("mf-ips", 0, 0.7, 0.2, calibration=bins, reliability=curves)
    text = section(make_page(tmp_path, [run]), "calibration")
    assert "randomised_platt_weighted: ECE 0.025" in text and text.count("<svg") == 2


def test_the_graph_says_what_each_node_is(tmp_path: Path) -> None:
    text = section(make_page(tmp_path), "graph")
    node_kinds = dict(re.findall(r'<g class="node (\w+)">.*?<text[^>]*>([^<]*)</text>', text))
    assert node_kinds == {"adjusted": "age", "latent": "taste", "exposure": "exposure", "outcome": "outcome"}
    assert text.count('class="arrow"') == 5 and "taste causes exposure" in text and "taste is small" in text
    saved = study()
    saved[0] = replace_groups(saved[0], graph={"edges": ["a -> b", "b -> a"]})
    assert "cannot be drawn" in section(make_page(tmp_path / "bad", saved), "graph")


def test_selection_tells_what_was_chosen_and_what_it_used(tmp_path: Path) -> None:
    saved = study()
    saved[0] = replace_values(saved[0], "selection", chosen={DECAY: 1.0}, fit="wd=1")
    row = section(make_page(tmp_path, saved), "selection").split(">mf-naive<")[1].split("</tr>")[0]
    cells = [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
    tried, chosen = "weight_decay=0.1, weight_decay=1", "weight_decay=0.1 ×1, weight_decay=1 ×1"
    assert cells == ["ips", "1", chosen, tried, "32 of 40", "selection", "2 to 3", "15", "2.0", "3"]


def test_the_audit_tells_leaks_by_word_and_sign(tmp_path: Path) -> None:
    assert "✓ none" in section(make_page(tmp_path), "audit")
    leaking = [replace_values(run, "audit", leaked_rows=3) for run in study()]
    text = section(make_page(tmp_path / "leak", leaking), "audit")
    assert "✗ 3" in text and "366 (drop_train)" in text


def test_provenance_names_commands_commit_versions_and_data(tmp_path: Path) -> None:
    folder = write_runs(tmp_path / "runs", study())
    (folder / ".ledger" / "launches").mkdir(parents=True)
    launch = {"command": "causalrec train -m seed=0,1", "jobs": []}
    (folder / ".ledger" / "launches" / "1.json").write_text(json.dumps(launch), encoding="utf-8")
    (folder / ".ledger" / "launches" / "2.json").write_text("{half", encoding="utf-8")
    (folder / ".ledger" / "failed").mkdir()
    mark = json.dumps({"reason": "killed <b>", "exit_code": 1})
    (folder / ".ledger" / "failed" / "mf-ips~seed3-abc~ffff").write_text(mark, encoding="utf-8")
    (folder / ".ledger" / "failed" / "row0~seed0~ffff").write_text(mark, encoding="utf-8")  # has a record since
    text = page(load_page_data(folder))
    provenance = html.unescape(text.split('id="provenance"')[1].split("</section>")[0])
    assert "causalrec train -m seed=0,1" in provenance and "6 commands" in provenance
    assert "causalrec train name=mf-dr seed=1" in provenance
    assert "a" * 40 in provenance and "uncommitted" in provenance and "2.13.0" in provenance and "ab" * 32 in provenance
    lost = text.split('id="failed"')[1].split("</section>")[0]
    assert "killed &lt;b&gt;" in lost and "mf-ips/seed3-abc" in lost and lost.count("<tr>") == 2


def test_records_without_a_command_are_counted(tmp_path: Path) -> None:
    saved = study()
    saved[0] = replace_values(saved[0], command="")
    assert "1 of 6 records hold no command" in make_page(tmp_path, saved)


def test_estimates_have_a_table_of_their_own(tmp_path: Path) -> None:
    estimate = EstimateRecord(row="ips", column="mse", truth=0.2, value=0.25, sd=0.1, low=0.2, high=0.3, draws=50)
    record = EstimationRecord(name="e", status="done", config={"seed": 0}, estimates=(estimate,))
    text = make_page(tmp_path, [EstimationFolder(Path("e"), record)])
    assert "0.250 ±0.100 [0.200, 0.300], 50 draws" in text and 'href="#estimates"' in text


@pytest.mark.long
def test_five_hundred_records_fit_in_five_megabytes(tmp_path: Path) -> None:
    runs = [complete_run(f"encoder-objective{k}", s, 0.6 + 0.001 * k, 0.2) for k in range(50) for s in range(10)]
    long = tuple(EpochRecord(k, 0.7 - 0.01 * k, 0.61234 + 0.001 * (k - 9) ** 2) for k in range(30))
    bins = tuple(CalibrationBin(k / 10, k / 11, 10) for k in range(10))
    runs = [replace_values(with_curves(run, long), calibration=bins) for run in runs]
    text = make_page(tmp_path, runs)
    assert "500 finished runs" in text and len(text.encode()) < 5_000_000


def options(folder: Path, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"folder": folder, "out": None, "columns": "", "json": False, **changes})


def test_the_command_writes_beside_the_records_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_runs(tmp_path / "runs", [*study(), failed_run()])
    (folder / "cut").mkdir()
    (folder / "cut" / "record.json").write_text("{", encoding="utf-8")
    assert command(options(folder)) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{folder / 'report.html'}\n" and "cut/record.json: " in shown.err
    out = tmp_path / "elsewhere" / "page.html"
    assert command(options(folder, out=out, columns=AUC, json=True)) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["records"], summary["failed"], summary["broken"]) == (7, 1, 1)
    assert summary["bytes"] == out.stat().st_size and summary["tables"][0]["rows"][0] == "constant"
    assert MSE not in section(out.read_text(encoding="utf-8"), "leaderboard")
    assert sorted(path.name for path in out.parent.iterdir()) == ["page.html"]


@pytest.mark.parametrize("name", ["page.txt", "folder.html"])
def test_the_command_refuses_a_place_that_is_no_page(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RequestError, match="--out"):
        command(options(write_runs(tmp_path / "runs", study()), out=tmp_path / name))


def test_the_same_records_make_the_same_page(tmp_path: Path) -> None:
    folder = write_runs(tmp_path / "runs", study())
    assert page(load_page_data(folder)) == page(load_page_data(folder))
    assert np.isfinite(len(page(load_page_data(folder))))
