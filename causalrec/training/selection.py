"""Choosing among candidates on biased data: on held-out rows, or by k-fold cross-validation and a refit on all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import scale_propensity
from causalrec.ids import fit_id
from causalrec.progress import progress
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import Epoch, FitResult
from causalrec.training.folds import fold_logs, fold_numbers
from causalrec.types import Ints

MAX_EXTENSIONS = 4  # fits beyond the candidates that were asked for
Settings = Mapping[str, float]  # numbers by the path of the setting, as `selection.candidates` names them
Requests = Sequence[tuple[Settings, FitRequest]]  # one a candidate


@dataclass(frozen=True)
class Candidate:
    """One set of settings that was tried; means over folds in cross-validation.

    Attributes:
        settings: numbers by the path of the setting.
        criterion: of the best epoch, the lower the better.
        best_epoch: from 0.
        epochs: trained in all.
        curve: the learning curve; of folds the mean, as far as all of them went.
    """

    settings: Settings
    criterion: float
    best_epoch: float
    epochs: float
    curve: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class SelectedFit:
    """The fit that is evaluated, its settings, every candidate it was chosen from, and where its weights lie.

    Attributes:
        fit: that is evaluated.
        settings: its numbers, by path.
        candidates: that it was chosen from.
        folder: of its weights.
    """

    fit: FitResult
    settings: Settings
    candidates: tuple[Candidate, ...]
    folder: Path


def combine_candidates(candidates: Mapping[str, Sequence[float]]) -> list[Settings]:
    """Return every combination of the candidates, one empty one where there are none.

    >>> combine_candidates({"optimizer.lr": [0.1, 0.2]})
    [{'optimizer.lr': 0.1}, {'optimizer.lr': 0.2}]
    """
    return [dict(zip(candidates, values, strict=True)) for values in itertools.product(*candidates.values())]


def search_requests(requests: Requests, folds: int) -> list[FitRequest]:
    """Return the fits of a search: one a candidate, stopped and chosen on the validation rows, or one a fold.

    Every row of a table gets the same number of candidates, naive included; only biased rows are read, unless the
    caller hands over randomised ones (and declares it). Fold propensities, and what they are clipped at, are scaled by
    the share of rows a part holds, (k-1)/k and 1/k. Source: Schnabel et al. (ICML 2016, section 5.2). The folds are the
    same for every candidate and every row of a table.
    """
    several = len(requests) > 1
    if folds == 1:
        return [_label(request, settings, several=several) for settings, request in requests]
    (_, shared), *_ = requests
    splits = fold_logs(shared.train, folds)
    return [
        _label(
            replace(
                request.with_rows(train, validation),
                pair_propensity=scale_propensity(request.pair_propensity, 1 - 1 / folds),
                objective=request.objective.with_clip(request.objective.clip * _share(request.train, 1 - 1 / folds)),
                clip=request.clip * _share(request.train, 1 / folds),
            ),
            settings,
            f"fold={k}",
            several=several,
        )
        for settings, request in requests
        for k, (train, validation) in enumerate(splits)
    ]


def _share(rows: InteractionLog, share: float) -> float:
    """Return by what a part's propensities are scaled; those of arms and of rounds stay."""
    return share if rows.propensity_follows_share else 1.0


def refit_request(requests: Requests, results: Sequence[FitResult], folds: int) -> FitRequest:
    """Return the fit of the best candidate on all rows, for the mean number of epochs of its folds."""
    candidates = judge_candidates(requests, results, folds)
    best = best_candidate_index(candidates)
    settings, request = requests[best]
    epochs = round(candidates[best].best_epoch) + 1
    return _label(replace(request, validation=request.train, epochs=epochs), settings, "refit", several=False)


def select_fit(requests: Requests, results: Sequence[FitResult], folds: int) -> SelectedFit:
    """Return the fit that is evaluated: the best candidate's, or the refit, which came last."""
    candidates = judge_candidates(requests, results, folds)
    best = best_candidate_index(candidates)
    settings = requests[best][0]
    if folds > 1:
        return SelectedFit(results[-1], settings, candidates, refit_request(requests, results, folds).folder)
    return SelectedFit(results[best], settings, candidates, search_requests(requests, folds)[best].folder)


