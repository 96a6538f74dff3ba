"""Candidates are tried alike, on folds or on a held-out part, and the best on biased rows is refitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.running.run import StartedJob, fit_in_rounds
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import Epoch, FitResult
from causalrec.training.optimizer import AdamW
from causalrec.training.selection import (
    Candidate,
    Requests,
    SelectedFit,
    Settings,
    best_candidate_index,
    combine_candidates,
    extend_requests,
    fit_sequentially,
    judge_candidates,
    refit_request,
    search_requests,
    select_fit,
    settings_beyond,
)
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME

USERS, ITEMS = 20, 15
NO_NUMBERS = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32), ())


def log_of(rows: int, seed: int = 0) -> InteractionLog:
    """Items differ in quality, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    outcome = (rng.random(rows) < np.linspace(0.05, 0.95, ITEMS)[codes % ITEMS]).astype(np.float32)
    propensity = np.full(rows, 0.5, np.float32)
    treatment = np.ones(rows, np.int64)
    return InteractionLog(codes % ITEMS, treatment, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)


def request(folder: Path, train: InteractionLog, **changes: Any) -> FitRequest:
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    defaults: dict[str, Any] = {
        "model": lambda: CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=2), Dot(0))}, "logit"),
        "objective": Naive(),
        "optimizer": adamw_of(0.1),
        "trainer": TrainerSettings(progress=False, max_epochs=8, patience=2),
        "sampler": Balanced(batch_size=64),
        "features": NO_NUMBERS,
        "train": train,
        "validation": train,
        "seed": 0,
        "criterion": "naive",
        "clip": 0.01,
        "validation_space": "logged",
        "pair_propensity": None,
        "logger": None,
        "folder": folder,
        "label": "test",
        "prefix": "",
    }
    return FitRequest(**{**defaults, **changes})


DECAY = "optimizer.weight_decay"


def adamw_of(decay: float) -> AdamW:
    return AdamW(lr=0.05, weight_decay=decay)


def candidates(base: FitRequest, decays: Sequence[float]) -> Requests:
    """One request for each weight decay, alike in everything else."""
    return [(s, replace(base, optimizer=adamw_of(s[DECAY]))) for s in combine_candidates({DECAY: decays})]


def choose(requests: Requests, folds: int = 1) -> SelectedFit:
    """Search, refit where there are folds, and select, by one fit after another."""
    results = fits_of(search_requests(requests, folds))
    if folds > 1:
        results += fits_of([refit_request(requests, results, folds)])
    return select_fit(requests, results, folds)


def fits_of(requests: list[FitRequest]) -> list[FitResult]:
    results = fit_sequentially(requests)
    assert all(isinstance(fit, FitResult) for fit in results), results
    return [fit for fit in results if isinstance(fit, FitResult)]


def test_cross_validation_tries_every_candidate_on_every_fold_then_refits_on_all_rows(tmp_path: Path) -> None:
    seen: list[int] = []

    class Counting(Balanced):
        def blocks(self, log: InteractionLog, *rest: Any) -> Any:
            seen.append(len(log))
            return super().blocks(log, *rest)

    base = request(tmp_path, log_of(120), sampler=Counting(batch_size=64))
    selected = choose(candidates(base, [0.01, 30.0]), folds=3)
    assert [dict(c.settings) for c in selected.candidates] == [{DECAY: 0.01}, {DECAY: 30.0}]
    best = min(selected.candidates, key=lambda c: c.criterion)
    assert dict(selected.settings) == dict(best.settings)
    refits = [size for size in seen if size == 120]
    assert len(refits) == round(best.best_epoch) + 1, "the refit takes the mean best number of epochs"
    assert set(seen) == {80, 120} and math.isnan(selected.fit.criterion)


def test_folds_are_the_same_for_every_candidate_and_their_numbers_are_means(tmp_path: Path) -> None:
    requests = candidates(request(tmp_path, log_of(60)), [0.01, 30.0])
    searched = search_requests(requests, 3)
    assert [fit_request.optimizer for fit_request in searched] == [adamw_of(0.01)] * 3 + [adamw_of(30.0)] * 3
    for first, second in zip(searched[:3], searched[3:], strict=True):
        assert first.train is second.train and first.validation is second.validation
    numbers = [(3.0, 1, 4), (1.0, 2, 6), (2.0, 6, 5), (5.0, 0, 1), (5.0, 0, 1), (5.0, 0, 1)]
    results = [FitResult(criterion, best, epochs, {}) for criterion, best, epochs in numbers]
    assert judge_candidates(requests, results, 3) == (
        Candidate({DECAY: 0.01}, 2.0, 3.0, 5.0),
        Candidate({DECAY: 30.0}, 5.0, 0.0, 1.0),
    )
    refit = refit_request(requests, results, 3)
    assert (refit.optimizer, refit.epochs, len(refit.train)) == (adamw_of(0.01), 4, 60)
    assert refit.validation is refit.train, "every row is trained on, none is left to stop by"


