"""Records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import (
    AdjustmentSection,
    AuditSection,
    CalibrationBin,
    DataSection,
    IdentificationSection,
    ScoreRecord,
    TaskSection,
)
from causalrec.types import Doubles


def score(
    metric: str, where: str, value: float | None, model: str, low: float | None = 0.0, high: float | None = 1.0
) -> ScoreRecord:
    better = {"mse": False, "mae": False, "log_loss": False, "bias": None}.get(metric, True)
    return ScoreRecord(model, where, metric, value, low, high, 100, higher_is_better=better)


def task(estimand: str = "exposed_mean") -> TaskSection:
    """What a run of this estimand writes of its task."""
    if estimand == "effect":
        words, note = "effect: E[outcome(1) − outcome(0)]", "Estimand: effect."
        summary = "average effect on the training rows"
    else:
        words = "exposed_mean: E[outcome | do(exposure)], a debiased outcome, not an effect"
        note, summary = "Estimand: exposed_mean (a debiased outcome, not an effect).", "mean outcome over all pairs"
    return TaskSection(name=estimand, estimand=estimand, description=words, footnotes=(note,), summary=summary)


def make_run(name: str = "mf-ips", **changes: Any) -> RunFolder:
    """Make a record as it is read, of an `mf-ips` run on Coat unless `changes` say otherwise."""
    seed, auc = changes.get("seed", 0), changes.get("auc", 0.7)
    low, high = changes.get("interval", (0.6, 0.8))
    columns = tuple(changes.get("columns", ("activity", "affinity")))
    scores = changes.get("scores") or [
        score("auc", "randomised", auc, name, low, high),
        score("recall@5", "randomised", 0.3, name),
        *([score("bias", "all_pairs", changes["bias"], name)] if "bias" in changes else []),
    ]
    encoder, _, objective = name.partition("-")
    choices = {"dataset": "d", "graph": "d", "propensity": "popularity", "encoder": encoder, "objective": objective}
    training = IdentificationSection(
        strategy=changes.get("strategy", "backdoor"), columns=columns, assumed=tuple(changes.get("assumed", ()))
    )
    record = RunRecord(
        name=name,
        status=changes.get("status", "done"),
        config={
            "name": name,
            "sweep": "s",
            "seed": seed,
            "choices": choices,
            "paths": {"runs": f"runs{seed}"},
            "logger": {"_target_": f"logger{seed}"},
            "evaluation": {"level": 0.95},
            "optimizer": {"lr": 0.01, **changes.get("optimizer", {})},
            **changes.get("config", {}),
        },
        task=task(changes.get("estimand", "exposed_mean")),
        data=DataSection(name=changes.get("dataset", "coat"), caveat=changes.get("caveat")),
        audit=AuditSection(
            threshold=changes.get("threshold", 3.0),
            hashes={"train": "t", "validation": "v", "test": "e"},
            test=changes.get("test", "randomised: uniform"),
            duplicates=366,
            duplicate_rule="drop_train",
        ),
        adjustment=AdjustmentSection(
            training=training,
            evaluation=IdentificationSection(strategy=changes.get("evaluation", "randomised")),
            propensity_reads=tuple(changes.get("reads", columns)),
        ),
        overlap=OverlapSection(mean_outcome=changes.get("mean_outcome", {"naive": 0.5, "ips": 0.4, "snips": 0.3})),
        scores=tuple(scores),
        baselines=tuple(changes.get("baselines", [score("auc", "randomised", 0.5, "constant", 0.5, 0.5)])),
        calibration=tuple(changes.get("calibration", [CalibrationBin(0.2, 0.3, 5)])),
    )
    replicates: dict[str, Doubles] = {
        f"{name}|randomised|auc": np.asarray(values, np.float64)
        for values in [changes.get("replicates")]
        if values is not None
    }
    return RunFolder(Path(name) / f"seed{seed}", record, replicates)


def replace_values(run: RunFolder, section: str | None = None, **values: Any) -> RunFolder:
    """Return a run with other values in its record, or in one section of it."""
    from dataclasses import replace

    record = run.record
    if section is not None:
        values = {section: replace(getattr(record, section), **values)}
    return replace(run, record=replace(record, **values))


def replace_groups(run: RunFolder, **groups: Any) -> RunFolder:
    """Return a run with other groups in its configuration."""
    return replace_values(run, config={**run.record.config, **groups})
