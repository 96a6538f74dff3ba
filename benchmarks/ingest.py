"""Seconds and memory to read a large interactions CSV as a data set, beside an eager read of the same file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from causalrec.reporting.paste_between_markers import paste

MEASURE = """
import json, resource, sys, time
from pathlib import Path
started = time.perf_counter()
{body}
seconds = time.perf_counter() - started
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, rows]))
"""
OURS = """
from causalrec.data.datasets.csv import CsvTables
started = time.perf_counter()
rows = len(CsvTables(threshold=4, time="time", repeats="allowed").load(Path(sys.argv[1])).logged)
"""
EAGER = """
import polars as pl
started = time.perf_counter()
frame = pl.read_csv(Path(sys.argv[1]) / "csv" / "interactions.csv")
for name in ("user", "item"):
    ids = frame[name].unique().sort()
    code = pl.Series(range(len(ids)), dtype=pl.Int64)
    frame = frame.with_columns(frame[name].replace_strict(ids, code))
arrays = [frame[name].to_numpy() for name in frame.columns]
rows = len(frame)
"""
CHUNK_ROWS = 1_000_000


def write_interactions(path: Path, rows: int) -> None:
    """Write made-up ratings with string ids: a twentieth as many users, a two-hundredth as many items as rows."""
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with path.open("wb") as out:
        for start in range(0, rows, CHUNK_ROWS):
            size = min(CHUNK_ROWS, rows - start)
            frame = pl.DataFrame(
                {
                    "user": rng.integers(max(rows // 20, 1), size=size),
                    "item": rng.integers(max(rows // 200, 1), size=size),
                    "rating": rng.integers(1, 6, size=size),
                    "time": 1_500_000_000 + rng.integers(10**8, size=size),
                }
            )
            named = frame.with_columns(
                pl.format("u{}", "user").alias("user"), pl.format("item_{}", "item").alias("item")
            )
            named.write_csv(out, include_header=start == 0)


def measure(body: str, root: Path) -> tuple[float, float, int]:
    """Run the statements in a process of their own; return seconds, peak memory in GiB and rows."""
    command = [sys.executable, "-c", MEASURE.format(body=body), str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, rows = json.loads(done.stdout)
    return seconds, peak, rows


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=20_000_000)
    arguments.add_argument("--folder", type=Path, help="where the temporary folder is made (about 60 bytes per row)")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="causalrec-ingest-") as folder:
        root = Path(folder)
        path = root / "csv" / "interactions.csv"
        write_interactions(path, options.rows)
        size = path.stat().st_size / 1e6
        eager, ingest, reopen = (measure(body, root) for body in (EAGER, OURS, OURS))
    assert eager[2] == ingest[2] == reopen[2] == options.rows
    text = "\n".join(
        [
            f"| {options.rows:,} rows, {size:,.0f} MB | seconds | peak memory, GiB | ratio of seconds |",
            "|---|---|---|---|",
            f"| eager `polars.read_csv`, ids mapped, no checks | {eager[0]:.1f} | {eager[1]:.2f} | 1 |",
            f"| `dataset=csv`, first load: every row checked | {ingest[0]:.1f} | {ingest[1]:.2f} "
            f"| {ingest[0] / eager[0]:.2f} |",
            f"| `dataset=csv`, opened again | {reopen[0]:.2f} | {reopen[1]:.2f} | {reopen[0] / eager[0]:.3f} |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "ingest", text)


if __name__ == "__main__":
    main()
