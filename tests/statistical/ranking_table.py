"""What the choice of an estimator by rank costs beside other rules, for experiments/VALIDATION.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from causalrec.reporting.paste_between_markers import paste
from causalrec.types import Doubles

ROOT = Path(__file__).parents[2]
ERRORS = ROOT / "build" / "ranking"  # a file for each bandit, of the last `make validate`
RESAMPLES = 2000  # of bandits
BEST = "best in hindsight"
RULES = ("ranked first", "dr", "snips", "sndr", "ips", "dm", BEST)
Cells = dict[str, Doubles]  # rule -> mean squared error float64[bandits, policies]


def write_errors(bandit: int, errors: dict[str, dict[str, float]]) -> None:
    """Write down the mean squared error of each rule, by policy."""
    ERRORS.mkdir(parents=True, exist_ok=True)
    (ERRORS / f"{bandit:02d}.json").write_text(json.dumps(errors), encoding="utf-8")


def read_errors() -> Cells:
    """Return all that was written down, with the estimator that was best in hindsight for a bandit and policy."""
    bandits = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(ERRORS.glob("*.json"))]
    names = next(iter(bandits[0].values()))
    cells = {name: np.array([[cell[name] for cell in bandit.values()] for bandit in bandits]) for name in names}
    cells[BEST] = np.min([cells[name] for name in names if name != RULES[0]], axis=0)
    return cells


def compare(cells: Cells, rule: str, other: str) -> tuple[float, float, float]:
    """Return the geometric mean over bandits and policies of a rule's error by another's, with its 95 % interval."""
    logs = np.log(cells[rule] / cells[other]).mean(1)
    return _interval(lambda rows: np.exp(logs[rows].mean(1)), len(logs))


def mean_error(cells: Cells, rule: str) -> tuple[float, float, float]:
    """Return the mean squared error of a rule over bandits and policies, in 1e-4, with its 95 % interval."""
    errors = 1e4 * cells[rule].mean(1)
    return _interval(lambda rows: errors[rows].mean(1), len(errors))


def _interval(mean_of: Callable[[np.ndarray], Doubles], bandits: int) -> tuple[float, float, float]:
    rows = np.random.default_rng(0).integers(bandits, size=(RESAMPLES, bandits))
    low, high = np.quantile(mean_of(rows), (0.025, 0.975))
    return float(mean_of(np.arange(bandits)[None])[0]), float(low), float(high)


def table_of(cells: Cells) -> str:
    """Return the table as markdown, a rule a row."""
    bandits = len(cells[BEST])
    lines = [
        f"| rule, over {bandits} bandits | mean squared error, 1e-4 | over that of always dr | over that of the best |",
        "|---|---|---|---|",
    ]
    for rule in RULES:
        ratios = [compare(cells, rule, other) for other in ("dr", BEST)]
        cell, *of_rules = [
            f"{mean:.2f} [{low:.2f}, {high:.2f}]" for mean, low, high in (mean_error(cells, rule), *ratios)
        ]
        lines.append(f"| {rule} | {cell} | {' | '.join(of_rules)} |")
    return "\n".join(lines)


def main() -> None:
    """Paste the table into experiments/VALIDATION.md."""
    print(text := table_of(read_errors()))
    paste(ROOT / "experiments" / "VALIDATION.md", "estimator ranking", text)


if __name__ == "__main__":
    main()