def test_a_propensity_of_pairs_is_scaled_to_the_share_of_the_folds_trained_on(tmp_path: Path) -> None:
    base = request(tmp_path, log_of(60), pair_propensity=lambda user, item: np.full(len(user), 0.3, np.float32))
    pairs = np.zeros(2, np.int64), np.ones(2, np.int64)
    for fit_request in search_requests(candidates(base, [0.1]), 3):
        assert fit_request.pair_propensity is not None
        np.testing.assert_allclose(fit_request.pair_propensity(*pairs), 0.2, rtol=1e-6)
    refit = refit_request(candidates(base, [0.1]), [FitResult(1.0, 0, 1, {})] * 3, 3)
    assert refit.pair_propensity is base.pair_propensity


def test_the_held_out_choice_keeps_the_fit_of_the_lowest_criterion(tmp_path: Path) -> None:
    judged = log_of(60, seed=1)
    requests = candidates(request(tmp_path, log_of(150), validation=judged), [0.01, 30.0])
    searched = search_requests(requests, 1)
    assert all(len(fit_request.train) == 150 and fit_request.validation is judged for fit_request in searched)
    selected = choose(requests)
    assert selected.fit.criterion == min(c.criterion for c in selected.candidates)
    assert {c.settings[DECAY] for c in selected.candidates} == {0.01, 30.0}
    assert (selected.folder / "best.ckpt").exists(), "the weights of the chosen fit lie where the record says"


def test_of_equal_criteria_the_least_setting_is_chosen() -> None:
    def candidate(decay: float, criterion: float) -> Candidate:
        return Candidate({DECAY: decay}, criterion, 0.0, 1.0)

    assert best_candidate_index([candidate(30.0, 1.0), candidate(0.1, 1.0), candidate(0.01, 2.0)]) == 1
    assert best_candidate_index([candidate(0.01, 2.0), candidate(30.0, 1.0)]) == 1, "the criterion comes first"


def test_fits_of_one_search_never_share_a_folder_or_a_name_in_logs(tmp_path: Path) -> None:
    requests = candidates(request(tmp_path, log_of(60)), [0.01, 30.0])
    results = [FitResult(1.0, 0, 1, {})] * 6
    fit_requests = [*search_requests(requests, 1), *search_requests(requests, 3), refit_request(requests, results, 3)]
    assert (
        len({fit_request.folder for fit_request in fit_requests})
        == len({fit_request.prefix for fit_request in fit_requests})
        == len(fit_requests)
        == 9
    )
    assert all(
        fit_request.folder.parent == tmp_path and fit_request.prefix == f"{fit_request.folder.name}/"
        for fit_request in fit_requests
    )
    (alone,) = search_requests(requests[:1], 1)
    assert alone.prefix == "", "the curve of a single fit needs no name"


def test_the_same_search_gives_the_same_weights(tmp_path: Path) -> None:
    fits = [choose(candidates(request(tmp_path / str(k), log_of(120)), [0.1]), 2).fit.state for k in range(2)]
    assert all(bool((fits[0][name] == fits[1][name]).all()) for name in fits[0])


def start_job(first: Callable[[], list[FitRequest]], then: Callable[[list[FitResult]], list[FitRequest]]) -> StartedJob:
    """A job whose learner asks for these rounds of fits."""
    learner = SimpleNamespace(first=lambda *_: first(), then=lambda config, prepared, results: then(results))
    return StartedJob(
        cast(Any, SimpleNamespace(components=SimpleNamespace(learner=learner))),
        cast(Any, None),
        cast(Any, SimpleNamespace(opened=None)),
    )


def searching(requests: Requests, folds: int = 1) -> StartedJob:
    wanted = len(requests) * folds

    def then(results: list[FitResult]) -> list[FitRequest]:
        return [refit_request(requests, results, folds)] if folds > 1 and len(results) == wanted else []

    return start_job(lambda: search_requests(requests, folds), then)


