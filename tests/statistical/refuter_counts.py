"""How often refuters said that an effect fails, counted for experiments/VALIDATION.md, and what counts as a failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan

from coverage_counts import ROOT, exact_interval

from causalrec.reporting.paste_between_markers import paste

COUNTS = ROOT / "build" / "refuters"  # a file for each world, of the last `make validate`
MOST = 0.08  # of draws in which a refuter may say "fails" where nothing is wrong that it can see
SEES: Mapping[str, tuple[str, ...]] = {  # by what is wrong
    "hidden": ("negative control outcome", "randomised rows"),
    "leak": ("randomised rows", "overlap", "leak"),
}


@dataclass(frozen=True)
class WorldCount:
    """What the refuters said of the draws of one world.

    Attributes:
        world: what is wrong, and the true effect.
        draws: how many.
        fails: of how many draws each refuter said so, by name.
        nothing: of how many a refuter of strengths said that there is nothing to explain.
        medians: the strength that brings the estimate to 0, of the other draws.
    """

    world: str
    draws: int
    fails: dict[str, int]
    nothing: dict[str, int]
    medians: dict[str, float]


def misses(counted: WorldCount) -> list[str]:
    """Return the refuters that say "fails" of more than 8 % of what they should pass, or of less than 92 % of what they
    see: where the exact 99.9 % interval lies beyond.
    """
    sees = SEES.get(counted.world.partition(",")[0], ())
    lines = []
    for name, fails in counted.fails.items():
        low, high = exact_interval(fails, counted.draws)
        if high < 1 - MOST if name in sees else low > MOST:
            lines.append(f"{counted.world}: {name} fails {fails} of {counted.draws}")
    return lines


def write_counts(counted: WorldCount) -> None:
    """Write down what was counted of one world."""
    COUNTS.mkdir(parents=True, exist_ok=True)
    (COUNTS / f"{counted.world}.json").write_text(json.dumps(asdict(counted)), encoding="utf-8")


def table_of(counts: list[WorldCount]) -> str:
    """Return the shares as markdown: a refuter a row, a world a column."""
    heads = " | ".join(counted.world for counted in counts)
    lines = [f"| share that fails | {heads} |", f"|---|{'---|' * len(counts)}"]
    for name in counts[0].fails:
        lines.append(f"| {name} | {' | '.join(f'{c.fails[name] / c.draws:.2f}' for c in counts)} |")
    lines += ["", f"| nothing to explain; median of the others | {heads} |", f"|---|{'---|' * len(counts)}"]
    for name in counts[0].nothing:
        lines.append(f"| {name} | {' | '.join(_strength_cell(counted, name) for counted in counts)} |")
    return "\n".join(lines)


def _strength_cell(counted: WorldCount, name: str) -> str:
    share, middle = counted.nothing[name] / counted.draws, counted.medians[name]
    return f"{share:.2f}" if isnan(middle) else f"{share:.2f}; {middle:.2g}"


def main() -> None:
    """Paste the table into experiments/VALIDATION.md, worlds in the order of their names."""
    paths = sorted(COUNTS.glob("*.json"))
    text = table_of([WorldCount(**json.loads(path.read_text(encoding="utf-8"))) for path in paths])
    print(text)
    paste(ROOT / "experiments" / "VALIDATION.md", "refuters", text)


if __name__ == "__main__":
    main()
