"""Scores: metrics x slices, each with a user-cluster bootstrap interval."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from causalrec.config.component import ComponentConfig
from causalrec.data.log import InteractionLog
from causalrec.errors import CausalRecError
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.records.sections import CalibrationBin, ScoreRecord, finite_or_none
from causalrec.types import Bools, Doubles, Floats

SENTENCE = re.compile(r".*?(?:\.(?= [A-Z`])|$)")
GROUPS = 20  # of the jackknife, on each of its three axes
MOST_JACKKNIFED = 100_000
Predict = Callable[[SliceData], Floats]


@dataclass(frozen=True)
class Score:
    """A number of the record, with its interval and the bootstrap replicates behind it.

    Attributes:
        metric: its name.
        slice: the rows it was computed on.
        value: the metric, nan where undefined.
        low: lower end of its interval.
        high: upper end of its interval.
        n: rows it rests on.
        model: the predictor.
        replicates: float64[R], bootstrap replicates.
        jackknife: float64[3,G], the value without each of G groups of users, of items and of rows (paired comparisons).
        absolute: it is the absolute value of a mean; replicates and jackknife are linearised, and may be negative.
        higher_is_better: None where neither more nor less is.
        description: what the metric is, a sentence.
        warnings: what must be read with it, a line each.
    """

    metric: str
    slice: str
    value: float
    low: float
    high: float
    n: int
    model: str
    replicates: Doubles
    jackknife: Doubles | None = None
    absolute: bool = False
    higher_is_better: bool | None = None
    description: str = ""
    warnings: tuple[str, ...] = ()

    def as_record(self) -> ScoreRecord:
        """Return the score as the record holds it."""
        ends = finite_or_none(self.value), finite_or_none(self.low), finite_or_none(self.high)
        return ScoreRecord(
            self.model, self.slice, self.metric, *ends, int(self.n), self.absolute, self.higher_is_better
        )


@dataclass(frozen=True)
class Evaluator:
    """Scores any predictor on every slice with every metric whose labels the slice has.

    Attributes:
        metrics: the components, by name.
        slices: rows to score; of at most `MOST_JACKKNIFED` test rows, values without groups of rows are computed too.
        constant: the training mean outcome.
        replicates: R, of the user bootstrap.
        seed: of the bootstrap, the same for every model.
        level: of the intervals.
    """

    metrics: Mapping[str, ComponentConfig[AbstractMetric]]
    slices: Sequence[SliceData]
    constant: float
    replicates: int = 200
    seed: int = 0
    level: float = 0.95

    def __call__(self, predict: Predict, model: str) -> list[Score]:
        """Return the scores of a predictor, slice -> float32[N] mean outcomes, float32[N,C] chances of classes or
        float32[N,A] effects; the same rows are predicted once.
        """
        predictions: dict[str, Floats] = {}
        scores: list[Score] = []
        for data in self.slices:
            scores += self._score_slice(data, _predict_once(predict, data, predictions), model)
        return scores

    def _score_slice(self, data: SliceData, prediction: Floats, model: str) -> list[Score]:
        _require_finite(data, prediction, model)
        scored, has_negative = scored_rows(data, prediction, self.constant), bool((data.label < 0).any())
        weights = self._weights(data.num_clusters)
        groups = jackknife_groups(data, scored) if data.jackknife and len(data) <= MOST_JACKKNIFED else None
        scores = []
        for name, chosen in self.metrics.items():
            metric: AbstractMetric = chosen.build(data.num_clusters)
            if data.kind not in metric.labels or (metric.ranks_users and not data.num_users):
                continue
            if metric.labels_are_gains and has_negative:
                continue
            metric.update(scored)
            replicates = metric.replicates(weights).numpy()
            score = self._score(name, data, float(metric.compute()), replicates, model, metric.absolute)
            score = replace(score, higher_is_better=metric.higher_is_better, description=first_sentence(type(metric)))
            scores.append(replace(score, jackknife=_jackknife(metric, *groups)) if groups else score)
        return scores

    def _weights(self, clusters: int) -> torch.Tensor:
        return _draw_weights(clusters, self.replicates, self.seed)

    def _score(
        self, name: str, data: SliceData, value: float, replicates: Doubles, model: str, absolute: bool = False
    ) -> Score:
        low, high = percentile_interval(replicates, self.level, absolute=absolute)
        return Score(name, data.name, value, low, high, len(data), model, replicates, absolute=absolute)

    def exposed_mean(self, log: InteractionLog, model: str) -> Score:
        """Return the SNIPS estimate of the mean outcome under exposure from logged rows, as a score."""
        assert log.propensity is not None
        cluster = log.user if log.user is not None else np.arange(len(log))
        clusters = log.num_users or len(log)
        weight = 1.0 / log.propensity.astype(np.float64)
        total = np.bincount(cluster, weight * log.outcome, minlength=clusters)
        norm = np.bincount(cluster, weight, minlength=clusters)
        weights = self._weights(clusters).numpy()
        with np.errstate(invalid="ignore"):  # 0 / 0, where no drawn user has a row: an undefined replicate
            replicates = (weights @ total) / (weights @ norm)
        low, high = percentile_interval(replicates, self.level)
        value = float(total.sum() / norm.sum())
        words = "the mean outcome over all pairs that the weighted logged rows estimate"
        return Score("snips_mean", "logged", value, low, high, len(log), model, replicates, description=words)

    def share(self, data: SliceData, holds: Bools, metric: str, model: str) -> Score:
        """Return the share of a slice's rows for which something holds, as a score.

        Args:
            data: the slice.
            holds: bool[N], for which rows it holds.
            metric: what the score is called.
            model: the predictor.
        """
        total = np.bincount(data.cluster, holds, minlength=data.num_clusters)
        count = np.bincount(data.cluster, minlength=data.num_clusters)
        weights = self._weights(data.num_clusters).numpy()
        return self._score(metric, data, float(holds.mean()), (weights @ total) / (weights @ count), model)


def first_sentence(component: type) -> str:
    """Return the first sentence of a class's docstring, as a legend shows it.

    >>> first_sentence(AbstractMetric)[:25]
    'Built by the evaluator as'
    """
    paragraph = " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())
    return SENTENCE.match(paragraph)[0].rstrip(".") if paragraph else ""  # type: ignore[index]


def _require_finite(data: SliceData, prediction: Floats, model: str) -> None:
    """Raise CausalRecError where a prediction is not finite: metrics would rank such rows by their place."""
    bad = int(np.count_nonzero(~np.isfinite(prediction)))
    if bad:
        raise CausalRecError(
            f"{model}: {bad} of {prediction.size} predictions on the slice {data.name} are not finite: the fit "
            f"diverged; lower optimizer.lr, or raise objective.clip where weights are large"
        )


def _predict_once(predict: Predict, data: SliceData, predictions: dict[str, Floats]) -> Floats:
    """Return the prediction of a slice: of a subset, the rows of what was predicted for the larger slice."""
    if data.subset_of is not None:
        return _predict_once(predict, data.subset_of, predictions)[data.rows]
    if data.rows_key not in predictions:
        predictions[data.rows_key] = predict(data)
    return predictions[data.rows_key]


@lru_cache(maxsize=1)
def _draw_weights(clusters: int, replicates: int, seed: int) -> torch.Tensor:
    """Return the resamples that every model and job on the same users shares."""
    return torch.from_numpy(cluster_weights(clusters, replicates, seed))


def jackknife_groups(data: SliceData, scored: Scored) -> tuple[torch.Tensor, Subsets]:
    """Return what stays without each group: of users, as weights float64[G,U]; of items, then of rows, as 2 G subsets.

    Groups are seeded permutations, the same for every model on a slice, so that differences are paired.
    """
    rng = np.random.default_rng(0)
    each = torch.arange(GROUPS)[:, None]
    user, item, row = (
        torch.from_numpy(rng.permutation(count) % GROUPS)
        for count in (data.num_clusters, int(data.item.max()) + 1, len(data))
    )
    mask = torch.cat([item[torch.from_numpy(data.item)] != each, row != each])
    return (user != each).double(), Subsets(scored, mask, data.num_clusters)


def _jackknife(metric: AbstractMetric, users: torch.Tensor, subsets: Subsets) -> Doubles:
    values: Doubles = torch.cat([metric.replicates(users), metric.on_subsets(subsets)]).double().numpy()
    return values.reshape(3, -1)


def scored_rows(data: SliceData, prediction: Floats, constant: float) -> Scored:
    """Return a slice's rows beside what was predicted: float32[N] numbers, float32[N,C] chances of classes, or
    float32[N,A] effects, of which the slice's arm is taken.
    """
    if data.arm:
        values, likeliest = prediction if prediction.ndim == 1 else prediction[:, data.arm - 1], None
    else:
        values, likeliest = means(prediction), prediction.argmax(-1) if prediction.ndim == 2 else None
    columns = (values, data.label, data.cluster, likeliest, data.treatment, data.propensity, data.drawn_effect)
    tensors = [None if column is None else torch.from_numpy(np.ascontiguousarray(column)) for column in columns]
    predicted, label, cluster, *others = tensors
    assert predicted is not None and label is not None and cluster is not None
    return Scored(predicted, label, cluster, constant, *others)


def means(prediction: Floats) -> Floats:
    """Return mean outcomes float32[N]; the expected class of chances float32[N,C].

    >>> means(np.array([[0.5, 0.0, 0.5]], dtype=np.float32)).tolist()
    [1.0]
    """
    if prediction.ndim == 1:
        return prediction
    return (prediction @ np.arange(prediction.shape[1])).astype(np.float32)


def reliability(prediction: Floats, label: Floats, bins: int = 10) -> list[CalibrationBin]:
    """Return the mean prediction and mean label of equally filled bins of the prediction."""
    order = np.argsort(prediction, kind="stable")
    return [
        CalibrationBin(
            finite_or_none(float(prediction[rows].mean(dtype=np.float64))),
            finite_or_none(float(label[rows].mean(dtype=np.float64))),
            len(rows),
        )
        for rows in np.array_split(order, bins)
        if len(rows)
    ]