def test_searches_in_step_choose_what_each_would_alone_and_one_failure_stops_no_other(tmp_path: Path) -> None:
    def fail_to_choose(results: list[FitResult]) -> list[FitRequest]:
        raise ValueError("no choice")

    def hopeless() -> Any:
        raise RuntimeError("no such model")

    round_sizes: list[int] = []

    def fit(requests: list[FitRequest]) -> list[FitResult | Exception]:
        round_sizes.append(len(requests))
        return fit_sequentially(requests)

    first = candidates(request(tmp_path / "a", log_of(150)), [0.01, 30.0])
    second = candidates(request(tmp_path / "b", log_of(120)), [0.1])
    fourth = candidates(request(tmp_path / "e", log_of(150), model=hopeless), [0.1])
    jobs = [
        searching(first),
        searching(second, folds=2),
        start_job(lambda: [request(tmp_path / "c", log_of(120))], fail_to_choose),
        searching(fourth),
    ]
    fit_in_rounds(jobs, fit)
    assert round_sizes == [2 + 2 + 1 + 1, 1], "what all wait for is fitted at once"
    assert jobs[0].failure is jobs[1].failure is None and len(jobs[1].results) == 3
    assert isinstance(jobs[2].failure, ValueError) and isinstance(jobs[3].failure, RuntimeError)
    together = select_fit(first, jobs[0].results, 1)
    alone = choose(candidates(request(tmp_path / "d", log_of(150)), [0.01, 30.0]))
    assert together.candidates == alone.candidates and together.settings == alone.settings
    assert select_fit(second, jobs[1].results, 2).fit is jobs[1].results[-1], "the refit is what is evaluated"


def test_a_failure_stands_in_the_place_of_its_fit(tmp_path: Path) -> None:
    def hopeless() -> Any:
        raise RuntimeError("no such model")

    broken = request(tmp_path / "a", log_of(60), model=hopeless)
    failed, fitted = fit_sequentially([broken, request(tmp_path / "b", log_of(60))])
    assert isinstance(failed, RuntimeError) and isinstance(fitted, FitResult)


def candidates_of(criteria: dict[float, float], **others: float) -> list[Candidate]:
    return [Candidate({DECAY: value, **others}, criterion, 0, 1) for value, criterion in criteria.items()]


@pytest.mark.parametrize(
    ("criteria", "beyond"),
    [
        ({0.1: 0.5, 0.3: 0.4, 1.0: 0.6}, None),
        ({0.1: 0.5, 0.3: 0.4, 1.0: 0.3}, 3.33333),
        ({0.1: 0.2, 0.3: 0.4, 1.0: 0.6}, 0.0333333),
        ({0.1: 0.2, 100.0: 0.4}, 0.01),
        ({0.1: 0.2}, None),
        ({0.0: 0.2, 1.0: 0.4}, None),
    ],
)
def test_the_search_goes_on_beyond_an_end(criteria: dict[float, float], beyond: float | None) -> None:
    further = settings_beyond(candidates_of(criteria, lr=0.1))
    assert further == (None if beyond is None else {DECAY: beyond, "lr": 0.1})


def test_the_search_is_extended_until_the_best_lies_inside_or_four_times(tmp_path: Path) -> None:
    base = request(tmp_path, log_of(60))
    shared = candidates(base, [0.1, 1.0])

    def result(criterion: float) -> FitResult:
        return FitResult(criterion=criterion, best_epoch=0, epochs=1, state={})

    def extend(criteria: list[float], folds: int = 1, limit: float = 1e9) -> list[float]:
        def request_of(settings: Settings) -> FitRequest | None:
            return base if settings[DECAY] < limit else None

        results = [result(criterion) for criterion in criteria]
        return [dict(settings)[DECAY] for settings, _ in extend_requests(shared, results, folds, request_of)]

    assert extend([]) == [0.1, 1.0], "no result yet"
    assert extend([0.5, 0.4]) == [0.1, 1.0, 10.0]
    assert extend([0.5, 0.4, 0.45]) == [0.1, 1.0, 10.0], "now the best lies inside"
    assert extend([0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01]) == [0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
    assert extend([0.5, 0.4], limit=5.0) == [0.1, 1.0], "beyond what the setting allows"
    assert extend([0.5, 0.5, 0.4, 0.4], folds=2) == [0.1, 1.0, 10.0]


def test_folds_have_a_mean_curve_as_far_as_all_of_them_went(tmp_path: Path) -> None:
    curves = [(Epoch(0, 0.6, 0.5), Epoch(1, 0.4, 0.3)), (Epoch(0, 0.8, 0.7), Epoch(1, 0.6, None), Epoch(2, 0.5, 0.4))]
    results = [FitResult(0.3, 1, len(curve), {}, curve) for curve in curves]
    (candidate,) = judge_candidates(candidates(request(tmp_path, log_of(120)), [0.1]), results, 2)
    assert [point.epoch for point in candidate.curve] == [0, 1]
    assert [point.loss for point in candidate.curve] == pytest.approx([0.7, 0.5])
    assert candidate.curve[0].criterion == pytest.approx(0.6) and candidate.curve[1].criterion is None