def judge_candidates(requests: Requests, results: Sequence[FitResult], folds: int) -> tuple[Candidate, ...]:
    """Return what became of each candidate, from the results of its search."""
    if folds == 1:
        pairs = zip(requests, results, strict=True)
        return tuple(Candidate(s, fit.criterion, fit.best_epoch, fit.epochs, fit.curve) for (s, _), fit in pairs)
    candidates, rows = [], np.bincount(fold_numbers(requests[0][1].train, folds))
    for k, (settings, _) in enumerate(requests):
        fits = results[k * folds : (k + 1) * folds]
        criterion = float(np.average([fit.criterion for fit in fits], weights=rows))
        best_epoch, epochs = map(float, np.mean([(fit.best_epoch, fit.epochs) for fit in fits], axis=0))
        candidates.append(Candidate(settings, criterion, best_epoch, epochs, _mean_curve(fits, rows)))
    return tuple(candidates)


def _mean_curve(fits: Sequence[FitResult], rows: Ints) -> tuple[Epoch, ...]:
    """Return the mean learning curve of the fits of folds, weighted by the rows [folds] that each holds out."""
    epochs = zip(*(fit.curve for fit in fits), strict=False)
    return tuple(_mean_epoch(points, rows) for points in epochs)


def _mean_epoch(points: Sequence[Epoch], rows: Ints) -> Epoch:
    loss = float(np.average([point.loss for point in points], weights=rows))
    criteria = [point.criterion for point in points if point.criterion is not None]
    criterion = float(np.average(criteria, weights=rows)) if len(criteria) == len(points) else None
    return Epoch(points[0].epoch, loss, criterion)


def settings_beyond(candidates: Sequence[Candidate]) -> Settings | None:
    """Return the next settings to try where the best stands at an end of what was tried; None where it does not.

    The number at the end goes on by the ratio of its two outermost values, tenfold at most; the other settings stay.
    """
    best = candidates[best_candidate_index(candidates)]
    for path, value in best.settings.items():
        others = {key: number for key, number in best.settings.items() if key != path}
        alike = [c for c in candidates if {k: v for k, v in c.settings.items() if k != path} == others]
        values = sorted({candidate.settings[path] for candidate in alike})
        if len(values) < 2 or values[0] <= 0 or value not in (values[0], values[-1]):
            continue
        if len({candidate.criterion for candidate in alike}) == 1:  # nothing reads it, as a decay of no factors
            continue
        ratio = max(value / values[1], 0.1) if value == values[0] else min(value / values[-2], 10.0)
        return {**best.settings, path: float(f"{value * ratio:.6g}")}
    return None


def extend_requests(
    requests: Requests,
    results: Sequence[FitResult],
    folds: int,
    request_of: Callable[[Settings], FitRequest | None],
) -> Requests:
    """Return the requests, and those that go on beyond an end at which the best of the results so far stands.

    At most `MAX_EXTENSIONS` are added; the last may have no result yet.

    Args:
        requests: of the candidates that were asked for.
        results: of every round so far.
        folds: of the cross-validation.
        request_of: makes the fit of further settings; None where they are not allowed.
    """
    extended = [*requests]
    while len(extended) - len(requests) < MAX_EXTENSIONS and len(results) >= len(extended) * folds:
        further = settings_beyond(judge_candidates(extended, results[: len(extended) * folds], folds))
        request = None if further is None else request_of(further)
        if further is None or request is None:
            break
        extended.append((further, request))
    return extended


def best_candidate_index(candidates: Sequence[Candidate]) -> int:
    """Return the index of the candidate of least criterion; of equal ones, that of the least settings."""
    keys = [(candidate.criterion, tuple(candidate.settings.values())) for candidate in candidates]
    return min(range(len(candidates)), key=lambda k: keys[k])


def _label(request: FitRequest, settings: Settings, stage: str = "", *, several: bool) -> FitRequest:
    """Return the request under the name of its candidate and stage: its folder, its prefix in logs, its label."""
    name = fit_id(settings, stage)
    prefix = f"{name}/" if several or stage else ""
    numbers = " ".join(f"{path.rpartition('.')[2]} {value:g}" for path, value in settings.items())
    return replace(request, prefix=prefix, folder=request.folder / name, label=f"{request.label} {numbers}".rstrip())


FitAll = Callable[[list[FitRequest]], Sequence[FitResult | Exception]]


def fit_sequentially(requests: list[FitRequest]) -> list[FitResult | Exception]:
    """Make one fit after another, by Lightning; a failure stands in the place of its fit."""
    results = []
    shown = all(request.trainer.progress for request in requests)
    with progress("", len(requests), "fits", shown=shown) as step:
        for request in requests:
            results.append(_fit_or_failure(request))
            step.advance()
    return results


def _fit_or_failure(request: FitRequest) -> FitResult | Exception:
    try:
        return request.fit()
    except Exception as error:
        return error
