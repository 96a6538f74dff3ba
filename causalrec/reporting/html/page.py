"""One self-contained page from the records below a folder: no network, no library, readable from disk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from causalrec.data.files import write_text
from causalrec.reporting.html import diagnostics, leaderboard, propensity, protocol, provenance
from causalrec.reporting.html.differences import embedded, ordered
from causalrec.reporting.html.gather import Gathered, Part, gather
from causalrec.reporting.html.markup import Child, Html, compact, counted, joined, paragraph, tag

HERE = Path(__file__).parent
NAMES = {
    "leaderboard": "Leaderboard",
    "differences": "Differences",
    "curves": "Learning curves",
    "propensity": "Propensity",
    "calibration": "Calibration",
    "graph": "Graph",
    "selection": "Selection",
    "audit": "Audit",
}


def report(folder: Path, out: Path, columns: tuple[str, ...] = ()) -> Gathered:
    """Write the page of every record below `folder` to `out`, whole or not at all; return what it was made from.

    Raises DataError where there is no record, RequestError on a column that no record has.
    """
    found = gather(folder, columns)
    write_text(out, page(found))
    return found


def page(found: Gathered) -> str:
    """Build the page as text: one article per table, then failures and provenance."""
    title = found.folder.name or "records"
    labels = _labels(found.parts)
    articles = [_article(part, k, labels[k]) for k, part in enumerate(found.parts)]
    if found.estimates:
        articles.append(tag("article", leaderboard.plain_table(found.estimates, "estimates")))
    if not articles:
        articles.append(paragraph("No finished run: there is no table to show."))
    ends = tag("article", provenance.failures(found), provenance.provenance(found))
    main = tag("main", *articles, ends)
    data = json.dumps([embedded(part) for part in found.parts], separators=(",", ":"), allow_nan=False)
    held = Html(data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
    script = (HERE / "page.js").read_text(encoding="utf-8")
    body = tag(
        "body",
        tag("a", "Skip to the tables", href="#main", class_="skip"),
        _header(found, title),
        _contents(found),
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


def _header(found: Gathered, title: str) -> Html:
    done, failed = len(found.saved) - len(found.failed), len(found.failed) + len(found.broken)
    facts: list[Child] = [counted(done, "finished run")]
    if failed:
        facts.append(tag("a", f"{failed:,} failed or broken", href="#failed", class_="bad"))
    rows = sum(len(part.rows) for part in found.parts)
    facts.append(f"{counted(rows, 'row')}, {counted(len(found.parts), 'table')}" if rows else None)
    commits = list(
        dict.fromkeys(str(one.record.get("git_sha") or "") for one in found.saved if one.record.get("git_sha"))
    )
    facts.append(_commits(commits))
    seconds = sum(one.record.get("seconds") or 0.0 for one in found.saved)
    facts.append(f"{compact(round(seconds))} s of computing" if seconds else None)
    return tag(
        "header", tag("p", "causalrec report", class_="kicker"), tag("h1", title), tag("p", joined(facts, " · "))
    )


def _commits(commits: Sequence[str]) -> Child:
    if len(commits) != 1:
        return f"{len(commits)} commits" if commits else None
    return joined(["commit ", tag("code", commits[0][:8] + ("+" if commits[0].endswith("+") else ""))])


def _contents(found: Gathered) -> Html:
    labels, links = _labels(found.parts), list[Child]()
    for k in range(len(labels)):
        links.append(tag("b", labels[k]) if len(labels) > 1 else None)
        links += [tag("a", name, href=f"#p{k}-{key}") for key, name in NAMES.items()]
    links.append(tag("a", "Estimates", href="#estimates") if found.estimates else None)
    links.append(tag("a", "Failed", href="#failed") if found.failed or found.broken else None)
    return tag("nav", *links, tag("a", "Run again", href="#provenance"), aria_label="Contents")


def _labels(parts: Sequence[Part]) -> list[str]:
    """Name tables; those of one data set by what they differ in, the estimand and the training rows."""
    names = [part.table.dataset for part in parts]
    records = [part.saved[0].record for part in parts]
    return [
        name
        if names.count(name) == 1
        else f"{name}, {record['adjustment']['estimand']}, training rows {record['audit']['hashes']['train'][:8]}"
        for name, record in zip(names, records, strict=True)
    ]


def _article(part: Part, k: int, label: str) -> Html:
    record = part.saved[0].record
    part = Part(part.table, {row: part.rows[row] for row in ordered(part) if row in part.rows})
    return tag(
        "article",
        tag("h2", label),
        tag("p", protocol.estimand(record), ". Test: ", str(record["audit"].get("test", "–")), ".", class_="lead"),
        leaderboard.leaderboard(part, f"p{k}-leaderboard"),
        leaderboard.forest(part, f"p{k}-differences"),
        diagnostics.curves(part, f"p{k}-curves"),
        propensity.overlap(part, f"p{k}-propensity"),
        diagnostics.calibration(part, f"p{k}-calibration"),
        protocol.graph(part, f"p{k}-graph"),
        protocol.selection(part, f"p{k}-selection"),
        protocol.audit(part, f"p{k}-audit"),
    )
