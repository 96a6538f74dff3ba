"""Lists that were ordered anew, as records hold them: beside the plain ones, weight by weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from causalrec.records.names import difference_name, reranked_name
from causalrec.records.run_record import RunRecord


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
