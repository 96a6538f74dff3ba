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
from handmade import changed, reconfigured, task
from report_records import DECAY, EDGES, HOSTILE, complete_run, failed, study, write
from scipy.stats import t

from causalrec.commands.report import report as command
from causalrec.errors import DataError, RequestError
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.run_folder import AnyFolder, EstimationFolder, RunFolder, load_folders, runs_of
from causalrec.records.sections import CalibrationBin, DataSection, EpochRecord
from causalrec.reporting.compare import compared
from causalrec.reporting.html.differences import MOST, differences, direction, embedded, ordered, rivals
from causalrec.reporting.html.leaderboard import footnotes
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

    def of(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        found = [attributes for name, attributes in self.elements if name == tag]
        return [one for one in found if all(one.get(key.rstrip("_")) == value for key, value in wanted.items())]

    def text(self) -> str:
        return " ".join(data for tag, data in self.words if tag not in ("script", "style"))


def made(tmp_path: Path, saved: Sequence[AnyFolder] | None = None, columns: tuple[str, ...] = ()) -> str:
    folder = write(tmp_path / "my_sweep", study() if saved is None else saved)
    report(folder, tmp_path / "out.html", columns)
    return (tmp_path / "out.html").read_text(encoding="utf-8")


def part_of(tmp_path: Path, saved: list[RunFolder]) -> PageTable:
    parts = load_page_data(write(tmp_path / "runs", saved)).tables
    assert len(parts) == 1
    return parts[0]


def with_curves(one: RunFolder, curve: tuple[EpochRecord, ...]) -> RunFolder:
    candidates = tuple(dataclasses.replace(tried, curve=curve) for tried in one.record.selection.candidates)
    return changed(one, "selection", candidates=candidates)


def section(text: str, name: str) -> str:
    return text.split(f'id="p0-{name}"')[1].split("</section>")[0]


def test_the_page_is_whole_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    found = Page(made(tmp_path))
    assert found.inside == []
    ids = [one["id"] for _, one in found.elements if "id" in one]
    assert len(ids) == len(set(ids)) > 10
    links = [one["href"] for one in found.of("a")]
    assert len(links) > 9 and all(link and link.startswith("#") and link[1:] in ids for link in links)
    tips = re.findall(r"url\(#([^)]*)\)", str([one for _, one in found.elements]))
    assert tips and set(tips) <= set(ids)


def test_every_header_cell_has_a_scope_every_table_a_caption_every_chart_words(tmp_path: Path) -> None:
    text = made(tmp_path)
    found = Page(text)
    assert found.of("th") and all(one.get("scope") in ("col", "row") for one in found.of("th"))
    assert len(found.of("caption")) == len(found.of("table")) >= 6
    charts = found.of("svg", role="img")
    assert charts and len(
        re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>", text)
    ) == len(charts)
    assert all(one.get("role") == "img" or one.get("aria-hidden") == "true" for one in found.of("svg"))


def test_a_name_that_is_markup_stays_a_name(tmp_path: Path) -> None:
    text = made(tmp_path)
    found = Page(text)
    assert len(found.of("script")) == 2 and found.of("img") == []
    assert html.escape(HOSTILE) in text and HOSTILE not in text
    held = json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[0])
    assert HOSTILE in held[0]["rows"]


@pytest.mark.parametrize("where", ["error", "command", "git_sha", "warning", "file", "version", "criterion", "node"])
def test_no_part_of_a_record_is_read_as_markup(tmp_path: Path, where: str) -> None:
    evil, one = "<img src=x onerror=hacked()>", complete_run("mf-ips", 0, 0.7, 0.2)
    graph = {**one.record.config["graph"], "edges": [*EDGES, f"{evil} -> outcome"]}  # type: ignore[dict-item]
    one = reconfigured(one, graph=graph)
    one = changed(
        one, command=evil, git_sha=evil, versions={evil: evil}, data=DataSection(name=evil, sha256={evil: evil})
    )
    one = changed(changed(one, "overlap", warnings=(evil,)), "selection", criterion=evil)
    broken = failed(evil, error=f"{evil}\n{evil}")
    text = made(tmp_path, [one, broken])
    assert Page(text).of("img") == []
    assert text.count(html.escape(evil)) > 10


