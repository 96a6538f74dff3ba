"""What failed, and what would make these numbers again: commands, commit, versions, data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from causalrec.data.regular_files import read_bytes
from causalrec.ids import SEPARATOR, JobId, job_path
from causalrec.plain_text import paste_safe_command
from causalrec.records.json_records import Json, parse_json
from causalrec.records.run_folder import AnyRecord, RunFolder
from causalrec.reporting.html.markup import Child, Html, count_phrase, details, grid, join, paragraph, section, tag
from causalrec.reporting.html.page_data import PageData

LEDGER = ".ledger"
LARGEST_NOTE = 1 << 24  # bytes of a note in it


def failures(data: PageData) -> Html | None:
    """List the failed jobs and the files that are not records."""
    jobs: list[list[Child]] = [
        [
            job.record.name,
            _seed(job.record),
            _error(job.record.error),
            tag("code", str(_relative_path(data, job.folder))),
        ]
        for job in data.failed_jobs
    ]
    jobs += _jobs_without_record(data)
    broken: list[list[Child]] = [[tag("code", file.path), file.reason] for file in data.broken]
    if not jobs and not broken:
        return None
    return section(
        "failed",
        "Failed and broken",
        grid("Jobs that failed", ["row", "seed", "error", "folder"], jobs, left=[2, 3]) if jobs else None,
        grid("Files that are not whole records", ["file", "reason"], broken, left=[1]) if broken else None,
        paragraph("None of these is in any table above."),
    )


def _jobs_without_record(data: PageData) -> list[list[Child]]:
    """Return the jobs that a ledger calls failed and that left no record (killed, out of memory)."""
    rows: list[list[Child]] = []
    recorded = {record_folder.folder.resolve() for record_folder in data.folders}
    for ledger in _ledgers(data.folder):
        for path in sorted((ledger / "failed").glob("*~*~*")):
            job = path.name.rpartition(SEPARATOR)[0]
            folder = ledger.parent / job_path(job)
            if folder.resolve() not in recorded and folder.is_relative_to(data.folder):
                reason = str(_read_note(path).get("reason", "unknown"))
                rows.append([*_row_and_seed(job), reason, tag("code", str(_relative_path(data, folder)))])
    return rows


def _row_and_seed(job: str) -> tuple[str, str]:
    try:
        return (job_id := JobId.parse(job)).row, str(job_id.seed)
    except ValueError:
        return job, "–"


def _error(reason: str | None) -> Html:
    lines = (reason or "no reason recorded").strip().splitlines() or [""]
    return tag("span", lines[0]) if len(lines) == 1 else details(lines[0], tag("pre", "\n".join(lines[1:])))


def _seed(record: AnyRecord) -> str:
    return str(record.config.get("seed", "–"))


def _relative_path(data: PageData, folder: Path) -> Path:
    full = folder.resolve()
    return full.relative_to(data.folder) if full.is_relative_to(data.folder) else folder


def provenance(data: PageData) -> Html:
    """Tell how to run it again, and from which code and data it came."""
    records = [record_folder.record for record_folder in data.folders]
    return section("provenance", "How to run it again", _commands(data), _code(records), _raw_data(data.runs))


def _commands(data: PageData) -> Html:
    launches = list(_launches(data.folder))
    shown: list[Child] = []
    if launches:
        shown += [paragraph("Started by:"), tag("pre", "\n".join(launches))]
    by_job = [paste_safe_command(run.record.command) for run in data.runs]
    commands = [command for command in by_job if command]
    if commands:
        once = list(dict.fromkeys(commands))
        shown.append(
            details(
                f"Each job alone: {count_phrase(len(once), 'command')}",
                tag("pre", "\n".join(once)),
                open_=len(once) < 4,
            )
        )
    if len(commands) < len(by_job):
        shown.append(paragraph(f"{len(by_job) - len(commands)} of {len(by_job)} records hold no command."))
    return join(shown)


def _launches(folder: Path) -> Iterable[str]:
    """Return the commands that started the sweeps at, below or above a folder, from their ledgers."""
    notes = [_read_note(path) for ledger in _ledgers(folder) for path in sorted((ledger / "launches").glob("*.json"))]
    yield from dict.fromkeys(command for note in notes if (command := paste_safe_command(note.get("command"))))


def _ledgers(folder: Path) -> list[Path]:
    ledgers = [folder / LEDGER, *sorted(folder.glob(f"*/{LEDGER}")), *(up / LEDGER for up in folder.parents[:2])]
    return [ledger for ledger in ledgers if ledger.is_dir()]


def _read_note(path: Path) -> Json:
    try:
        return parse_json(read_bytes(path, LARGEST_NOTE))
    except (OSError, ValueError):  # being written, or of another version
        return {}


def _code(records: Sequence[AnyRecord]) -> Html:
    commits = Counter(record.git_sha or "not in a checkout" for record in records)
    stated: list[Child] = [_commit(sha, count, len(commits) > 1) for sha, count in commits.most_common()]
    names = dict.fromkeys(name for record in records for name in record.versions)
    rows = [[name, _join_distinct(record.versions.get(name) for record in records)] for name in names]
    return tag(
        "div",
        tag("div", tag("h4", "Code"), *stated),
        grid("Versions", ["package", "version"], rows, left=[1]),
        class_="two",
    )


def _commit(sha: str, count: int, several: bool) -> Html:
    dirty = " with uncommitted changes" if sha.endswith("+") else ""
    return tag(
        "p", tag("code", sha.removesuffix("+")), dirty, f", {count_phrase(count, 'record')}" if several else None
    )


def _join_distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None)) or "–"


def _raw_data(runs: Sequence[RunFolder]) -> Html | None:
    files: dict[tuple[str, str], dict[str, None]] = {}
    for run in runs:
        for file, digest in run.record.data.sha256.items():
            files.setdefault((run.record.data.name, file), {})[digest] = None
    rows: list[list[Child]] = [
        [name, file, join((tag("code", digest) for digest in digests), " ")] for (name, file), digests in files.items()
    ]
    return grid("Raw data files", ["data set", "file", "sha256"], rows, left=[1, 2]) if rows else None
