"""Records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from causalrec.reporting.record import Saved
from causalrec.types import Doubles


def score(
    metric: str, where: str, value: float | None, model: str, low: float = 0.0, high: float = 1.0
) -> dict[str, Any]:
    return {"metric": metric, "slice": where, "value": value, "low": low, "high": high, "n": 100, "model": model}


def make_saved(name: str = "mf-ips", **changes: Any) -> Saved:
    """Make a record as `read` returns it, of an `mf-ips` run on Coat unless `changes` say otherwise."""
    seed, auc = changes.get("seed", 0), changes.get("auc", 0.7)
    low, high = changes.get("interval", (0.6, 0.8))
    columns = changes.get("columns", ["activity", "affinity"])
    scores = changes.get("scores") or [
        score("auc", "randomised", auc, name, low, high),
        score("recall@5", "randomised", 0.3, name),
        *([score("bias", "all_pairs", changes["bias"], name)] if "bias" in changes else []),
    ]
    encoder, _, objective = name.partition("-")
    choices = {"dataset": "d", "graph": "d", "propensity": "popularity", "encoder": encoder, "objective": objective}
    record = {
        "name": name,
        "status": changes.get("status", "done"),
        "config": {
            "name": name,
            "sweep": "s",
            "seed": seed,
            "choices": choices,
            "paths": {"runs": f"runs{seed}"},
            "logger": {"_target_": f"logger{seed}"},
            "evaluation": {"level": 0.95},
            "optimizer": {"lr": 0.01, **changes.get("optimizer", {})},
        },
        "data": {"name": changes.get("dataset", "coat")},
        "audit": {
            "threshold": changes.get("threshold", 3.0),
            "hashes": {"train": "t", "validation": "v", "test": "e"},
            "test": changes.get("test", "randomised: uniform"),
            "duplicates": 366,
            "duplicate_rule": "drop_train",
        },
        "adjustment": {
            "estimand": changes.get("estimand", "exposed_mean"),
            "training": {
                "strategy": changes.get("strategy", "backdoor"),
                "columns": columns,
                "assumed": changes.get("assumed", []),
            },
            "evaluation": {"strategy": changes.get("evaluation", "randomised"), "columns": [], "assumed": []},
            "propensity_reads": changes.get("reads", columns),
        },
        "overlap": {"mean_outcome": changes.get("mean_outcome", {"naive": 0.5, "ips": 0.4, "snips": 0.3})},
        "scores": scores,
        "baselines": changes.get("baselines", [score("auc", "randomised", 0.5, "constant", 0.5, 0.5)]),
        "calibration": changes.get("calibration", [{"predicted": 0.2, "true": 0.3, "n": 5}]),
    }
    replicates: dict[str, Doubles] = {
        f"{name}|randomised|auc": np.asarray(drawn, np.float64)
        for drawn in [changes.get("replicates")]
        if drawn is not None
    }
    return Saved(Path(name) / f"seed{seed}", record, replicates)
