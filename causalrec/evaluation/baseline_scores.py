"""The mandatory baselines' scores, fitted once per split and cached by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from causalrec.config.component import ComponentConfig
from causalrec.data.array_files import arrays_in, npz_bytes
from causalrec.data.checked_file import load_or_make
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.evaluation.catalogue_predictions import CatalogueScorer, ScoreBuffer, pair_scorer
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.jackknife import FEW_CLUSTERS
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.solvers.convergence import worst
from causalrec.types import Doubles, Floats, Ints

VERSION = 13  # raise when a baseline's or a metric's mathematics change
BETTER = (None, False, True)  # of `higher_is_better`, by the number that the file holds


def baseline_scores(
    baselines: Mapping[str, ComponentConfig[AbstractBaseline]],
    evaluator: Evaluator,
    splits: Splits,
    train: InteractionLog,
    cache: Path,
) -> tuple[list[Score], tuple[str, ...]]:
    """Return every baseline's scores, and warnings of their fits: from the cache where splits, metrics and settings are
    the same.

    Args:
        baselines: the components, by name.
        evaluator: holds slices and metrics.
        splits: training, validation and test rows.
        train: what the baselines are fitted on: the rows that a model of the same table is (re)fitted on.
        cache: the cache folder.
    """
    scores: list[Score] = []
    warnings: list[str] = []
    for name, component in baselines.items():
        path = cache / "baselines" / f"{_key(name, component, evaluator, splits, train)}.arrays"
        fit = partial(_fit, name, component, evaluator, splits, train)
        loaded, lines_of_fits = load_or_make(path, fit, partial(_load, name))
        scores += loaded
        warnings += lines_of_fits
    return scores, tuple(dict.fromkeys(warnings))


def _fit(
    name: str,
    component: ComponentConfig[AbstractBaseline],
    evaluator: Evaluator,
    splits: Splits,
    train: InteractionLog,
) -> bytes:
    """Fit a baseline; return its scores and a warning of its fit, as they are cached."""
    baseline: AbstractBaseline = component.build()
    baseline.fit(train, splits.context)
    fit = worst(baseline.fits)
    line = None if fit is None else fit.warning(f"baseline={name}")
    return _to_bytes(evaluator(BaselinePredictor(baseline), name), [] if line is None else [line])


@dataclass(frozen=True)
class BaselinePredictor:
    """A fitted baseline, as the evaluator asks it."""

    baseline: AbstractBaseline

    def __call__(self, data: SliceData) -> Floats:
        return self.baseline.predict(data.user, data.item, data.time)

    def catalogue_scorer(self, data: CatalogueData, pairs_at_once: int) -> CatalogueScorer:
        """Return what predicts all items of users; from one vector where users are not told apart."""
        pairs, buffer = pair_scorer(self, data, pairs_at_once), ScoreBuffer()

        def score(users: Ints) -> Tensor:
            prediction = self.baseline.predict_catalogue(users, data.num_items)
            if prediction is None:
                return pairs(users)
            scores = buffer(len(users), data.num_items)
            np.copyto(scores.numpy(), prediction if prediction.ndim == 2 else prediction[..., data.arm - 1])
            return scores

        return score


def _key(
    name: str,
    component: ComponentConfig[AbstractBaseline],
    evaluator: Evaluator,
    splits: Splits,
    train: InteractionLog,
) -> str:
    metrics = {metric: chosen.to_dict() for metric, chosen in evaluator.metrics.items()}
    settings = [evaluator.constant, evaluator.replicates, evaluator.seed, evaluator.level]
    timed = () if splits.context is None else (train, splits.context, splits.test)
    times = [_digest(log.time) for log in timed]
    treatment = _digest(train.treatment) if any(data.arm for data in evaluator.slices) else None
    slices = [data.identity for data in evaluator.slices]
    dependencies = [VERSION, name, component.to_dict(), metrics, settings, splits.hashes, times, slices, treatment]
    dependencies += [_digest(train.codes), _digest(train.outcome)]
    return hashlib.sha256(json.dumps(dependencies, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _digest(column: Floats | Ints | None) -> str | None:
    return None if column is None else hashlib.sha256(column.tobytes()).hexdigest()


def _to_bytes(scores: list[Score], warnings: list[str]) -> bytes:
    return npz_bytes(
        {
            "warnings": np.array(warnings, dtype=np.str_),
            "names": np.array([[s.metric, s.slice] for s in scores], dtype=np.str_),
            "values": np.array([[s.value, s.low, s.high, s.n, s.absolute] for s in scores]),
            "notes": np.array([s.note for s in scores], dtype=np.str_),
            "better": np.array([BETTER.index(s.higher_is_better) for s in scores]),
            "replicates": np.array([s.replicates for s in scores]),
            "jackknife": np.array([_pad_groups(s.jackknife) for s in scores]),
            "by_user": np.array([s.by_user for s in scores if s.by_user is not None], np.float32),
            "has_users": np.array([s.by_user is not None for s in scores]),
            "groups": np.array([0 if s.jackknife is None else s.jackknife.shape[1] for s in scores]),
        }
    )


def _load(model: str, content: bytes) -> tuple[list[Score], list[str]]:
    saved = arrays_in(content)
    keys = ("names", "values", "notes", "better", "replicates", "jackknife", "groups", "has_users")
    of_users = iter(saved["by_user"])
    rows = zip(*(saved[key] for key in keys), strict=True)
    scores = [
        Score(
            *(str(m), str(s), float(v), float(low), float(high), int(n), model),
            replicates=replicates,
            jackknife=jackknife[:, :groups] if groups else None,
            absolute=bool(absolute),
            higher_is_better=BETTER[better],
            note=str(note),
            by_user=next(of_users) if has_users else None,
        )
        for (m, s), (v, low, high, n, absolute), note, better, replicates, jackknife, groups, has_users in rows
    ]
    return scores, [str(line) for line in saved["warnings"]]


def _pad_groups(jackknife: Doubles | None) -> Doubles:
    """Return values without groups as [3,FEW_CLUSTERS], nan where there are fewer groups."""
    groups = 0 if jackknife is None else jackknife.shape[1]
    full = np.full((3, FEW_CLUSTERS), np.nan)
    full[:, :groups] = 0.0 if jackknife is None else jackknife
    return full
