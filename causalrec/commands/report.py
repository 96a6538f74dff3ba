"""`causalrec report`: records as one self-contained HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from causalrec.commands.terminal import log, print_json
from causalrec.errors import RequestError


def report(options: argparse.Namespace) -> int:
    """`causalrec report DIR [--out FILE] [--columns a,b]`: the records below DIR as one page (DIR/report.html)."""
    from causalrec.reporting.html.page import report as write

    folder: Path = options.folder
    out: Path = options.out or folder / "report.html"
    if out.suffix not in (".html", ".htm"):
        raise RequestError(f"--out {out}: the name must end in .html")
    if out.is_dir():
        raise RequestError(f"--out {out}: is a folder; name a file")
    data = write(folder, out, tuple(filter(None, (options.columns or "").split(","))))
    for record in data.broken:
        log(f"not in the page's tables: {record.path}: {record.reason}")
    if options.json:
        tables = [{"dataset": section.table.dataset, "rows": list(section.table.rows)} for section in data.tables]
        counts = {"records": len(data.folders), "failed": len(data.failed_jobs), "broken": len(data.broken)}
        print_json({"out": str(out), "bytes": out.stat().st_size, **counts, "tables": tables})
    else:
        print(out)
    return 0
