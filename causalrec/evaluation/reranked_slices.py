"""Lists that re-rankers order anew, beside the plain ones: slices of the same users, scored on the same predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from causalrec.config.component import ComponentConfig
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.estimators.jackknife import t_interval, t_replicates
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData, name_refusals
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.records.names import difference_name, reranked_name
from causalrec.rerankers.base import AbstractReranker

if TYPE_CHECKING:  # what asks the question of these is judged before torch is imported
    from causalrec.evaluation.evaluator import Score
    from causalrec.metrics.base import AbstractMetric

Rerankers = Mapping[str, ComponentConfig[AbstractReranker]]


def check_rerankers(
    rerankers: Rerankers, slices: Mapping[str, ComponentConfig[AbstractSlice]], card: DatasetCard
) -> None:
    """Raise RequestError where the data lack what a re-ranker reads, or where no slice has lists to order anew."""
    for name, component in rerankers.items():
        with name_refusals(name, "reranker"):
            component.build().check(card)
    if rerankers and not any(component.target.makes_lists for component in slices.values()):
        raise RequestError(f"reranker=[{', '.join(rerankers)}]: no slice has lists to order anew; add '+slice=[lists]'")


def check_list_metrics(rerankers: Rerankers, metrics: Mapping[str, ComponentConfig[AbstractMetric]]) -> None:
    """Raise RequestError where no metric judges what re-rankers make."""
    if rerankers and not any("lists" in component.target.labels for component in metrics.values()):
        raise RequestError(
            f"reranker=[{', '.join(rerankers)}]: no metric judges lists, so that nothing would tell what it changes; "
            "add '+metric=[list_dcg,intra_list_diversity]', or others of lists"
        )


def with_reranked(selected: Mapping[str, list[AnySliceData]], rerankers: Rerankers) -> dict[str, list[AnySliceData]]:
    """Return slices by their component, the lists of each re-ranker after the plain ones.

    Raises RequestError where two slices get one name.
    """
    extended = {
        name: [each for data in yielded for each in (data, *_rerank_lists(data, rerankers))]
        for name, yielded in selected.items()
    }
    names = [data.name for yielded in extended.values() for data in yielded]
    for name in names:
        if names.count(name) > 1:
            raise RequestError(f"reranker: two slices would be called {name!r}; leave a re-ranker or a slice out")
    return extended


def _rerank_lists(data: AnySliceData, rerankers: Rerankers) -> Iterator[CatalogueData]:
    """Yield the lists of each re-ranker at its own weight, then at those of its curve."""
    if not isinstance(data, CatalogueData) or data.lists is None or data.lists.rerank is not None:
        return
    for name, component in rerankers.items():
        reranker = component.build()
        note = _note(data, name, component)
        for weight in (None, *reranker.curve):
            chosen = reranker if weight is None else replace(reranker, weight=weight, curve=())
            request = replace(
                data.lists,
                rerank=chosen.bind(data.lists.facts),
                num_candidates=chosen.candidates,
                key=f"{data.lists.key}|{name}={component.text}|{chosen.weight!r}",
            )
            yield replace(
                data,
                name=reranked_name(data.name, name, weight),
                lists=request,
                subset_of=data.subset_of or data,
                note=note,
            )


def _note(data: CatalogueData, name: str, component: ComponentConfig[AbstractReranker]) -> str:
    """Say how the lists of a re-ranker are made, in a sentence."""
    reranker = component.build()
    general = ("_target_", "weight", "curve", "candidates")
    entries = component.to_dict().items()
    settings = {key: value for key, value in entries if key not in general and value is not None and value is not False}
    about = f" ({', '.join(f'{key}={value}' for key, value in settings.items())})" if settings else ""
    weights = ", ".join(
        f"{reranked_name(data.name, name, weight)} at weight {reranker.weight if weight is None else weight:g}"
        for weight in (None, *reranker.curve)
    )
    assert data.lists is not None
    return (
        f"{weights}: {data.lists.k} of each user's best {reranker.candidates} of {data.name}, ordered anew by {name}"
        f"{about}."
    )


def reranked_gains(
    scores: Sequence[Score], slices: Sequence[AnySliceData], level: float, replicates: int
) -> list[Score]:
    """Return what each re-ranked list gains over the plain one, of the same users: paired, by leaving groups of them
    out.

    Args:
        scores: of some models on the slices.
        slices: that they are scored on.
        level: of the intervals.
        replicates: how many stand for the distribution of a gain.
    """
    by_key = {(score.model, score.slice, score.metric): score for score in scores}
    plain_of = {
        data.name: data.subset_of.name
        for data in slices
        if isinstance(data, CatalogueData) and data.lists is not None and data.lists.rerank and data.subset_of
    }
    gains = []
    for score in scores:
        plain = by_key.get((score.model, plain_of.get(score.slice, ""), score.metric))
        if plain is None or score.jackknife is None or plain.jackknife is None:
            continue
        value, jackknife = score.value - plain.value, score.jackknife - plain.jackknife
        low, high = t_interval(value, jackknife, level)
        gain = replace(score, slice=difference_name(score.slice, plain.slice), value=value, low=low, high=high, note="")
        gains.append(
            replace(
                gain,
                replicates=t_replicates(value, jackknife, replicates),
                jackknife=jackknife,
                by_user=None,
                warnings=(),  # those of the lists, which say them
            )
        )
    return gains
