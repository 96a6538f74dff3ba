"""How often a destroyed source is told from a true one: of taste, of parameters alone, or of no use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import mean

import pytest
from coverage_counts import write_counts

from causalrec.evaluation.refuter.sources import SourceGain, SourceVerdict
from tests.evaluation.placebo_world import Use, verdict_of

DRAWS, MOST = range(100, 150), 45
TABLE = "placebo source"
ROWS: dict[Use, str] = {
    "taste": "vectors drive taste",
    "parameters": "vectors add parameters alone",
    "nothing": "vectors are of no use",
}
SEEDS: dict[Use, int] = {"taste": 5, "parameters": 3, "nothing": 3}  # of each model; the refuter's default is 5
COLUMNS = ("gain above 0", "share below .5", "share may be 1", "passes", "fails", "not testable", "nothing to explain")


def holds(gain: SourceGain, share: float) -> bool:
    return any(low <= share <= high for low, high in gain.share_intervals)


def count(verdicts: list[SourceVerdict]) -> Counter[str]:
    counts: Counter[str] = Counter(dict.fromkeys(COLUMNS, 0))
    for verdict in verdicts:
        destroyed = verdict.gains[-1]
        counts[verdict.verdict] += 1
        counts["gain above 0"] += verdict.gains[0].low > 0
        counts["share below .5"] += bool(destroyed.share_intervals) and destroyed.share_intervals[-1][1] < 0.5
        counts["share may be 1"] += holds(destroyed, 1.0)
    return counts


@pytest.mark.long
@pytest.mark.parametrize("use", list(ROWS))
def test_fifty_draws(use: Use, tmp_path: Path) -> None:
    verdicts = [verdict_of(tmp_path / str(seed), use, seed, seeds=SEEDS[use]) for seed in DRAWS]
    counts = count(verdicts)
    write_counts(TABLE, ROWS[use], len(DRAWS), {column: counts[column] for column in COLUMNS})
    shares = [verdict.gains[-1].share for verdict in verdicts if verdict.gains[-1].share is not None]
    print(f"\n{use}: {dict(counts)}, mean share {mean(shares) if shares else float('nan'):.3f}")
    if use == "taste":
        assert counts["share below .5"] >= MOST and mean(shares) < 0.1
    elif use == "parameters":
        assert counts["gain above 0"] >= MOST and counts["share may be 1"] >= 0.9 * counts["gain above 0"]
    else:
        assert counts["nothing to explain"] >= MOST


@pytest.mark.parametrize("use", ["taste", "parameters"])
def test_one_draw(use: Use, tmp_path: Path) -> None:
    run, destroyed = verdict_of(tmp_path, use, 0, seeds=2).gains
    assert run.gain > 0 and (destroyed.gain > 0.5 * run.gain) == (use == "parameters")
