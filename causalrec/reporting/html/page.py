"""One self-contained page from the records below a folder: no network, no library, readable from disk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from causalrec.data.files import write_text
from causalrec.reporting.html import diagnostics, leaderboard, propensity, protocol, provenance, tradeoff
from causalrec.reporting.html.differences import forest_data, order_rows
from causalrec.reporting.html.markup import Child, Html, compact, count_phrase, join, paragraph, tag
from causalrec.reporting.html.page_data import PageData, PageTable, load_page_data
from causalrec.reporting.reranked_lists import tradeoff_curves
from causalrec.reporting.study_files import compute_seconds

HERE = Path(__file__).parent
NAMES = {
    "leaderboard": "Leaderboard",
    "differences": "Differences",
    "tradeoff": "Trade-off of lists",
    "curves": "Learning curves",
    "propensity": "Propensity",
    "calibration": "Calibration",
    "graph": "Graph",
    "selection": "Selection",
    "audit": "Audit",
}


def report(folder: Path, out: Path, columns: tuple[str, ...] = ()) -> PageData:
    """Write the page of every record below `folder` to `out`, whole or not at all; return what it was made from.

    Raises DataError where there is no record, RequestError on a column that no record has.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that only damage makes so large
        data = load_page_data(folder, columns)
        write_text(out, page(data), through_link=out.parent != folder)  # the folder may be another's
    return data


def page(data: PageData) -> str:
    """Build the page as text: one article per table, then failures and provenance."""
    title = data.folder.name or "records"
    labels = [page_table.table.dataset for page_table in data.tables]
    articles = [_article(page_table, k, labels[k]) for k, page_table in enumerate(data.tables)]
    if data.estimates:
        articles.append(tag("article", leaderboard.plain_table(data.estimates, "estimates")))
    if not articles:
        articles.append(paragraph("No finished run: there is no table to show."))
    ends = tag("article", provenance.failures(data), provenance.provenance(data))
    main = tag("main", *articles, ends)
    differences = json.dumps(
        [forest_data(page_table) for page_table in data.tables], separators=(",", ":"), allow_nan=False
    )
    held = Html(differences.replace("<", "\\u003c"))  # all else is ASCII
    script = (HERE / "page.js").read_text(encoding="utf-8")
    body = tag(
        "body",
        tag("a", "Skip to the tables", href="#main", class_="skip"),
        _header(data, title),
        _contents(data),
        tag("div", main, id="main"),
        tag("footer", "Written by causalrec report, from records alone."),
        tag("script", held, type="application/json", id="differences"),
        tag("script", Html(script)),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(title, script), body, lang='en').text}\n"


def _head(title: str, script: str) -> Html:
    """Allow this page its own script and style, and nothing else: neither a network nor a script in a name."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{title}: causalrec report"),
        tag("style", Html((HERE / "page.css").read_text(encoding="utf-8"))),
    )


def _header(data: PageData, title: str) -> Html:
    lost = len(data.failed_jobs) + len(data.broken)
    facts: list[Child] = [count_phrase(len(data.folders) - len(data.failed_jobs), "finished run")]
    if lost:
        facts.append(tag("a", f"{lost:,} failed or broken", href="#failed", class_="bad"))
    rows = sum(len(page_table.rows) for page_table in data.tables)
    facts.append(f"{count_phrase(rows, 'row')}, {count_phrase(len(data.tables), 'table')}" if rows else None)
    facts.append(
        _commits(list(dict.fromkeys(sha for record_folder in data.folders if (sha := record_folder.record.git_sha))))
    )
    seconds = compute_seconds(data.folders)
    facts.append(f"{compact(round(seconds))} s of computing" if seconds else None)
    return tag("header", tag("p", "causalrec report", class_="kicker"), tag("h1", title), tag("p", join(facts, " · ")))


def _commits(commits: Sequence[str]) -> Child:
    if len(commits) != 1:
        return f"{len(commits)} commits" if commits else None
    return join(["commit ", tag("code", commits[0][:8] + ("+" if commits[0].endswith("+") else ""))])


def _contents(data: PageData) -> Html:
    labels, links = [page_table.table.dataset for page_table in data.tables], list[Child]()
    for k in range(len(labels)):
        links.append(tag("b", labels[k]) if len(labels) > 1 else None)
        has_lists = any(tradeoff_curves(run.record) for run in data.tables[k].runs)
        names = {key: name for key, name in NAMES.items() if has_lists or key != "tradeoff"}
        links += [tag("a", name, href=f"#p{k}-{key}") for key, name in names.items()]
    links.append(tag("a", "Estimates", href="#estimates") if data.estimates else None)
    links.append(tag("a", "Failed", href="#failed") if data.failed_jobs or data.broken else None)
    return tag("nav", *links, tag("a", "Run again", href="#provenance"), aria_label="Contents")


def _article(page_table: PageTable, k: int, label: str) -> Html:
    record = page_table.runs[0].record
    page_table = replace(
        page_table, rows={row: page_table.rows[row] for row in order_rows(page_table) if row in page_table.rows}
    )
    return tag(
        "article",
        tag("h2", label),
        tag("p", record.task.description, ". Test: ", record.audit.test, ".", class_="lead"),
        leaderboard.leaderboard(page_table, f"p{k}-leaderboard"),
        leaderboard.forest(page_table, f"p{k}-differences"),
        tradeoff.tradeoff(page_table, f"p{k}-tradeoff"),
        diagnostics.curves(page_table, f"p{k}-curves"),
        propensity.overlap(page_table, f"p{k}-propensity"),
        diagnostics.calibration(page_table, f"p{k}-calibration"),
        protocol.graph(page_table, f"p{k}-graph"),
        protocol.selection(page_table, f"p{k}-selection"),
        protocol.audit(page_table, f"p{k}-audit"),
    )
