"""The page in a browser: drawn from disk alone, sorted, filtered, compared, on a phone, in the dark, on paper."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, found
from handmade import changed
from report_records import HOSTILE, complete_run, failed, study, write

from causalrec.reporting.html.differences import differences
from causalrec.reporting.html.page import report
from causalrec.reporting.html.page_data import load_page_data

pytestmark = pytest.mark.skipif(
    found() is None and os.environ.get("CAUSALREC_REQUIRE_BROWSER") != "1",
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
    folder = write(tmp_path_factory.mktemp("records") / "runs", [*study(), failed()])
    report(folder, folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def drawn(folder: Path, browser: Browser) -> Browser:
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.open(folder / "report.html")
    return browser


def resized(browser: Browser, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 500)


def test_it_opens_without_a_network_and_without_a_complaint(drawn: Browser, folder: Path) -> None:
    assert drawn.value("document.title") == "runs: causalrec report"
    assert drawn.requests() == [(folder / "report.html").as_uri()]
    assert drawn.complaints() == []


def test_a_hostile_name_is_shown_and_does_nothing(drawn: Browser) -> None:
    assert HOSTILE in drawn.value(ROWS)
    assert HOSTILE in [row[0] for row in drawn.value(FOREST)]
    assert drawn.value("typeof hacked") == "undefined"
    assert drawn.value("document.querySelectorAll('script').length + document.images.length") == 2
    assert HOSTILE in drawn.value("document.querySelector('.rival').textContent")


def test_a_script_that_slipped_in_would_not_run(drawn: Browser) -> None:
    drawn.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    drawn.value("new Promise(done => setTimeout(done, 100))")
    drawn.value(
        "{ const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s); }"
    )
    assert drawn.value("typeof hacked") == "undefined"
    assert any("Content Security Policy" in told for told in drawn.complaints())


def test_columns_sort_by_click_and_tell_so(drawn: Browser) -> None:
    assert drawn.value(SORTS) == ["none", "descending", "none", "none", "none"]
    assert drawn.value(ROWS) == ["mf-dr", "mf-naive", HOSTILE, "constant"]
    click = "document.querySelectorAll('.leader thead button')[{}].click()"
    drawn.value(click.format(2))
    assert drawn.value(SORTS) == ["none", "none", "ascending", "none", "none"], "less of an error is better"
    assert drawn.value(ROWS) == ["mf-naive", "mf-dr", HOSTILE, "constant"]
    drawn.value(click.format(2))
    assert drawn.value(SORTS)[2] == "descending"
    assert drawn.value(ROWS) == ["constant", HOSTILE, "mf-dr", "mf-naive"]
    drawn.value(click.format(0))
    assert drawn.value(ROWS) == [HOSTILE, "constant", "mf-dr", "mf-naive"]


def test_columns_sort_by_keyboard(drawn: Browser) -> None:
    drawn.value("document.querySelectorAll('.leader thead button')[1].focus()")
    drawn.key("Enter", 13)
    assert drawn.value(SORTS)[1] == "ascending"
    assert drawn.value(ROWS)[0] == "constant"
    drawn.key("Tab", 9)
    drawn.key(" ", 32)
    assert drawn.value(SORTS)[1:3] == ["none", "ascending"]


def test_rows_without_a_value_sort_last_either_way(browser: Browser, tmp_path: Path) -> None:
    saved = study()
    for k, one in enumerate(saved[2:4], 2):
        saved[k] = changed(one, scores=tuple(score for score in one.record.scores if score.metric != "mse"))
    write(tmp_path / "runs", saved)
    report(tmp_path / "runs", tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    for _ in range(2):
        browser.value("document.querySelectorAll('.leader thead button')[2].click()")
        assert browser.value(ROWS)[-1] == "mf-dr"


def test_the_filter_hides_rows_everywhere_and_counts(drawn: Browser) -> None:
    typed = "{{ const i = document.querySelector('.filter'); i.value = '{}'; i.dispatchEvent(new Event('input')); }}"
    drawn.value(typed.format("MF dr"))
    assert drawn.value(ROWS) == ["mf-dr"]
    assert drawn.value("document.querySelector('.count').value") == "1 of 4 rows"
    shown = (
        "[...document.querySelectorAll('#p0-curves [data-row]')].filter(f => f.offsetParent).map(f => f.dataset.row)"
    )
    assert drawn.value(shown) == ["mf-dr"]
    drawn.value(
        "{ const s = document.querySelector('.column'); s.selectedIndex = 1; s.dispatchEvent(new Event('change')); }"
    )
    seen = "[...document.querySelectorAll('.forest tbody tr')].filter(r => !r.hidden).map(r => r.dataset.row)"
    assert drawn.value(seen) == ["mf-dr"], "a forest drawn anew keeps the filter"
    drawn.value(typed.format(""))
    assert len(drawn.value(ROWS)) == 4 and drawn.value("document.querySelector('.count').value") == "4 rows"


def choose(browser: Browser, rival: str, column: str) -> None:
    browser.value(
        f"{{ const [r, c] = [document.querySelector('.rival'), document.querySelector('.column')];"
        f"r.value = [...r.options].find(o => o.text === {json.dumps(rival)}).value; c.value = {json.dumps(column)};"
        "r.dispatchEvent(new Event('change')); }"
    )


@pytest.mark.parametrize(("rival", "column"), [("mf-naive", AUC), ("constant", MSE), (HOSTILE, AUC)])
def test_the_forest_draws_what_was_computed(drawn: Browser, folder: Path, rival: str, column: str) -> None:
    choose(drawn, rival, column)
    expected = differences(load_page_data(folder).tables[0])[column][rival]
    rows = {row[0].removesuffix("baseline"): row[2:] for row in drawn.value(FOREST)}
    assert rows.keys() == {one.row for one in expected} and len(rows) == 3
    for one in expected:
        difference, interval, p, runs = rows[one.row]
        low, high = (float(end.replace("−", "-")) for end in interval.strip("[]").split(","))
        assert float(difference.replace("−", "-")) == pytest.approx(one.difference, abs=6e-5)
        assert (low, high) == pytest.approx((one.difference - one.half, one.difference + one.half), abs=2e-4)
        assert p.endswith("*") == one.real and runs == "2"
    best_first = [row[0].removesuffix("baseline") for row in drawn.value(FOREST)]
    sign = -1 if column == MSE else 1
    assert best_first == [one.row for one in sorted(expected, key=lambda one: -sign * one.difference)]
    assert rival in drawn.value("document.querySelector('.scale').textContent")


def test_a_dot_lies_where_its_number_says(drawn: Browser) -> None:
    choose(drawn, "mf-naive", AUC)
    where = "[...document.querySelectorAll('.forest .mark')].map(m => [parseFloat(m.style.left), m.className])"
    rows, marks = drawn.value(FOREST), drawn.value(where)
    assert [mark[1] for mark in marks] == ["mark", "mark", "mark off"], "a baseline far off must not squeeze the rest"
    centre = [(float(row[2].replace("−", "-")), mark[0]) for row, mark in zip(rows, marks, strict=True)]
    assert centre[0][0] > 0 and centre[0][1] > 50 and centre[1][0] < 0 and centre[1][1] < 50
    slope = [(left - 50) / difference for difference, left in centre[:2]]
    assert slope[0] == pytest.approx(slope[1], rel=1e-3)


def test_a_pair_that_cannot_be_compared_is_told(browser: Browser, tmp_path: Path) -> None:
    one = complete_run("mf-ips", 0, 0.7, 0.2)
    one.jackknife.clear()
    report(write(tmp_path / "runs", [one]), tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    assert "No pair of runs" in browser.value("document.querySelector('.forest tbody').textContent")
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [390, 320, 768])
def test_a_narrow_page_does_not_scroll_sideways_but_its_tables_do(drawn: Browser, width: int) -> None:
    resized(drawn, width)
    assert drawn.value("document.scrollingElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.box')].filter(b => b.scrollWidth > b.clientWidth).length"
    assert drawn.value("innerWidth") == width and (width > 500 or drawn.value(wide) >= 2)
    outside = "[...document.querySelectorAll('main p, main figure, main .box, main li, nav, header *, main dl')]"
    assert drawn.value(f"{outside}.filter(e => e.getBoundingClientRect().right > {width} + 1).length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(drawn: Browser, scheme: str) -> None:
    drawn.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def luminance(element: str, part: str) -> float:
        return float(drawn.value(f"{LUMINANCE}(getComputedStyle(document.querySelector('{element}')).{part})"))

    paper = luminance("body", "backgroundColor")
    assert (paper < 0.05) if scheme == "dark" else (paper > 0.9)
    for one in (
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
        ink = luminance(one, "color")
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, (one, contrast)
    for one in (".node text", ".chart text", ".node .role"):
        ink = luminance(one, "fill")
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, one


def test_a_reader_of_the_screen_finds_named_parts(drawn: Browser) -> None:
    nodes: list[dict[str, Any]] = drawn.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        named.setdefault(node.get("role", {}).get("value", ""), []).append(node.get("name", {}).get("value", ""))
    assert {"Leaderboard", "Differences", "Causal graph"} <= set(named["region"])
    assert all(named["image"]) and all(named["button"]) and all(named["table"]) and all(named["combobox"])
    assert "Filter rows by text" in named["searchbox"] and named["navigation"] == ["Contents"]
    assert "mf-dr" in named["rowheader"]


def test_paper_shows_what_is_folded_and_no_controls(drawn: Browser) -> None:
    assert drawn.value("[...document.querySelectorAll('details')].some(d => !d.open)")
    pdf = base64.b64decode(drawn.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    assert drawn.value("[...document.querySelectorAll('details')].every(d => d.open)")
    drawn.call("Emulation.setEmulatedMedia", media="print")
    gone = "['nav', '.tools'].map(s => getComputedStyle(document.querySelector(s)).display)"
    assert drawn.value(gone) == ["none", "none"]
    assert drawn.value("getComputedStyle(document.querySelector('.box')).overflowX") == "visible"


@pytest.mark.long
def test_five_hundred_rows_are_sorted_in_a_moment(browser: Browser, tmp_path: Path) -> None:
    saved = [complete_run(f"row{k}", 0, 0.5 + 0.0005 * k, 0.3 - 0.0002 * k) for k in range(500)]
    report(write(tmp_path / "runs", saved), tmp_path / "out.html")
    browser.open(tmp_path / "out.html")
    click = "document.querySelectorAll('.leader thead button')[0].click(); "
    spent = browser.value(f"{{ const start = performance.now(); {click} performance.now() - start }}")
    assert browser.value(ROWS)[:3] == ["constant", "row0", "row1"], "numbers in names sort as numbers"
    assert spent < 2000
