"""Scores: metrics x slices, each with an interval by resampled users, or by groups of rows left out."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from causalrec.config.component import ComponentConfig
from causalrec.data.log import InteractionLog
from causalrec.errors import CausalRecError
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.estimators.jackknife import jackknife_bias, t_interval, t_replicates
from causalrec.evaluation.catalogue_predictions import Predict
from causalrec.evaluation.catalogue_scores import leave_users_out, update_metrics
from causalrec.evaluation.jackknife import leave_groups_out, needs_jackknife
from causalrec.evaluation.list_updates import lacks_gains
from causalrec.evaluation.ranked_first import few_ranked_first
from causalrec.evaluation.scored_rows import scored_rows
from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.list.base import AbstractListMetric
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.metrics.user_mean import AbstractUserMean
from causalrec.records.sections import ScoreRecord, finite_or_none
from causalrec.types import Bools, Doubles, Floats, Ints

SENTENCE = re.compile(r".*?(?:\.(?= [A-Z`])|$)")


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
        replicates: float64[R], bootstrap replicates; quantiles of its distribution where the jackknife gives it.
        jackknife: float64[3,G], the value without each of G groups of rows along two axes and their intersection, or
            three times along one.
        absolute: it is never negative, but replicates may be: those of the absolute value of a mean, linearised, or
            of what chance adds to, reflected.
        higher_is_better: None where neither more nor less is.
        description: what the metric is, a sentence.
        warnings: what must be read with it, a line each.
        note: what stands beside its interval wherever it is shown, in a few words.
        by_user: float32[U], the value of each user of a ranking, nan of those who are not in the mean.
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
    note: str = ""
    by_user: Floats | None = None

    def as_record(self) -> ScoreRecord:
        """Return the score as the record holds it."""
        ends = finite_or_none(self.value), finite_or_none(self.low), finite_or_none(self.high)
        return ScoreRecord(
            self.model, self.slice, self.metric, *ends, int(self.n), self.absolute, self.higher_is_better, self.note
        )


@dataclass(frozen=True)
class Evaluator:
    """Scores any predictor on every slice with every metric whose labels the slice has.

    Attributes:
        metrics: the components, by name.
        slices: rows to score.
        constant: the training mean outcome.
        replicates: R, of the user bootstrap.
        seed: of the bootstrap, the same for every model.
        level: of the intervals.
        memory: megabytes that a block of a whole catalogue, and its prediction, may take.
    """

    metrics: Mapping[str, ComponentConfig[AbstractMetric]]
    slices: Sequence[AnySliceData]
    constant: float
    replicates: int = 200
    seed: int = 0
    level: float = 0.95
    memory: float = 512

    def __call__(self, predict: Predict, model: str) -> list[Score]:
        """Return the scores of a predictor, slice -> float32[N] mean outcomes, float32[N,C] chances of classes or
        float32[N,A] effects; the same rows are predicted once, whole catalogues by blocks of users.
        """
        predictions: dict[str, Floats] = {}
        scores: list[Score] = []
        streamed = self._update_catalogues(predict, model)
        for k, data in enumerate(self.slices):
            if isinstance(data, CatalogueData):
                metrics = streamed[k]
                computed = [self._score_users(name, data, metric, model) for name, metric in metrics.items()]
                scores += [_describe(score, metric) for score, metric in zip(computed, metrics.values(), strict=True)]
                continue
            metrics = self._metrics_of(data)
            if data.lacks_arm:
                computed = [self._nan_score(name, data, model) for name in metrics]
            else:
                computed = self._score_slice(data, metrics, predict_once(predict, data, predictions), model)
            scores += [_describe(score, metric) for score, metric in zip(computed, metrics.values(), strict=True)]
        return scores

    def _update_catalogues(self, predict: Predict, model: str) -> dict[int, dict[str, AbstractMetric]]:
        """Return the metrics of the slices of whole catalogues, by the slice's place; each catalogue is scored once."""
        metrics: dict[int, dict[str, AbstractMetric]] = {}
        alike: dict[tuple[str, str], list[tuple[int, CatalogueData]]] = {}
        for k, data in enumerate(self.slices):
            if isinstance(data, CatalogueData):
                metrics[k] = self._metrics_of(data)
                alike.setdefault((data.kind, (data.subset_of or data).rows_key), []).append((k, data))
        for group in alike.values():
            of_slices = [metrics[k] for k, _ in group]
            memory = int(self.memory * 1e6)
            update_metrics([data for _, data in group], of_slices, predict, model, self.constant, memory)
        return metrics

    def _score_users(self, name: str, data: AnySliceData, metric: AbstractMetric, model: str) -> Score:
        """Return a score of rankings or lists, with its values without groups of users (items stay fixed), by user."""
        if isinstance(metric, AbstractListMetric) and metric.of_catalogue:
            return self._score_exposure(name, data, metric, model)
        score = self._score_resampled(name, data, metric, model)
        if not data.jackknife:
            return score
        means = isinstance(metric, AbstractUserMean | AbstractListMean) and data.subset_of is None
        by_user = metric.by_user_means() if means else None  # type: ignore[operator]
        return replace(score, jackknife=leave_users_out(data, metric), by_user=by_user)

    def _score_exposure(self, name: str, data: AnySliceData, metric: AbstractListMetric, model: str) -> Score:
        """Return a number of all lists together: its interval is the jackknife's, whose bias stands beside it."""
        value, jackknife = float(metric.compute()), leave_users_out(data, metric)
        low, high = np.clip(t_interval(value, jackknife, self.level), *metric.bounds).tolist()
        replicates = np.clip(t_replicates(value, jackknife, self.replicates), *metric.bounds)
        note = bias_note(jackknife_bias(value, jackknife), high - low)
        return Score(name, data.name, value, low, high, data.num_judged, model, replicates, jackknife, note=note)

    def _score_lists(
        self, data: SliceData, metrics: Mapping[str, AbstractMetric], scored: Scored, model: str
    ) -> list[Score]:
        """Return the scores of a slice whose lists are not all rows of a user."""
        assert data.ranking is not None
        ranking = torch.from_numpy(data.ranking)
        users = torch.zeros(int(data.ranking.max(initial=-1)) + 1, dtype=torch.int64)
        users[ranking] = scored.cluster
        ranked = replace(scored, cluster=ranking).ranked_rows
        for metric in metrics.values():
            if isinstance(metric, AbstractUserMean):
                metric.update_ranked(ranked, users)
            else:
                metric.update(scored)
        return [self._score_users(name, data, metric, model) for name, metric in metrics.items()]

    def _metrics_of(self, data: AnySliceData) -> dict[str, AbstractMetric]:
        """Return the metrics that are defined for a slice's labels."""
        built: dict[str, AbstractMetric] = {
            name: chosen.build(data.num_clusters) for name, chosen in self.metrics.items()
        }
        return {
            name: metric
            for name, metric in built.items()
            if data.kind in metric.labels
            and not (metric.ranks_users and not data.num_users)
            and not (metric.labels_are_gains and data.has_negative_labels)
            and not lacks_gains(type(metric), data)
            and not (metric.counts_positives and data.has_graded_labels)
        }

    def _score_slice(
        self, data: SliceData, metrics: Mapping[str, AbstractMetric], prediction: Floats, model: str
    ) -> list[Score]:
        _require_finite(data, prediction, model)
        scored = scored_rows(data, prediction, self.constant)
        if data.ranking is not None:
            return self._score_lists(data, metrics, scored, model)
        left_out = leave_groups_out(data, scored)
        lines = few_ranked_first(scored, data.dependence[0]) if data.kind == "uplift" else ()
        scores = []
        for name, metric in metrics.items():
            metric.update(scored)
            jackknife = None if left_out is None else left_out.values(metric)
            score = self._score_metric(name, data, metric, model, jackknife)
            scores.append(replace(score, warnings=lines) if metric.weighs_first else score)
        return scores

    def _nan_score(self, name: str, data: AnySliceData, model: str) -> Score:
        return self._score(name, data, np.nan, np.full(self.replicates, np.nan), model)

    def _score_metric(
        self, name: str, data: SliceData, metric: AbstractMetric, model: str, jackknife: Doubles | None
    ) -> Score:
        """Return a score; its interval is that of resampled users unless `needs_jackknife` says otherwise."""
        value = float(metric.compute())
        if jackknife is None or not needs_jackknife(data):
            return replace(self._score_resampled(name, data, metric, model), jackknife=jackknife)
        low, high = t_interval(value, jackknife, self.level)
        replicates = t_replicates(value, jackknife, self.replicates)
        return Score(name, data.name, value, low, high, len(data), model, replicates, jackknife)

    def _score_resampled(self, name: str, data: AnySliceData, metric: AbstractMetric, model: str) -> Score:
        """Return a score with its interval by resampled users; replicates of what chance adds to are reflected."""
        value, replicates = float(metric.compute()), metric.replicates(self._weights(data.num_clusters)).numpy()
        if metric.reflects:
            replicates = value + float(metric.of_empirical()) - replicates
        score = self._score(name, data, value, replicates, model, metric.cuts_at_zero)
        return replace(score, note="biased upwards") if metric.reflects and value > score.high else score

    def _weights(self, clusters: int) -> torch.Tensor:
        return _draw_weights(clusters, self.replicates, self.seed)

    def _score(
        self, name: str, data: AnySliceData, value: float, replicates: Doubles, model: str, absolute: bool = False
    ) -> Score:
        low, high = percentile_interval(replicates, self.level, absolute=absolute)
        return Score(name, data.name, value, low, high, data.num_judged, model, replicates, absolute=absolute)

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
        return self.share_of_blocks(data, [(data.cluster, holds)], metric, model)

    def share_of_blocks(self, data: AnySliceData, rows: Iterable[tuple[Ints, Bools]], metric: str, model: str) -> Score:
        """Return the share of a slice's rows for which something holds, as a score.

        Args:
            data: the slice.
            rows: its rows, some at a time: their users (or rows, in userless logs) and for which of them it holds.
            metric: what the score is called.
            model: the predictor.
        """
        total, count = np.zeros((2, data.num_clusters))
        for cluster, holds in rows:
            total += np.bincount(cluster, holds, minlength=data.num_clusters)
            count += np.bincount(cluster, minlength=data.num_clusters)
        weights = self._weights(data.num_clusters).numpy()
        value = float(total.sum() / count.sum())
        return self._score(metric, data, value, (weights @ total) / (weights @ count), model)


