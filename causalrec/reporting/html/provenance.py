"""What failed, and what would make these numbers again: commands, commit, versions, data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from causalrec.ids import BETWEEN, JobId, job_path
from causalrec.records.plain import Json
from causalrec.records.run_folder import AnyRecord, RunFolder
from causalrec.reporting.html.markup import Child, Html, counted, folded, grid, joined, paragraph, section, tag
from causalrec.reporting.html.page_data import PageData

LEDGER = ".ledger"


def failures(data: PageData) -> Html | None:
    """List the failed jobs and the files that are not records."""
    jobs: list[list[Child]] = [
        [one.record.name, _seed(one.record), _error(one.record.error), tag("code", str(_inside(data, one.folder)))]
        for one in data.failed
    ]
    jobs += _unrecorded(data)
    broken: list[list[Child]] = [[tag("code", one.path), one.reason] for one in data.broken]
    if not jobs and not broken:
        return None
    return section(
        "failed",
        "Failed and broken",
        grid("Jobs that failed", ["row", "seed", "error", "folder"], jobs, left=[2, 3]) if jobs else None,
        grid("Files that are not whole records", ["file", "reason"], broken, left=[1]) if broken else None,
        paragraph("None of these is in any table above."),
    )


def _unrecorded(data: PageData) -> list[list[Child]]:
    """Return the jobs that a ledger calls failed and that left no record (killed, out of memory)."""
    rows: list[list[Child]] = []
    recorded = {one.folder.resolve() for one in data.folders}
    for ledger in _ledgers(data.folder):
        for path in sorted((ledger / "failed").glob("*~*~*")):
            job = path.name.rpartition(BETWEEN)[0]
            folder = ledger.parent / job_path(job)
            if folder.resolve() not in recorded and folder.is_relative_to(data.folder):
                reason = str(_read_note(path).get("reason", "unknown"))
                rows.append([*_row_and_seed(job), reason, tag("code", str(_inside(data, folder)))])
    return rows


def _row_and_seed(job: str) -> tuple[str, str]:
    try:
        return (one := JobId.parse(job)).row, str(one.seed)
    except ValueError:
        return job, "–"


def _error(reason: str | None) -> Html:
    lines = (reason or "no reason recorded").strip().splitlines() or [""]
    return tag("span", lines[0]) if len(lines) == 1 else folded(lines[0], tag("pre", "\n".join(lines[1:])))


def _seed(record: AnyRecord) -> str:
    return str(record.config.get("seed", "–"))


def _inside(data: PageData, folder: Path) -> Path:
    full = folder.resolve()
    return full.relative_to(data.folder) if full.is_relative_to(data.folder) else folder


def provenance(data: PageData) -> Html:
    """Tell how to run it again, and from which code and data it came."""
    records = [one.record for one in data.folders]
    return section("provenance", "How to run it again", _commands(data), _code(records), _raw_data(data.runs))


def _commands(data: PageData) -> Html:
    launches = list(_launches(data.folder))
    shown: list[Child] = []
    if launches:
        shown += [paragraph("Started by:"), tag("pre", "\n".join(launches))]
    by_job = [one.record.command for one in data.runs]
    told = [command for command in by_job if command]
    if told:
        once = list(dict.fromkeys(told))
        shown.append(
            folded(f"Each job alone: {counted(len(once), 'command')}", tag("pre", "\n".join(once)), open_=len(once) < 4)
        )
    if len(told) < len(by_job):
        shown.append(paragraph(f"{len(by_job) - len(told)} of {len(by_job)} records hold no command."))
    return joined(shown)


def _launches(folder: Path) -> Iterable[str]:
    """Return the commands that started the sweeps at, below or above a folder, from their ledgers."""
    notes = [_read_note(path) for place in _ledgers(folder) for path in sorted((place / "launches").glob("*.json"))]
    yield from dict.fromkeys(str(command) for one in notes if (command := one.get("command")))


def _ledgers(folder: Path) -> list[Path]:
    places = [folder / LEDGER, *sorted(folder.glob(f"*/{LEDGER}")), *(up / LEDGER for up in folder.parents[:2])]
    return [place for place in places if place.is_dir()]


def _read_note(path: Path) -> Json:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # being written, or of another version
        return {}
    return note if isinstance(note, dict) else {}


def _code(records: Sequence[AnyRecord]) -> Html:
    commits = Counter(record.git_sha or "not in a checkout" for record in records)
    stated: list[Child] = [_commit(sha, count, len(commits) > 1) for sha, count in commits.most_common()]
    names = dict.fromkeys(name for record in records for name in record.versions)
    rows = [[name, _distinct(record.versions.get(name) for record in records)] for name in names]
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


def _raw_data(runs: Sequence[RunFolder]) -> Html | None:
    files: dict[tuple[str, str], dict[str, None]] = {}
    for one in runs:
        for file, digest in one.record.data.sha256.items():
            files.setdefault((one.record.data.name, file), {})[digest] = None
    rows: list[list[Child]] = [
        [name, file, joined((tag("code", digest) for digest in digests), " ")]
        for (name, file), digests in files.items()
    ]
    return grid("Raw data files", ["data set", "file", "sha256"], rows, left=[1, 2]) if rows else None
