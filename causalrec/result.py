"""What a run leaves: its scores beside the mandatory baselines, and all its record says of how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from causalrec.config import TrainSpec
from causalrec.data.log import CausalDataset
from causalrec.evaluation.baseline_scores import baseline_scores
from causalrec.evaluation.evaluator import Evaluator, means, reliability
from causalrec.features.views import FeatureMatrix
from causalrec.graph.overlap import Overlap, arm_overlap, overlap
from causalrec.predictor import AbstractPredictor
from causalrec.prepare import Plan, Ready
from causalrec.propensity.base import AbstractPropensity
from causalrec.training.selection import Chosen
from causalrec.types import Doubles


@dataclass(frozen=True)
class Result:
    """`fields` of the record; the bootstrap replicates and the leave-groups-out values of its scores, by
    `model|slice|metric`.
    """

    fields: Mapping[str, Any]
    replicates: Mapping[str, Doubles]
    jackknife: Mapping[str, Doubles]


def result_of(spec: TrainSpec, planned: Plan, ready: Ready, chosen: Chosen, predict: AbstractPredictor) -> Result:
    """Score what was learnt on every slice, beside the baselines, and say what the numbers rest on."""
    dataset, splits = ready.dataset, ready.splits
    evaluator = Evaluator(spec.metrics, ready.slices, float(splits.train.outcome.mean()), **dict(spec.spine.evaluation))
    scores = evaluator(predict, spec.spine.name)
    if ready.estimand == "effect":
        scores += [one for part in ready.slices for one in predict.averages(part, evaluator, spec.spine.name)]
        scores += predict.of_training(evaluator, spec.spine.name)
    elif dataset.card.feedback != "positive_only":  # else every outcome is one
        scores.append(evaluator.exposed_mean(ready.train, spec.spine.name))
    trivial = baseline_scores(spec.baselines, evaluator, splits, spec.spine.paths.cache)
    last = ready.slices[-1] if ready.slices else None  # below: a ranking score has no unit to be right in
    judged = last is not None and last.kind not in ("ranking", "uplift")
    shown = reliability(means(predict(last)), last.label) if judged and last is not None else []
    fields = {
        "data": _data(dataset),
        "audit": asdict(ready.audit),
        "adjustment": _adjustment(planned, ready.propensity, ready.features, spec.trains_network),
        "overlap": asdict(_overlap(spec, ready)),
        "selection": _selection(spec, chosen, ready),
        **predict.sizes,
        "scores": [score.as_record() for score in scores],
        "baselines": [score.as_record() for score in trivial],
        "calibration": shown,
    }
    both = {f"{s.model}|{s.slice}|{s.metric}": s for s in [*scores, *trivial]}
    return Result(
        fields,
        {name: score.replicates for name, score in both.items()},
        {name: score.jackknife for name, score in both.items() if score.jackknife is not None},
    )


def _data(dataset: CausalDataset) -> dict[str, Any]:
    card = dataset.card
    about = {"name": card.name, "sha256": dict(dataset.raw_sha256), "feedback": card.feedback}
    return about if card.notice is None else {**about, "notice": card.notice}


def _overlap(spec: TrainSpec, ready: Ready) -> Overlap:
    dataset, log, truth = ready.dataset, ready.train, None
    assert log.propensity is not None
    if ready.estimand == "effect":
        return arm_overlap(log, clip=_clip(spec), truth=_true_effect(ready), **vars(ready.exposure))
    if dataset.oracle is not None:
        user = np.arange(log.num_users)[:, None]
        truth = float(dataset.oracle.rate(user, np.arange(log.num_items)[None, :]).mean(dtype=np.float64))
    return overlap(log.propensity, log.outcome, log.population, clip=_clip(spec), truth=truth, **vars(ready.exposure))


def _clip(spec: TrainSpec) -> float:
    return float(spec.leaves["objective"].build().clip)


def _true_effect(ready: Ready) -> float | None:
    """Return the mean effect of the first arm on the training rows, where a simulation tells it."""
    if ready.dataset.potential is None:
        return None
    log = ready.train
    by_arm = ready.dataset.potential.means(log.users, log.item)
    return float((by_arm[:, 1] - by_arm[:, 0]).mean(dtype=np.float64))


def _adjustment(
    planned: Plan, propensity: AbstractPropensity, features: FeatureMatrix, network: bool
) -> dict[str, Any]:
    views = planned.features
    learner = {} if network else {"effect_modifiers": views.modifiers, "effect_controls": views.controls}
    return {
        **asdict(planned.adjustment),
        "propensity_view": planned.features.propensity,
        "propensity_reads": propensity.reads(planned.features.propensity),
        "outcome_view": planned.features.outcome,
        "outcome_features": features.names,
        **learner,
    }


def _selection(spec: TrainSpec, chosen: Chosen, ready: Ready) -> dict[str, Any]:
    selection, mar = spec.spine.selection, ready.splits.mar
    readers = (("propensity", ready.propensity.needs_mar), ("selection", selection.criterion == "mar_val"))
    uses = [name for name, reads in readers if reads]
    return {
        "criterion": selection.criterion,
        "folds": selection.folds,
        "chosen_weight_decay": chosen.weight_decay if chosen.tried else None,
        "candidates": [asdict(candidate) for candidate in chosen.tried],
        "randomised_rows": {"budget": selection.randomised_budget, "used": 0 if mar is None else len(mar)},
        "randomised_rows_for": uses if mar is not None else [],
    }