def _describe(score: Score, metric: AbstractMetric) -> Score:
    words = first_sentence(type(metric))
    warnings, note = (*score.warnings, *metric.warnings), score.note or metric.note
    return replace(score, higher_is_better=metric.higher_is_better, description=words, warnings=warnings, note=note)


def bias_note(bias: float, width: float) -> str:
    """Write a bias to as many decimals as an interval of this width is read to; nothing where it is unknown.

    >>> bias_note(-0.01234, 0.04), bias_note(3e-6, 0.002), bias_note(float("nan"), 0.1)
    ('bias -0.012', 'bias +0.000', '')
    """
    decimals = min(max(3, math.ceil(-math.log10(width / 2))), 6) if width > 0 else 3
    return f"bias {bias:+.{decimals}f}" if math.isfinite(bias) else ""


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


def predict_once(predict: Predict, data: SliceData, predictions: dict[str, Floats]) -> Floats:
    """Return the prediction of a slice: of a subset, the rows of what was predicted for the larger slice."""
    if data.calibration is not None:
        of_rows = predict_once(predict, data.calibration.rows, predictions)
        return data.calibration.apply(predict_once(predict, replace(data, calibration=None), predictions), of_rows)
    if data.subset_of is not None:
        return predict_once(predict, data.subset_of, predictions)[data.rows]
    if data.rows_key not in predictions:
        predictions[data.rows_key] = predict(data)
    return predictions[data.rows_key]


@lru_cache(maxsize=1)
def _draw_weights(clusters: int, replicates: int, seed: int) -> torch.Tensor:
    """Return the resamples that every model and job on the same users shares."""
    return torch.from_numpy(cluster_weights(clusters, replicates, seed))
