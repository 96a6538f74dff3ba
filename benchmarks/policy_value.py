"""Values of a policy with bootstrap intervals, beside Open Bandit Pipeline: IPS, SNIPS, DR; MIPS; and cost by rounds.

Both sides read the same arrays from disk, then are measured: estimates and intervals of 1,000 replicates, each in a
process of its own, in turns. Compiled code is loaded before, by a few rounds. The last table's rounds are made block by
block, so that ten million of them are never together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
from obp_environment import run_with_obp
from policy_rounds import BLOCK, make_rounds, write_mips, write_rounds

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.mips import MIPSValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.interval.base import AbstractIntervalSums
from causalrec.estimators.policy_value.interval.bootstrap import PoissonBootstrap
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from causalrec.reporting.paste_between_markers import paste

ACTIONS, REPLICATES = 80, 1000
MONTE_CARLO = 0.0845  # standard errors: that of a 2.5 % percentile of 1,000 normal replicates
COLUMNS: dict[str, AbstractValueEstimator] = {"ips": IPSValue(), "snips": SNIPSValue(), "dr": DRValue()}

OBP = """
import json, sys, time
from pathlib import Path
import numpy as np
from obp.ope import DoublyRobust, InverseProbabilityWeighting, MarginalizedInverseProbabilityWeighting
from obp.ope import SelfNormalizedInverseProbabilityWeighting
folder, side, loop = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "loop"
data = {path.stem: np.load(path) for path in folder.glob("*.npy")}
action_dist = data["target_distribution"][:, :, None]
given = {"reward": data["reward"], "action": data["action"], "action_dist": action_dist}
started, cpu = time.perf_counter(), time.process_time()
if side == "mips":
    value = MarginalizedInverseProbabilityWeighting(n_actions=action_dist.shape[1]).estimate_policy_value(
        pi_b=data["logging_distribution"][:, :, None], action_embed=data["categories"][data["action"]],
        p_e_a=data["chances"], **given)
    columns = {"mips": [value]}
else:
    given["pscore"] = data["propensity"]
    given["estimated_rewards_by_reg_model"] = data["model"][:, :, None]
    estimators = {"ips": InverseProbabilityWeighting(), "snips": SelfNormalizedInverseProbabilityWeighting(),
                  "dr": DoublyRobust()}
    columns = {}
    for name, estimator in estimators.items():
        ends = estimator.estimate_interval(n_bootstrap_samples=1000, random_state=1, **given)
        columns[name] = [estimator.estimate_policy_value(**given), *list(ends.values())[1:]]
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
if loop:  # the ratio of each resample, where obp's interval of snips holds the normaliser fixed
    weight = action_dist[np.arange(len(data["action"])), data["action"], 0] / data["propensity"]
    draws = np.random.default_rng(0)
    ratios = []
    for _ in range(1000):
        rows = draws.integers(0, len(weight), len(weight))
        ratios.append((weight * data["reward"])[rows].sum() / weight[rows].sum())
    columns["loop"] = [0, *np.percentile(ratios, [2.5, 97.5])]
print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": peak, "columns": columns}))
"""


def add_blocks(sums: AbstractIntervalSums, data: dict[str, Any]) -> None:
    """Hand on what rounds contribute, block by block."""
    rounds = len(data["reward"])
    for start in range(0, rounds, BLOCK):
        block = LoggedRounds(**{name: values[start : start + BLOCK] for name, values in data.items()})
        contributions = {name: estimator.contributions(block) for name, estimator in COLUMNS.items()}
        sums.update(contributions, np.zeros(len(block), np.int64))


def start_sums() -> AbstractIntervalSums:
    """Return empty sums, all compiled code having run."""
    warm = PoissonBootstrap(replicates=REPLICATES).start(list(COLUMNS), 0, 1)
    names = ("reward", "action", "propensity", "target", "target_distribution", "model")
    block = make_rounds(100, 0, ACTIONS)
    add_blocks(warm, {name: block[name] for name in names})
    warm.interval("ips", 0.95)
    return PoissonBootstrap(replicates=REPLICATES).start(list(COLUMNS), 0, 1)


def ours(folder: Path, side: str) -> dict[str, Any]:
    """Measure our side here: seconds, peak memory, and each column's value and ends."""
    data = {path.stem: np.load(path) for path in folder.glob("*.npy") if path.stem != "chances"}
    sums = start_sums()
    started, cpu = time.perf_counter(), time.process_time()
    data["target"] = data["target_distribution"][np.arange(len(data["action"])), data["action"]]
    if side == "mips":
        features = ActionFeatures(categories=data.pop("categories"), vectors=np.zeros((0, 0)))
        columns = {"mips": [MIPSValue().contributions(LoggedRounds(**data, actions=features)).value]}
    else:
        add_blocks(sums, data)
        intervals = {name: sums.interval(name, 0.95) for name in COLUMNS}
        columns = {name: [i.value, i.low, i.high, i.standard_error] for name, i in intervals.items()}
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "megabytes": _peak(), "columns": columns}


def out_of_core(rounds: int) -> dict[str, Any]:
    """Measure rounds that are made block by block: seconds of their evaluation alone, and peak memory."""
    sums, seconds = start_sums(), 0.0
    names = ("reward", "action", "propensity", "target", "target_distribution", "model")
    for seed, start in enumerate(range(0, rounds, BLOCK)):
        block = make_rounds(min(BLOCK, rounds - start), seed, ACTIONS)
        started = time.perf_counter()
        add_blocks(sums, {name: block[name] for name in names})
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    for name in COLUMNS:
        sums.interval(name, 0.95)
    return {"seconds": seconds + time.perf_counter() - started, "megabytes": _peak()}


