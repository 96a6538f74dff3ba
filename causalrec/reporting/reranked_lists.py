"""Lists that were ordered anew, as records hold them: beside the plain ones, weight by weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from causalrec.records.names import difference_name, reranked_name
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord

UTILITIES = ("list_dcg", "list_gain")  # metrics of what a list is good for, the first that a record has
AIMS = ("intra_list_diversity", "calibration_kl", "tail_share", "catalogue_coverage")  # of what re-rankers are for


@dataclass(frozen=True)
class Reranking:
    """The lists of a re-ranker in a record.

    Attributes:
        plain: slice of the lists by score alone.
        reranker: its name.
        slices: weight -> slice, by rising weight, the plain one at 0 first.
    """

    plain: str
    reranker: str
    slices: Mapping[float, str]


def rerankings(record: RunRecord) -> list[Reranking]:
    """Return the lists of each re-ranker that a record has scores of."""
    present = dict.fromkeys(score.slice for score in record.all_scores)
    components = record.config.get("reranker")
    entries = components.items() if isinstance(components, Mapping) else ()
    every = [
        Reranking(plain, str(name), slices)
        for name, settings in entries
        for plain in present
        if isinstance(settings, Mapping) and len(slices := _slices(plain, str(name), settings, present)) > 1
    ]
    return sorted(every, key=lambda each: list(present).index(each.plain))


def _slices(plain: str, name: str, settings: Mapping[str, object], present: Iterable[str]) -> dict[float, str]:
    """Return the slices of a re-ranker that are present, by weight; the plain one alone where it has none of them."""
    curve = settings.get("curve")
    weights = [(settings.get("weight"), None), *((each, each) for each in (curve if isinstance(curve, list) else ()))]
    named = {
        float(weight): reranked_name(plain, name, of_curve)
        for weight, of_curve in weights
        if isinstance(weight, int | float)
    }
    slices = {weight: slice_name for weight, slice_name in named.items() if slice_name in present}
    return dict(sorted({**({} if 0.0 in slices else {0.0: plain}), **slices}.items()))


def reranked_slices(record: RunRecord) -> Iterator[str]:
    """Yield the slices of lists ordered anew, and of what they gain over the plain ones."""
    for reranking in rerankings(record):
        for slice_name in reranking.slices.values():
            if slice_name != reranking.plain:
                yield from (slice_name, difference_name(slice_name, reranking.plain))


@dataclass(frozen=True)
class CurvePoint:
    """What lists at a weight are good for, and what that does for an aim.

    Attributes:
        weight: of the aim; 0: the plain lists.
        aim: a score that has a value.
        utility: likewise.
    """

    weight: float
    aim: ScoreRecord
    utility: ScoreRecord


def tradeoff_curves(record: RunRecord) -> dict[str, dict[str, list[CurvePoint]]]:
    """Return the curve of each re-ranker by rising weight, by aim, then by the re-ranker's name; none where the record
    has no utility, no aim, or lists at a single weight.
    """
    scores = {(s.metric.partition("@")[0], s.slice): s for s in record.scores if s.value is not None}
    utility = next((name for name in UTILITIES if name in {metric for metric, _ in scores}), "")
    curves: dict[str, dict[str, list[CurvePoint]]] = {}
    for aim in AIMS:
        for each in rerankings(record):
            pairs = [(w, scores.get((aim, at)), scores.get((utility, at))) for w, at in each.slices.items()]
            points = [CurvePoint(w, of_aim, value) for w, of_aim, value in pairs if of_aim and value]
            if len(points) > 1:
                curves.setdefault(aim, {})[f"{each.reranker} of {each.plain}"] = points
    return curves
