"""The contract of a refuter that trains a run anew with a source of its data destroyed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.ratio import Interval
from causalrec.estimators.score_contrasts import ScoreContrasts
from causalrec.evaluation.refuter.base import AbstractRefuter, RefuterLabel
from causalrec.types import ModelSource


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """What is trained anew, and what is compared.

    Attributes:
        source: that is taken away, and destroyed.
        shares: of it that are destroyed.
        seeds: how many of each model.
        column: `metric@slice`.
    """

    source: ModelSource
    shares: tuple[float, ...]
    seeds: int
    column: str


@dataclass(frozen=True, kw_only=True)
class SourceProblem:
    """A run whose sources are to be refuted.

    Attributes:
        sources: of the data that it reads and can be trained without.
        columns: `metric@slice` of its scores that have a better end: whether that is the higher; the first is looked at
            where none is asked for.
        retrain: trains the run, the same without the source, and with each share of it destroyed; their scores, in this
            order, the more the better.
    """

    sources: tuple[ModelSource, ...]
    columns: Mapping[str, bool]
    retrain: Callable[[Retraining], ScoreContrasts]

    def column(self, metric: str | None, slice_name: str | None) -> str:
        """Return the first column of a metric and a slice (None: of any); RequestError where there is none."""
        for column in self.columns:
            name, _, place_name = column.rpartition("@")
            if metric in (None, name) and slice_name in (None, place_name):
                return column
        wanted = f"{metric or 'any metric'}@{slice_name or 'any slice'}"
        raise RequestError(
            f"refuter.placebo_source: {wanted}: the run has no such score with a better end; "
            f"{did_you_mean(wanted, list(self.columns))}"
        )


@dataclass(frozen=True, kw_only=True)
class SourceGain:
    """What a model gains over the same without a source.

    Attributes:
        model: `as it is`, or how much of the source is destroyed.
        destroyed: share of the source that is.
        gain: in the metric's unit, above 0 where it is better.
        low: lower end of its 95 % interval over seeds and test rows.
        high: upper end.
        share: of the gain of the run as it is that survives; None where that gain is not above 0.
        share_intervals: shares that the scores do not contradict, disjoint; none where there is no share.
    """

    model: str
    destroyed: float
    gain: float
    low: float
    high: float
    share: float | None = None
    share_intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceVerdict:
    """What a source's gain is owed to.

    Attributes:
        source: the source.
        column: `metric@slice` that was compared.
        seeds: how many of each model.
        gains: of the run, then by the share destroyed.
        verdict: passes where content is shown to matter, fails where it is not and something else is.
        finding: a phrase that stands in the place of the verdict; empty: the verdict itself does.
        rule: by which it was judged, in words.
        limitation: what passes, or fails, all the same.
    """

    source: ModelSource
    column: str
    seeds: int
    gains: tuple[SourceGain, ...]
    verdict: RefuterLabel
    finding: str
    rule: str
    limitation: str


def require_source(source: ModelSource | None, sources: Collection[ModelSource], request: str) -> None:
    """Raise RequestError where a run does not read a source, or (None) none at all.

    Args:
        source: that is to be destroyed.
        sources: that the run reads and can be trained without.
        request: the setting and who would read it, as the message begins.
    """
    if source in sources or (source is None and sources):
        return
    reads = f"it reads {', '.join(sources)}" if sources else "it reads no source that can be destroyed; leave it out"
    raise RequestError(f"{request} does not read it; {reads}" if source and sources else f"{request}: {reads}")


class AbstractSourceRefuter(AbstractRefuter):
    """Trains a run anew to see what its sources are good for. Constructor keywords are its YAML keys; final classes."""

    @abstractmethod
    def check(self, sources: Collection[ModelSource], who: str) -> None:
        """Raise RequestError, before any work, where a run reads no such source; `who`: the run, in messages."""

    @abstractmethod
    def __call__(self, problem: SourceProblem) -> list[SourceVerdict]:
        """Return a verdict on each source."""
