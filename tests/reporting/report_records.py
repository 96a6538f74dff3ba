"""A folder of records for the page: three rows by two seeds, one of them hostile, with everything a page can show."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from handmade import make_run, score

from causalrec.records.overlap_sections import BalanceSection, OverlapSection
from causalrec.records.run_folder import AnyFolder, RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord, DataSection, EpochRecord, RandomisedRowsUse, SelectionSection

HOSTILE = "<script>hacked=1</script>\"'><img src=x onerror=hacked=1>"
EDGES = ["age -> exposure", "age -> outcome", "taste -> exposure", "taste -> outcome", "exposure -> outcome"]
METRICS = {
    "auc": {"_target_": "causalrec.metrics.auc.AUC"},
    "mse": {"_target_": "causalrec.metrics.mse.MSE"},
    "bias": {"_target_": "causalrec.metrics.bias.Bias"},
}
BASE = {"auc": 0.5, "mse": 0.25, "bias": 0.0}
DECAY = "optimizer.weight_decay"


def complete_run(name: str, seed: int, auc: float, mse: float, **changes: Any) -> RunFolder:
    """Make a record with every section; `changes` go to the top level of the record."""
    values = {"auc": auc, "mse": mse, "bias": 0.02}
    scores = [score(m, "randomised", v, name, v - 0.01, v + 0.01) for m, v in values.items()]
    baselines = [score(m, "randomised", v, "constant", v, v) for m, v in BASE.items()]
    config = {"metric": METRICS, "graph": _graph(), "propensity": {"_target_": "p.Popularity"}}
    run = make_run(
        name, seed=seed, scores=scores, baselines=baselines, columns=["age"], assumed=["taste is small"], config=config
    )
    audit = replace(run.record.audit, rows={"train": 100, "test": 100}, mean_outcome={"train": 0.5})
    record = replace(run.record, **{"audit": audit, **_rest(name, seed), **changes})
    rng = np.random.default_rng([seed, len(name)])
    alike = np.random.default_rng(seed)  # the same in every record of a seed, as baselines are
    common = alike.normal(0, 0.002, (3, 20))
    jackknife = {
        s.key: (s.value or 0.0) + common + generator.normal(0, 0.0004, (3, 20))
        for generator, group in ((rng, scores), (alike, baselines))
        for s in group
    }
    replicates = {f"{name}|randomised|{m}": v + rng.normal(0, 0.005, 50) for m, v in values.items()}
    return RunFolder(Path(name), record, replicates, jackknife)


def _graph() -> dict[str, Any]:
    return {"edges": EDGES, "latent": ["taste"], "exposure": "exposure", "outcome": "outcome", "assume": True}


def _rest(name: str, seed: int) -> dict[str, Any]:
    candidates = tuple(
        CandidateRecord(
            fit=f"wd={decay:g}",
            settings={DECAY: decay},
            criterion=least,
            best_epoch=best,
            epochs=5,
            curve=_curve(least, best),
        )
        for decay, least, best in ((0.1, 0.6, 2), (1.0, 0.7, 3))
    )
    return {
        "overlap": OverlapSection(
            clip=0.01,
            clipped=0.125,
            effective_rows=80.4,
            inverse_sum=0.98,
            ece=0.004,
            ece_width=0.003,
            quantiles=(0.005, 0.02, 0.05, 0.1, 0.3, 0.6),
            mean_outcome={"naive": 0.5, "ips": 0.4, "snips": 0.41},
            balance=BalanceSection(before=0.3, after=0.05, worst=(("age=30", 0.3, -0.05),)),
            warnings=("12.5% of the rows are clipped at 0.01, above 5 %: the estimate is biased",),
        ),
        "selection": SelectionSection(
            criterion="ips",
            folds=1,
            chosen={DECAY: 0.1},
            fit="wd=0.1",
            candidates=candidates,
            randomised_rows=RandomisedRowsUse(budget=40, used=32),
            randomised_rows_for=("selection",),
        ),
        "parameters": {"outcome": 10, "propensity": 5},
        "seconds": 2.0,
        "peak_bytes": 3_000_000,
        "versions": {"causalrec": "0.1.0", "torch": "2.13.0"},
        "git_sha": "a" * 40 + "+",
        "data": DataSection(name="coat", sha256={"train.ascii": "ab" * 32}),
        "command": shlex.join(["causalrec", "train", f"name={name}", f"seed={seed}"]),
    }


def _curve(least: float, best: int) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(k, 0.7 - 0.05 * k, least + 0.01 * (k - best) ** 2) for k in range(5))


def study() -> list[RunFolder]:
    """Three rows by two seeds: `mf-dr` best by AUC, `mf-naive` by MSE, and a hostile name last by both."""
    rows = {"mf-naive": (0.70, 0.20), "mf-dr": (0.74, 0.21), HOSTILE: (0.60, 0.24)}
    return [complete_run(name, seed, auc + 0.01 * seed, mse) for name, (auc, mse) in rows.items() for seed in (0, 1)]


def failed_run(name: str = "mf-broken", **changes: Any) -> RunFolder:
    """Make the record of a job that failed before its data were read."""
    error = "DataError: train.ascii line 3 is short\n<b>second line</b>"
    record = RunRecord(name=name, status="failed", error=error, config={"seed": 7})
    return RunFolder(Path(name), replace(record, **changes), {})


def write_runs(folder: Path, runs: Iterable[AnyFolder]) -> Path:
    """Save records; a row's folder is numbered, as a hostile name is no path."""
    for k, run in enumerate(runs):
        below = folder / f"row{k}" / f"seed{run.record.config.get('seed')}"
        if isinstance(run, RunFolder):
            run.record.save(below, run.replicates, run.jackknife)
        else:
            run.record.save(below)
    return folder
