"""`causalrec sweep`: where the jobs of a sweep stand, how to go on, and what may be thrown away."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from causalrec.commands.terminal import log, print_json, print_text_table
from causalrec.plain_text import has_controls, one_line, paste_safe_command
from causalrec.secret_values import REDACTED

SHOWN = 40  # rows of one state on the terminal; --json has all


def sweep(options: argparse.Namespace) -> int:
    """`causalrec sweep status | retry | gc DIR`."""
    from causalrec.sweeps.maintenance import open_ledger, warn_of_foreign_files

    ledger = open_ledger(options.folder, to_change=options.what != "status")
    warn_of_foreign_files(ledger)
    verbs = {"status": _status, "retry": _retry, "gc": _gc}
    verbs[options.what](ledger, options.json)
    return 0


def _status(ledger: Any, as_json: bool) -> None:
    from causalrec.sweeps.maintenance import status

    report = status(ledger)
    if as_json:
        print_json(report)
        return
    counts: dict[str, int] = report["counts"]
    print(f"{one_line(report['sweep'])}: {', '.join(f'{n} {name}' for name, n in counts.items()) or 'nothing begun'}")
    _print_jobs([row for row in report["jobs"] if row["status"] != "done"])


def _print_jobs(rows: list[dict[str, Any]]) -> None:
    from causalrec.reporting.text_table import TextTable

    shown = Counter[str]()
    cells: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for row in rows:
        shown[row["status"]] += 1
        if shown[row["status"]] <= SHOWN:
            age = f"{row['age']:.0f} s ago" if "age" in row else ""
            cells.append((row["job"], row["status"], str(row.get("host") or ""), str(row.get("pid") or ""), age))
            reasons += [f"{row['job']}: {row['reason']}"] if row.get("reason") else []
    more = [f"{count - SHOWN} more {name}: --json has all" for name, count in shown.items() if count > SHOWN]
    header = ("job", "status", "host", "pid", "last sign")
    if rows:
        left = frozenset(range(len(header)))
        print_text_table(TextTable(header=header, rows=tuple(cells), left=left, notes=(*reasons, *more)))


def _retry(ledger: Any, as_json: bool) -> None:
    from causalrec.sweeps.maintenance import retry

    count, notes = retry(ledger)
    launches = [launch for note in notes if (launch := _launch_to_paste(note)) is not None]
    if as_json:
        print_json({"forgotten": count, "commands": [{"command": words, "folder": where} for words, where in launches]})
        return
    log(f"{count} failure(s) forgotten" + ("; to run these jobs again:" if launches else ""))
    if any(REDACTED in command for command, _ in launches):
        log(f"where a command reads {REDACTED}, type the password or token again: none is written down")
    for command, folder in launches:
        print(command if Path(folder) == Path.cwd() else f"(cd {quote(folder)} && {command})")
    if lost := len(notes) - len(launches):
        log(f"{lost} launch note(s) in {ledger.root} hold no causalrec command to paste; launch as you did")


def _launch_to_paste(note: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the command and the folder of a launch, safe to paste; None where its note holds something else."""
    command, folder = paste_safe_command(note.get("command")), note.get("folder")
    return None if command is None or not isinstance(folder, str) or has_controls(folder) else (command, folder)


def _gc(ledger: Any, as_json: bool) -> None:
    from causalrec.sweeps.maintenance import collect_garbage

    removed = collect_garbage(ledger)
    counts, sizes = Counter(garbage.kind for garbage in removed), Counter[str]()
    for garbage in removed:
        sizes[garbage.kind] += garbage.size
    if as_json:
        print_json({kind: {"removed": counts[kind], "bytes": sizes[kind]} for kind in counts})
        return
    for kind, count in counts.items():
        print(f"{kind}: {count} removed, {sizes[kind] / 1e6:.1f} MB")
    print(f"freed {sum(sizes.values()) / 1e6:.1f} MB")
