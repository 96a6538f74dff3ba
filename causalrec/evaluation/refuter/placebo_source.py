"""Placebo source: without what a source says, its gain must go."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.score_contrasts import ScoreContrasts
from causalrec.evaluation.refuter.base import RefuterLabel
from causalrec.evaluation.refuter.sources import (
    AbstractSourceRefuter,
    Retraining,
    SourceGain,
    SourceProblem,
    SourceVerdict,
    require_source,
)
from causalrec.types import ModelSource

NO_GAIN = "no gain to explain"
RULES: dict[RefuterLabel, str] = {
    "passes": "less than all of the gain survives the destroyed source",
    "fails": "all of the gain may survive the destroyed source, and some of it does",
    "not testable": "the share that survives may be none and may be all: more seeds or test rows would tell",
    "nothing to explain": "the interval of the gain over the same model without the source is not above 0",
}


@dataclass(frozen=True, kw_only=True)
class PlaceboSource(AbstractSourceRefuter):
    """Trains the run, the same model without a source, and with the source dealt anew among items (rows), and asks how
    much of the gain over "without" survives.

    A source that only adds parameters, or shifts a fit to better settings, gains as much when it says nothing true.
    Intervals at 95 % hold over seeds and over test rows; that of the share is Fieller's (`estimators/ratio.py`).

    Attributes:
        source: `text`, `features` or `propensities`; None: each that the run reads.
        shares: of the items (rows, pairs) among which it is dealt anew.
        seeds: of each model, from the run's on.
        metric: of the comparison; None: the first of the run that has a better end.
        slice: its slice; None: the first of the run's scores, its test rows.
    """

    name: ClassVar[str] = "placebo source"
    limitation: ClassVar[str] = (
        "a source that is true but tells no more than others do gains nothing, and looks useless"
    )
    source: ModelSource | None = None
    shares: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (0.5, 1.0)
    seeds: Annotated[int, Field(ge=2, le=1000)] = 5
    metric: str | None = None
    slice: str | None = None

    def check(self, sources: Collection[ModelSource], who: str) -> None:
        setting = "refuter=placebo_source" if self.source is None else f"refuter.placebo_source.source={self.source}"
        require_source(self.source, sources, f"{setting}: {who}")

    def __call__(self, problem: SourceProblem) -> list[SourceVerdict]:
        column, shares = problem.column(self.metric, self.slice), tuple(sorted(set(self.shares)))
        return [
            self._judge(source, column, gains_of(problem.retrain(self._retraining(source, shares, column)), shares))
            for source in (problem.sources if self.source is None else (self.source,))
        ]

    def _retraining(self, source: ModelSource, shares: tuple[float, ...], column: str) -> Retraining:
        return Retraining(source=source, shares=shares, seeds=self.seeds, column=column)

    def _judge(self, source: ModelSource, column: str, gains: tuple[SourceGain, ...]) -> SourceVerdict:
        """Judge by the share that survives where most of the source is destroyed."""
        label = _label(gains[-1])
        return SourceVerdict(
            source=source,
            column=column,
            seeds=self.seeds,
            gains=gains,
            verdict=label,
            finding=NO_GAIN if label == "nothing to explain" else "",
            rule=RULES[label],
            limitation=self.limitation,
        )


def _label(destroyed: SourceGain) -> RefuterLabel:
    if destroyed.share is None:
        return "nothing to explain"
    low, high = destroyed.share_intervals[0][0], destroyed.share_intervals[-1][1]
    if high < 1:
        return "passes"
    return "fails" if low > 0 else "not testable"


def gains_of(scores: ScoreContrasts, shares: tuple[float, ...]) -> tuple[SourceGain, ...]:
    """Return the gains over the model without the source, of the run and by share destroyed.

    Args:
        scores: of the run, of the model without the source, and by share destroyed; the more the better.
        shares: of the source that are destroyed.
    """
    zeros = [0.0] * len(shares)
    run = [1.0, -1.0, *zeros]
    contrast = scores.contrast(run)
    low, high = contrast.interval()
    gains = [SourceGain(model="as it is", destroyed=0.0, gain=contrast.value, low=low, high=high)]
    for k, share in enumerate(shares):
        weights = [0.0, -1.0, *zeros]
        weights[2 + k] = 1.0
        destroyed = scores.contrast(weights)
        ends = destroyed.interval()
        gains.append(
            SourceGain(
                model=f"{share:.0%} destroyed".replace("%", " %"),
                destroyed=share,
                gain=destroyed.value,
                low=ends[0],
                high=ends[1],
                share=destroyed.value / contrast.value if low > 0 else None,
                share_intervals=tuple(scores.ratio(weights, run)) if low > 0 else (),
            )
        )
    return tuple(gains)
