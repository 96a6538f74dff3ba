"""The page in a browser: drawn from disk alone, sorted, filtered, compared, on a phone, in the dark, on paper."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, find_browser
from handmade import replace_values
from report_records import HOSTILE, complete_run, failed_run, study, write_runs

from causalrec.reporting.html.differences import differences
from causalrec.reporting.html.page import report
from causalrec.reporting.html.page_data import load_page_data

pytestmark = pytest.mark.skipif(
    find_browser() is None and os.environ.get("CAUSALREC_REQUIRE_BROWSER") != "1",
    reason="no chromium on the PATH: apt-get install chromium (CAUSALREC_REQUIRE_BROWSER=1 makes this a failure)",
)
AUC, MSE = "auc@randomised", "mse@randomised"
ROWS = "[...document.querySelectorAll('.leader tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].dataset.v)"
SORTS = "[...document.querySelectorAll('.leader thead th')].map(h => h.getAttribute('aria-sort'))"
FOREST = "[...document.querySelectorAll('.forest tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
LUMINANCE = """(colour => {
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const [red, green, blue] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => linear(v / 255));
  return .2126 * red + .7152 * green + .0722 * blue;
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_runs(tmp_path_factory.mktemp("records") / "runs", [*study(), failed_run()])
    report(folder, folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    new_browser = Browser(tmp_path_factory.mktemp("profile"))
    yield new_browser
    new_browser.close()


@pytest.fixture
def report_page(folder: Path, browser: Browser) -> Browser:
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.open(folder / "report.html")
    return browser


def resize(browser: Browser, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 500)


def test_it_opens_without_a_network_and_without_a_complaint(report_page: Browser, folder: Path) -> None:
    assert report_page.value("document.title") == "runs: causalrec report"
    assert report_page.requests() == [(folder / "report.html").as_uri()]
    assert report_page.complaints() == []


def test_a_hostile_name_is_shown_and_does_nothing(report_page: Browser) -> None:
    assert HOSTILE in report_page.value(ROWS)
    assert HOSTILE in [row[0] for row in report_page.value(FOREST)]
    assert report_page.value("typeof hacked") == "undefined"
    assert report_page.value("document.querySelectorAll('script').length + document.images.length") == 2
    assert HOSTILE in report_page.value("document.querySelector('.rival').textContent")


def test_a_script_that_slipped_in_would_not_run(report_page: Browser) -> None:
    report_page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    report_page.value("new Promise(done => setTimeout(done, 100))")
    report_page.value(
        "{ const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s); }"
    )
    assert report_page.value("typeof hacked") == "undefined"
    assert any("Content Security Policy" in complaint for complaint in report_page.complaints())


def test_columns_sort_by_click_and_tell_so(report_page: Browser) -> None:
    assert report_page.value(SORTS) == ["none", "descending", "none", "none", "none"]
    assert report_page.value(ROWS) == ["mf-dr", "mf-naive", HOSTILE, "constant"]
    click = "document.querySelectorAll('.leader thead button')[{}].click()"
    report_page.value(click.format(2))
    assert report_page.value(SORTS) == ["none", "none", "ascending", "none", "none"], "less of an error is better"
    assert report_page.value(ROWS) == ["mf-naive", "mf-dr", HOSTILE, "constant"]
    report_page.value(click.format(2))
    assert report_page.value(SORTS)[2] == "descending"
    assert report_page.value(ROWS) == ["constant", HOSTILE, "mf-dr", "mf-naive"]
    report_page.value(click.format(0))
    assert report_page.value(ROWS) == [HOSTILE, "constant", "mf-dr", "mf-naive"]


def test_columns_sort_by_keyboard(report_page: Browser) -> None:
    report_page.value("document.querySelectorAll('.leader thead button')[1].focus()")
    report_page.key("Enter", 13)
    assert report_page.value(SORTS)[1] == "ascending"
    assert report_page.value(ROWS)[0] == "constant"
    report_page.key("Tab", 9)
    report_page.key(" ", 32)
    assert report_page.value(SORTS)[1:3] == ["none", "ascending"]


def test_rows_without_a_value_sort_last_either_way(browser: Browser, tmp_path: Path) -> None:
    saved = study()
    for k, run in enumerate(saved[2:4], 2):
        saved[k] = replace_values(run, scores=tuple(score for score in run.record.scores if score.metric != "mse"))
    write_runs(tmp_path / "runs", saved)
    report(tmp_path / "runs", tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    for _ in range(2):
        browser.value("document.querySelectorAll('.leader thead button')[2].click()")
        assert browser.value(ROWS)[-1] == "mf-dr"


def test_the_filter_hides_rows_everywhere_and_counts(report_page: Browser) -> None:
    typed = "{{ const i = document.querySelector('.filter'); i.value = '{}'; i.dispatchEvent(new Event('input')); }}"
    report_page.value(typed.format("MF dr"))
    assert report_page.value(ROWS) == ["mf-dr"]
    assert report_page.value("document.querySelector('.count').value") == "1 of 4 rows"
    shown = (
        "[...document.querySelectorAll('#p0-curves [data-row]')].filter(f => f.offsetParent).map(f => f.dataset.row)"
    )
    assert report_page.value(shown) == ["mf-dr"]
    report_page.value(
        "{ const s = document.querySelector('.column'); s.selectedIndex = 1; s.dispatchEvent(new Event('change')); }"
    )
    seen = "[...document.querySelectorAll('.forest tbody tr')].filter(r => !r.hidden).map(r => r.dataset.row)"
    assert report_page.value(seen) == ["mf-dr"], "a forest drawn anew keeps the filter"
    report_page.value(typed.format(""))
    assert len(report_page.value(ROWS)) == 4 and report_page.value("document.querySelector('.count').value") == "4 rows"


def choose(browser: Browser, rival: str, column: str) -> None:
    browser.value(
        f"{{ const [r, c] = [document.querySelector('.rival'), document.querySelector('.column')];"
        f"r.value = [...r.options].find(o => o.text === {json.dumps(rival)}).value; c.value = {json.dumps(column)};"
        "r.dispatchEvent(new Event('change')); }"
    )


@pytest.mark.parametrize(("rival", "column"), [("mf-naive", AUC), ("constant", MSE), (HOSTILE, AUC)])
def test_the_forest_draws_what_was_computed(report_page: Browser, folder: Path, rival: str, column: str) -> None:
    choose(report_page, rival, column)
    expected = differences(load_page_data(folder).tables[0])[column][rival]
    rows = {row[0].removesuffix("baseline"): row[2:] for row in report_page.value(FOREST)}
    assert rows.keys() == {comparison.row for comparison in expected} and len(rows) == 3
    for comparison in expected:
        difference, interval, p, runs = rows[comparison.row]
        low, high = (float(end.replace("−", "-")) for end in interval.strip("[]").split(","))
        assert float(difference.replace("−", "-")) == pytest.approx(comparison.difference, abs=6e-5)
        assert (low, high) == pytest.approx(
            (comparison.difference - comparison.half, comparison.difference + comparison.half), abs=2e-4
        )
        assert p.endswith("*") == comparison.real and runs == "2"
    best_first = [row[0].removesuffix("baseline") for row in report_page.value(FOREST)]
    sign = -1 if column == MSE else 1
    assert best_first == [
        comparison.row for comparison in sorted(expected, key=lambda comparison: -sign * comparison.difference)
    ]
    assert rival in report_page.value("document.querySelector('.scale').textContent")


def test_a_dot_lies_where_its_number_says(report_page: Browser) -> None:
    choose(report_page, "mf-naive", AUC)
    where = "[...document.querySelectorAll('.forest .mark')].map(m => [parseFloat(m.style.left), m.className])"
    rows, marks = report_page.value(FOREST), report_page.value(where)
    assert [mark[1] for mark in marks] == ["mark", "mark", "mark off"], "a baseline far off must not squeeze the rest"
    centre = [(float(row[2].replace("−", "-")), mark[0]) for row, mark in zip(rows, marks, strict=True)]
    assert centre[0][0] > 0 and centre[0][1] > 50 and centre[1][0] < 0 and centre[1][1] < 50
    slope = [(left - 50) / difference for difference, left in centre[:2]]
    assert slope[0] == pytest.approx(slope[1], rel=1e-3)


def test_a_pair_that_cannot_be_compared_is_told(browser: Browser, tmp_path: Path) -> None:
    run = complete_run("mf-ips", 0, 0.7, 0.2)
    run.jackknife.clear()
    report(write_runs(tmp_path / "runs", [run]), tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    assert "hold no leave-groups-out values" in browser.value("document.querySelector('.forest tbody').textContent")
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [390, 320, 768])
def test_a_narrow_page_does_not_scroll_sideways_but_its_tables_do(report_page: Browser, width: int) -> None:
    resize(report_page, width)
    assert report_page.value("document.scrollingElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.box')].filter(b => b.scrollWidth > b.clientWidth).length"
    assert report_page.value("innerWidth") == width and (width > 500 or report_page.value(wide) >= 2)
    outside = "[...document.querySelectorAll('main p, main figure, main .box, main li, nav, header *, main dl')]"
    assert report_page.value(f"{outside}.filter(e => e.getBoundingClientRect().right > {width} + 1).length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(report_page: Browser, scheme: str) -> None:
    report_page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def luminance(element: str, css_property: str) -> float:
        return float(
            report_page.value(f"{LUMINANCE}(getComputedStyle(document.querySelector('{element}')).{css_property})")
        )

    paper = luminance("body", "backgroundColor")
    assert (paper < 0.05) if scheme == "dark" else (paper > 0.9)
    for selector in (
        "body",
        ".note",
        ".ends",
        ".leader i",
        ".badge",
        "nav a",
        "td",
        "figcaption",
        ".bad",
        ".good",
        "a",
        "dt",
    ):
        ink = luminance(selector, "color")
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, (selector, contrast)
    for selector in (".node text", ".chart text", ".node .role"):
        ink = luminance(selector, "fill")
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, selector


def test_a_reader_of_the_screen_finds_named_parts(report_page: Browser) -> None:
    nodes: list[dict[str, Any]] = report_page.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        named.setdefault(node.get("role", {}).get("value", ""), []).append(node.get("name", {}).get("value", ""))
    assert {"Leaderboard", "Differences", "Causal graph"} <= set(named["region"])
    assert all(named["image"]) and all(named["button"]) and all(named["table"]) and all(named["combobox"])
    assert "Filter rows by text" in named["searchbox"] and named["navigation"] == ["Contents"]
    assert "mf-dr" in named["rowheader"]


def test_paper_shows_what_is_folded_and_no_controls(report_page: Browser) -> None:
    assert report_page.value("[...document.querySelectorAll('details')].some(d => !d.open)")
    pdf = base64.b64decode(report_page.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    assert report_page.value("[...document.querySelectorAll('details')].every(d => d.open)")
    report_page.call("Emulation.setEmulatedMedia", media="print")
    gone = "['nav', '.tools'].map(s => getComputedStyle(document.querySelector(s)).display)"
    assert report_page.value(gone) == ["none", "none"]
    assert report_page.value("getComputedStyle(document.querySelector('.box')).overflowX") == "visible"


@pytest.mark.long
def test_five_hundred_rows_are_sorted_in_a_moment(browser: Browser, tmp_path: Path) -> None:
    saved = [complete_run(f"row{k}", 0, 0.5 + 0.0005 * k, 0.3 - 0.0002 * k) for k in range(500)]
    report(write_runs(tmp_path / "runs", saved), tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    click = "document.querySelectorAll('.leader thead button')[0].click(); "
    spent = browser.value(f"{{ const start = performance.now(); {click} performance.now() - start }}")
    assert browser.value(ROWS)[:3] == ["constant", "row0", "row1"], "numbers in names sort as numbers"
    assert spent < 2000