def test_the_page_may_load_nothing_and_run_its_own_script_only(tmp_path: Path) -> None:
    text = made(tmp_path)
    found = Page(text)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = found.of("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert not [one for _, one in found.elements if "src" in one or any(key.startswith("on") for key in one)]
    assert found.of("link") == [] and "@import" not in text and "http:" not in text.replace("http://www.w3.org", "")


def test_rows_are_ordered_by_the_first_column_best_first(tmp_path: Path) -> None:
    part = part_of(tmp_path, study())
    assert ordered(part) == ["mf-dr", "mf-naive", HOSTILE, "constant"]
    assert (direction(part, AUC), direction(part, MSE), direction(part, "bias@randomised")) == (1, -1, 0)
    text = made(tmp_path / "again", columns=(MSE, AUC))
    names = re.findall(r'<th scope="row" data-v="([^"]*)">', section(text, "leaderboard"))
    assert names == ["mf-naive", "mf-dr", html.escape(HOSTILE), "constant"]
    assert re.findall(r'aria-sort="(\w+)"', section(text, "leaderboard")) == ["none", "ascending", "none", "none"]


def test_a_cell_shows_mean_sd_and_interval_and_the_best_is_marked(tmp_path: Path) -> None:
    text = section(made(tmp_path), "leaderboard")
    row = text.split('data-v="mf-dr"')[1].split("</tr>")[0]
    assert row.count(" best</span>") == 1 and '<b class="mean">0.745' in row and "±0.007" in row
    assert re.search(r"\[0\.7\d\d, 0\.7\d\d\]", row) and row.endswith('<td data-v="2">2</td>')
    assert "baseline" in text.split('data-v="constant"')[1].split("</tr>")[0]
    assert "n 100" in text


def test_footnotes_that_all_rows_share_are_told_once(tmp_path: Path) -> None:
    told = footnotes(part_of(tmp_path, study()).table)
    assert "Every row: assumed, not identified: taste is small." in told
    some = [*study()[:2], *(changed(one, "adjustment", propensity_reads=()) for one in study()[2:4])]
    told = footnotes(part_of(tmp_path / "some", some).table)
    assert "mf-dr: propensity=popularity reads [], the adjustment set is ['age']." in told


def test_differences_are_those_of_the_comparison_with_their_intervals(tmp_path: Path) -> None:
    saved = study()
    part = part_of(tmp_path, saved)
    for column in (AUC, MSE):
        for to in ("mf-naive", "constant", "mf-dr"):
            ours = {one.row: one for one in differences(part)[column][to]}
            theirs = {one.row: one for one in compared(runs_of(load_folders(tmp_path / "runs")), to, column)}
            assert ours.keys() == theirs.keys() and len(ours) == 3
            for row, one in ours.items():
                other = theirs[row]
                assert (one.difference, one.adjusted) == pytest.approx((other.difference, other.adjusted))
                assert (one.real, one.seeds) == (other.real, 2)
                assert one.half == pytest.approx(t.ppf(0.975, other.df) * other.se)


def test_a_page_holds_every_pair_to_four_digits(tmp_path: Path) -> None:
    part = part_of(tmp_path, study())
    held = embedded(part)
    place = {row: k for k, row in enumerate(held["rows"])}
    found = {row: rest for row, *rest in held["cells"][AUC][str(place["mf-naive"])]}
    assert found[place["mf-dr"]][0] == pytest.approx(0.04) and found[place["constant"]][0] == pytest.approx(-0.205)
    assert held["better"] == {AUC: 1, MSE: -1, "bias@randomised": 0} and held["baselines"] == 1


def test_a_run_without_leave_groups_out_values_is_not_compared(tmp_path: Path) -> None:
    saved = study()
    saved[2] = RunFolder(saved[2].folder, saved[2].record, saved[2].replicates, {})
    found = {one.row: one.seeds for one in differences(part_of(tmp_path, saved))[AUC]["mf-naive"]}
    assert found["mf-dr"] == 1 and found[HOSTILE] == 2


def test_many_rows_are_compared_to_baselines_and_best_rows_only(tmp_path: Path) -> None:
    saved = [complete_run(f"row{k}", 0, 0.6 + 0.001 * k, 0.2 + 0.001 * k) for k in range(MOST)]
    part = part_of(tmp_path, saved)
    assert rivals(part) == ["constant", f"row{MOST - 1}", "row0"]
    assert set(differences(part)[AUC]) == set(rivals(part))
    assert "only baselines and best rows are offered" in page(load_page_data(tmp_path / "runs"))


def test_failed_and_truncated_records_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs", [*study(), failed()])
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
    found = load_page_data(folder)
    assert {one.path.split("/")[0] for one in found.broken} == {"cut", "old", "odd", "row1"}
    text = page(found)
    told = text.split('id="failed"')[1].split("</section>")[0]
    assert "line 3 is short" in told and "&lt;b&gt;second line" in told and "<code>row6/seed7</code>" in told
    assert "not a whole record" in told and "no `selection` in it" in told and "cut/record.json" in told
    assert "5 failed or broken" in text and str(tmp_path) not in told
    assert "mf-dr" in section(text, "leaderboard")


def test_without_a_finished_run_the_page_says_so(tmp_path: Path) -> None:
    text = made(tmp_path, [failed()])
    assert "No finished run" in text and "line 3 is short" in text
    assert "failed or broken" not in made(tmp_path / "fine")


def test_an_empty_folder_or_an_unknown_column_is_refused_and_the_old_page_stays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no record\.json"):
        report(tmp_path, tmp_path / "out.html")
    old = made(tmp_path)
    with pytest.raises(RequestError, match="did you mean 'auc@randomised'"):
        report(tmp_path / "my_sweep", tmp_path / "out.html", ("auc@randomized",))
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == old


def test_a_debiased_outcome_is_never_called_an_effect(tmp_path: Path) -> None:
    text = Page(made(tmp_path)).text()
    assert "E[outcome | do(exposure)]" in text
    assert len(re.findall(r"\beffects?\b", text)) == len(re.findall(r"not an effect\b", text)) >= 2
    effects = [changed(one, task=task("effect")) for one in study()]
    text = Page(made(tmp_path / "effects", effects)).text()
    assert "effect: E[outcome(1) − outcome(0)]" in text and "not an effect" not in text


def test_two_estimands_have_an_article_each(tmp_path: Path) -> None:
    other = [changed(one, task=task("effect")) for one in study()[:2]]
    text = made(tmp_path, [*study()[2:], *other])
    titles = re.findall(r"<article><h2>([^<]*)<", text)
    assert titles == [f"coat (1 = rating &gt;= 3), {name}, training rows t" for name in ("exposed_mean", "effect")]
    assert 'id="p1-leaderboard"' in text and text.count(f"<b>{titles[1]}</b>") == 1
    assert "mf-naive" not in section(text, "leaderboard")


def test_curves_show_the_chosen_candidate_and_its_best_epoch(tmp_path: Path) -> None:
    text = section(made(tmp_path), "curves")
    assert text.count("<figure") == 3 and text.count("<circle") == 12  # two charts and two seeds a row
    first = text.split("</svg>")[0]
    assert first.count('class="main"') == 1 and first.count('class="other"') == 1
    main = re.findall(r'd="([^"]*)" class="main"', first)[0]
    assert main.count("M") == 2 and main.startswith("M40 92.6 93 ")  # both seeds; 0.64 of 0.60 to 0.79
    assert 'cx="146"' in first  # epoch 2 of 0 to 4, between 40 and 252


def test_records_without_curves_say_so(tmp_path: Path) -> None:
    saved = [with_curves(one, ()) for one in study()]
    assert "hold no learning curve" in section(made(tmp_path, saved), "curves")
    saved[0] = with_curves(saved[0], (EpochRecord(0, 0.5, None),))
    text = section(made(tmp_path / "some", saved), "curves")
    assert text.count("<figure") == 1 and "mf-dr, " in text and "<title>training loss by epoch" in text


def test_overlap_is_told_once_per_propensity_with_its_range_and_warnings(tmp_path: Path) -> None:
    saved = study()
    saved[0] = changed(saved[0], "overlap", clip=0.1, clipped=0.5, ece=0.01, warnings=("too many clipped",))
    text = section(made(tmp_path, saved), "propensity")
    assert text.count('class="block"') == 1
    words = re.sub(r"<[^>]+>", " ", text)
    assert re.search(r"below the clip, 0\.1\s+0\.5\s", words) and re.search(r"below the clip, 0\.01\s+0\.125\s", words)
    assert "0.004 to 0.01" in words and "80 of 100" in words
    assert "too many clipped (mf-naive)." in words
    assert "Quantiles: 0 % 0.005, 1 % 0.02" in words and "age=30: 0.3 before, −0.05 after" in words
    saved[0] = reconfigured(saved[0], propensity={"_target_": "p.Logistic"})
    assert section(made(tmp_path / "two", saved), "propensity").count('class="block"') == 2


def test_calibration_weighs_its_bins_by_their_rows(tmp_path: Path) -> None:
    bins = (CalibrationBin(0.2, 0.3, 30), CalibrationBin(0.8, 0.6, 10), CalibrationBin(None, 0.5, 0))
    text = section(made(tmp_path, [complete_run("mf-ips", 0, 0.7, 0.2, calibration=bins)]), "calibration")
    assert "ECE 0.125" in text  # (30 * 0.1 + 10 * 0.2) / 40
    text = section(made(tmp_path / "without", [complete_run("mf-ips", 0, 0.7, 0.2, calibration=())]), "calibration")
    assert "No calibration in the records of mf-ips" in text and "<svg" not in text


def test_the_graph_says_what_each_node_is(tmp_path: Path) -> None:
    text = section(made(tmp_path), "graph")
    drawn = dict(re.findall(r'<g class="node (\w+)">.*?<text[^>]*>([^<]*)</text>', text))
    assert drawn == {"adjusted": "age", "latent": "taste", "exposure": "exposure", "outcome": "outcome"}
    assert text.count('class="arrow"') == 5 and "taste causes exposure" in text and "taste is small" in text
    saved = study()
    saved[0] = reconfigured(saved[0], graph={"edges": ["a -> b", "b -> a"]})
    assert "cannot be drawn" in section(made(tmp_path / "bad", saved), "graph")


def test_selection_tells_what_was_chosen_and_what_it_used(tmp_path: Path) -> None:
    saved = study()
    saved[0] = changed(saved[0], "selection", chosen={DECAY: 1.0}, fit="wd=1")
    row = section(made(tmp_path, saved), "selection").split(">mf-naive<")[1].split("</tr>")[0]
    cells = [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
    tried, chosen = "weight_decay=0.1, weight_decay=1", "weight_decay=0.1 ×1, weight_decay=1 ×1"
    assert cells == ["ips", "1", chosen, tried, "32 of 40", "selection", "2 to 3", "15", "2.0", "3"]


def test_the_audit_tells_leaks_by_word_and_sign(tmp_path: Path) -> None:
    assert "✓ none" in section(made(tmp_path), "audit")
    leaking = [changed(one, "audit", leaked_rows=3) for one in study()]
    text = section(made(tmp_path / "leak", leaking), "audit")
    assert "✗ 3" in text and "366 (drop_train)" in text


def test_provenance_names_commands_commit_versions_and_data(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs", study())
    (folder / ".ledger" / "launches").mkdir(parents=True)
    launch = {"command": "causalrec train -m seed=0,1", "jobs": []}
    (folder / ".ledger" / "launches" / "1.json").write_text(json.dumps(launch), encoding="utf-8")
    (folder / ".ledger" / "launches" / "2.json").write_text("{half", encoding="utf-8")
    (folder / ".ledger" / "failed").mkdir()
    mark = json.dumps({"reason": "killed <b>", "exit_code": 1})
    (folder / ".ledger" / "failed" / "mf-ips~seed3-abc~ffff").write_text(mark, encoding="utf-8")
    (folder / ".ledger" / "failed" / "row0~seed0~ffff").write_text(mark, encoding="utf-8")  # has a record since
    text = page(load_page_data(folder))
    told = html.unescape(text.split('id="provenance"')[1].split("</section>")[0])
    assert "causalrec train -m seed=0,1" in told and "6 commands" in told
    assert "causalrec train name='mf-dr' seed=1" in told
    assert "a" * 40 in told and "uncommitted" in told and "2.13.0" in told and "ab" * 32 in told
    lost = text.split('id="failed"')[1].split("</section>")[0]
    assert "killed &lt;b&gt;" in lost and "mf-ips/seed3-abc" in lost and lost.count("<tr>") == 2


def test_records_without_a_command_are_counted(tmp_path: Path) -> None:
    saved = study()
    saved[0] = changed(saved[0], command="")
    assert "1 of 6 records hold no command" in made(tmp_path, saved)


def test_estimates_have_a_table_of_their_own(tmp_path: Path) -> None:
    one = EstimateRecord(row="ips", column="mse", truth=0.2, value=0.25, sd=0.1, low=0.2, high=0.3, draws=50)
    record = EstimationRecord(name="e", status="done", config={"seed": 0}, estimates=(one,))
    text = made(tmp_path, [EstimationFolder(Path("e"), record)])
    assert "0.250 ±0.100 [0.200, 0.300], 50 draws" in text and 'href="#estimates"' in text


@pytest.mark.long
def test_five_hundred_records_fit_in_five_megabytes(tmp_path: Path) -> None:
    made_once = [complete_run(f"encoder-objective{k}", s, 0.6 + 0.001 * k, 0.2) for k in range(50) for s in range(10)]
    long = tuple(EpochRecord(k, 0.7 - 0.01 * k, 0.61234 + 0.001 * (k - 9) ** 2) for k in range(30))
    bins = tuple(CalibrationBin(k / 10, k / 11, 10) for k in range(10))
    made_once = [changed(with_curves(one, long), calibration=bins) for one in made_once]
    text = made(tmp_path, made_once)
    assert "500 finished runs" in text and len(text.encode()) < 5_000_000


def options(folder: Path, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"folder": folder, "out": None, "columns": "", "json": False, **changes})


def test_the_command_writes_beside_the_records_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "runs", [*study(), failed()])
    (folder / "cut").mkdir()
    (folder / "cut" / "record.json").write_text("{", encoding="utf-8")
    assert command(options(folder)) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{folder / 'report.html'}\n" and "cut/record.json: " in shown.err
    out = tmp_path / "elsewhere" / "page.html"
    assert command(options(folder, out=out, columns=AUC, json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["failed"], told["broken"]) == (7, 1, 1)
    assert told["bytes"] == out.stat().st_size and told["tables"][0]["rows"][0] == "constant"
    assert MSE not in section(out.read_text(encoding="utf-8"), "leaderboard")
    assert sorted(path.name for path in out.parent.iterdir()) == ["page.html"]


@pytest.mark.parametrize("name", ["page.txt", "folder.html"])
def test_the_command_refuses_a_place_that_is_no_page(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RequestError, match="--out"):
        command(options(write(tmp_path / "runs", study()), out=tmp_path / name))


def test_the_same_records_make_the_same_page(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs", study())
    assert page(load_page_data(folder)) == page(load_page_data(folder))
    assert np.isfinite(len(page(load_page_data(folder))))