def _peak() -> float:
    """Return the peak memory of this process in MB; `ru_maxrss` would start at that of the process that began it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def run_ours(*arguments: str) -> dict[str, Any]:
    """Measure our side in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def check_columns(mine: dict[str, list[float]], theirs: dict[str, list[float]]) -> float:
    """Hold that values are equal and ends near, and return the largest distance of ends in Monte Carlo errors."""
    largest = 0.0
    for name, (value, *ends) in mine.items():
        assert abs(value - theirs[name][0]) < 1e-9, (name, value, theirs[name][0])
        reference = theirs.get("loop", theirs["snips"])[1:] if name == "snips" else theirs[name][1:]
        if len(ends) < 3 or (name == "snips" and "loop" not in theirs):
            continue
        error = ends[2] * MONTE_CARLO * 2**0.5  # both sides draw
        largest = max(largest, *(abs(a - b) / error for a, b in zip(ends[:2], reference, strict=True)))
    assert largest <= 3, f"an end lies {largest:.1f} Monte Carlo errors from that of the loop"
    return largest


def compare(folder: Path, side: str, turns: int) -> list[str]:
    """Return a row for each number of our threads: both sides' medians, ratio and memory."""
    sides: dict[str, list[dict[str, Any]]] = {"obp": [], "1": [], "2": []}
    for turn in range(turns):
        loop = "loop" if side == "three" and not turn else "no"
        sides["obp"].append(json.loads(run_with_obp(OBP, str(folder), side, loop, threads=1)))
        for threads in ("1", "2") if side == "three" else ("1",):
            sides[threads].append(run_ours("--side", side, "--folder", str(folder), "--threads", threads))
            apart = check_columns(sides[threads][-1]["columns"], sides["obp"][-1]["columns"])
            print(
                side,
                threads,
                "threads, turn",
                turn,
                f"ends at most {apart:.2f} Monte Carlo errors apart",
                file=sys.stderr,
            )
    return [_row(threads, sides["obp"], runs) for threads, runs in sides.items() if threads != "obp" and runs]


def _row(threads: str, theirs: list[dict[str, Any]], mine: list[dict[str, Any]]) -> str:
    ratios = {key: [o[key] / m[key] for o, m in zip(theirs, mine, strict=True)] for key in ("seconds", "cpu")}
    seconds, memory = (
        [statistics.median(run[key] for run in runs) for runs in (theirs, mine)] for key in ("seconds", "megabytes")
    )
    sides = [f"{s:.2f} | {m:,.0f}" for s, m in zip(seconds, memory, strict=True)]
    wall = f"{statistics.median(ratios['seconds']):.1f} ({min(ratios['seconds']):.1f} to {max(ratios['seconds']):.1f})"
    return f"{threads} | {sides[0]} | {sides[1]} | {wall} | {statistics.median(ratios['cpu']):.1f} |"


def main() -> None:
    """Print the tables; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--side", choices=["three", "mips", "blocks"], help="measure our side here and print JSON")
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=1_000_000)
    arguments.add_argument("--mips", type=int, nargs=2, default=[20_000, 5_000], help="rounds and actions")
    arguments.add_argument("--sizes", type=int, nargs="*", default=[10**4, 10**5, 10**6, 10**7])
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    numba.set_num_threads(options.threads)
    if options.side:
        blocks = options.side == "blocks"
        print(json.dumps(out_of_core(options.rounds) if blocks else ours(options.folder, options.side)))
        return
    text = "\n".join(report(options.rounds, tuple(options.mips), options.sizes, options.turns))
    print(text)
    if options.paste:
        paste(options.paste, "policy_value", text)


def report(rounds: int, mips: tuple[int, int], sizes: list[int], turns: int) -> list[str]:
    """Measure all, and return the lines of both tables."""
    lines = [
        "| what | our threads | obp, s | obp, MB | ours, s | ours, MB | ratio (least to most) | of processor seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    build = Path(__file__).parents[1] / "build"
    with tempfile.TemporaryDirectory(dir=build) as name:
        write_rounds(Path(name), rounds, ACTIONS, ("reward", "action", "propensity", "target_distribution", "model"))
        what = f"IPS, SNIPS, DR: {rounds:,} rounds, {ACTIONS} actions, {REPLICATES:,} replicates"
        lines += [f"| {what} | {row}" for row in compare(Path(name), "three", turns)]
    with tempfile.TemporaryDirectory(dir=build) as name:
        write_mips(Path(name), *mips)
        what = f"MIPS, no interval: {mips[0]:,} rounds, {mips[1]:,} actions"
        lines += [f"| {what} | {row}" for row in compare(Path(name), "mips", turns)]
    lines += [
        "",
        f"| rounds, {ACTIONS} actions, made block by block | s | microseconds a round | MB |",
        "|---|---|---|---|",
    ]
    for size in sizes:
        run = run_ours("--side", "blocks", "--rounds", str(size))
        lines.append(
            f"| {size:,} | {run['seconds']:.2f} | {1e6 * run['seconds'] / size:.2f} | {run['megabytes']:,.0f} |"
        )
    return [
        *lines,
        "",
        f"obp with one thread; medians of {turns} alternating turns. Second table: two threads, evaluation alone.",
    ]


if __name__ == "__main__":
    main()
