"""How often intervals covered the truth, counted for experiments/VALIDATION.md, and what counts as a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scipy.stats import beta

from causalrec.reporting.paste_between_markers import paste

ROOT = Path(__file__).parents[2]
COUNTS = ROOT / "build" / "coverage"  # a file for each row of the table, of the last `make validate`
MARKERS = {"placebo source": "placebo"}  # of tables that stand apart from those of coverage
ALLOWED = (0.92, 0.98)
TAIL = 0.0005  # of the exact 99.9 % interval


def exact_interval(covered: int, draws: int) -> tuple[float, float]:
    """Return the ends of the 99.9 % interval of Clopper & Pearson (Biometrika 1934) for a share."""
    low = float(beta.ppf(TAIL, covered, draws - covered + 1)) if covered else 0.0
    high = float(beta.ppf(1 - TAIL, covered + 1, draws - covered)) if covered < draws else 1.0
    return low, high


def is_covered(covered: int, draws: int) -> bool:
    """Whether the share may be what 95 % intervals cover: its exact interval meets [.92, .98]."""
    low, high = exact_interval(covered, draws)
    return high >= ALLOWED[0] and low <= ALLOWED[1]


def write_counts(table: str, row: str, draws: int, covered: dict[str, int]) -> None:
    """Write down how many of the draws each column's interval covered."""
    COUNTS.mkdir(parents=True, exist_ok=True)
    name = re.sub("[^a-z0-9]+", "_", f"{table} {row}".lower())
    counts = {"table": table, "row": row, "draws": draws, "covered": covered}
    (COUNTS / f"{name}.json").write_text(json.dumps(counts), encoding="utf-8")


def table_of(table: str) -> str:
    """Return the shares of a table as markdown, rows and columns in the order of their names."""
    paths = sorted(COUNTS.glob("*.json"))
    rows = [row for path in paths if (row := json.loads(path.read_text(encoding="utf-8")))["table"] == table]
    columns = list(dict.fromkeys(column for row in rows for column in row["covered"]))
    lines = [f"| {table} | draws | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for row in rows:
        shares = [f"{row['covered'][c] / row['draws']:.3f}".lstrip("0") if c in row["covered"] else "" for c in columns]
        lines.append(f"| {row['row']} | {row['draws']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    """Paste the tables into experiments/VALIDATION.md."""
    names = dict.fromkeys(
        json.loads(path.read_text(encoding="utf-8"))["table"] for path in sorted(COUNTS.glob("*.json"))
    )
    for marker in dict.fromkeys(MARKERS.get(name, "coverage") for name in names):
        text = "\n\n".join(table_of(name) for name in names if MARKERS.get(name, "coverage") == marker)
        print(text)
        paste(ROOT / "experiments" / "VALIDATION.md", marker, text)


if __name__ == "__main__":
    main()
