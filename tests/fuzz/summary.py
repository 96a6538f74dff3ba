"""The counts of the last fuzz as a table of experiments/VALIDATION.md, pasted at the end of `make validate`."""

from __future__ import annotations

import json
from pathlib import Path

from causalrec.reporting.paste_between_markers import paste

ROOT = Path(__file__).parents[2]


def table(counts: list[dict[str, object]]) -> str:
    """Return the counts as a markdown table, a row for each kind, their sums last."""
    lines = ["| what was tried | tried | one line | silent | lost | must not be |", "|---|---|---|---|---|---|"]
    sums = [0] * 5
    for count in counts:
        failures = count["failures"]
        numbers = [int(str(count[name])) for name in ("tried", "one_line", "silent", "lost")]
        numbers.append(len(failures) if isinstance(failures, list) else 0)
        sums = [total + number for total, number in zip(sums, numbers, strict=True)]
        lines.append(f"| {count['kind']} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join([*lines, f"| all | {' | '.join(f'{number:,}' for number in sums)} |"])


def main() -> None:
    """Paste the table into experiments/VALIDATION.md."""
    paths = sorted((ROOT / "build" / "fuzz").glob("*.json"))
    text = table([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    print(text)
    paste(ROOT / "experiments" / "VALIDATION.md", "fuzz", text)


if __name__ == "__main__":
    main()
