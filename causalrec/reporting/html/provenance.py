"""What failed, and what would make these numbers again: commands, commit, versions, data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from causalrec.reporting.html.gather import Broken, Gathered, Record
from causalrec.reporting.html.markup import Child, Html, counted, folded, grid, joined, paragraph, section, tag

LEDGER = ".ledger"


def failures(found: Gathered) -> Html | None:
    """List the failed jobs and the files that are not whole records."""
    jobs: list[list[Child]] = [
        [one.record["name"], _seed(one.record), _error(one.record), tag("code", str(_inside(found, one.folder)))]
        for one in found.failed
    ]
    jobs += _unrecorded(found)
    broken = [_broken(one) for one in found.broken]
    if not jobs and not broken:
        return None
    return section(
        "failed",
        "Failed and broken",
        grid("Jobs that failed", ["row", "seed", "error", "folder"], jobs, left=[2, 3]) if jobs else None,
        grid("Files that are not whole records", ["file", "reason"], broken, left=[1]) if broken else None,
        paragraph("None of these is in any table above."),
    )


def _unrecorded(found: Gathered) -> list[list[Child]]:
    """Return the jobs that a ledger calls failed and that left no record (killed, out of memory)."""
    rows: list[list[Child]] = []
    recorded = {one.folder.resolve() for one in found.saved}
    for ledger in _ledgers(found.folder):
        for path in sorted((ledger / "failed").glob("*~*~*")):
            row, run, _ = path.name.rsplit("~", 2)
            folder = ledger.parent / row / run
            if folder.resolve() not in recorded and folder.is_relative_to(found.folder):
                seed = run.removeprefix("seed").partition("-")[0]
                rows.append(
                    [row, seed, str(_held(path).get("reason", "unknown")), tag("code", str(_inside(found, folder)))]
                )
    return rows


def _error(record: Record) -> Html:
    lines = str(record.get("error") or "no reason recorded").strip().splitlines() or [""]
    return tag("span", lines[0]) if len(lines) == 1 else folded(lines[0], tag("pre", "\n".join(lines[1:])))


def _seed(record: Record) -> str:
    return str(record["config"].get("seed", "–"))


def _inside(found: Gathered, folder: Path) -> Path:
    whole = folder.resolve()
    return whole.relative_to(found.folder) if whole.is_relative_to(found.folder) else folder


def _broken(one: Broken) -> list[Child]:
    return [tag("code", one.path), one.reason]


def provenance(found: Gathered) -> Html:
    """Tell how to run it again, and from which code and data it came."""
    records = [one.record for one in found.saved]
    return section(
        "provenance",
        "How to run it again",
        _commands(found),
        _code(records),
        _data(records),
    )


def _commands(found: Gathered) -> Html:
    launches = list(_launches(found.folder))
    shown: list[Child] = []
    if launches:
        shown += [paragraph("Started by:"), tag("pre", "\n".join(launches))]
    by_job = [str(one.record.get("command") or "") for one in found.saved]
    told = [command for command in by_job if command]
    if told:
        once = list(dict.fromkeys(told))
        shown.append(
            folded(f"Each job alone: {counted(len(once), 'command')}", tag("pre", "\n".join(once)), open_=len(once) < 4)
        )
    if len(told) < len(by_job):
        lack = len(by_job) - len(told)
        shown.append(paragraph(f"{lack} of {len(by_job)} records hold no command: written by an older version."))
    return joined(shown)


def _launches(folder: Path) -> Iterable[str]:
    """Return the commands that started the sweeps at, below or above a folder, from their ledgers."""
    found = [_held(path) for place in _ledgers(folder) for path in sorted((place / "launches").glob("*.json"))]
    yield from dict.fromkeys(str(one["command"]) for one in found if one.get("command"))


def _ledgers(folder: Path) -> list[Path]:
    places = [folder / LEDGER, *sorted(folder.glob(f"*/{LEDGER}")), *(up / LEDGER for up in folder.parents[:2])]
    return [place for place in places if place.is_dir()]


def _held(path: Path) -> Record:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # being written, or of another version
        return {}
    return held if isinstance(held, dict) else {}


def _code(records: Sequence[Record]) -> Html:
    commits = Counter(str(record.get("git_sha") or "not in a checkout") for record in records)
    stated: list[Child] = [_commit(sha, count, len(commits) > 1) for sha, count in commits.most_common()]
    names = dict.fromkeys(name for record in records for name in record.get("versions") or {})
    rows = [[name, _distinct((record.get("versions") or {}).get(name) for record in records)] for name in names]
    return tag(
        "div",
        tag("div", tag("h4", "Code"), *stated),
        grid("Versions", ["package", "version"], rows, left=[1]),
        class_="two",
    )


def _commit(sha: str, count: int, several: bool) -> Html:
    dirty = " with uncommitted changes" if sha.endswith("+") else ""
    return tag("p", tag("code", sha.removesuffix("+")), dirty, f", {counted(count, 'record')}" if several else None)


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None)) or "–"


def _data(records: Sequence[Record]) -> Html | None:
    held: dict[tuple[str, str], list[str]] = {}
    for record in records:
        data = record.get("data") or {}
        for file, digest in (data.get("sha256") or {}).items():
            known = held.setdefault((str(data.get("name", "–")), str(file)), [])
            if str(digest) not in known:
                known.append(str(digest))
    rows: list[list[Child]] = [
        [name, file, joined((tag("code", digest) for digest in digests), " ")] for (name, file), digests in held.items()
    ]
    return grid("Raw data files", ["data set", "file", "sha256"], rows, left=[1, 2]) if rows else None
