"""A source of prepared data destroyed, as `placebo` of the configuration says, after the propensity was fitted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from causalrec.config.schema import ExperimentConfig
from causalrec.data.placebo import deal_anew, give_texts, give_vectors
from causalrec.errors import RequestError
from causalrec.evaluation.refuter.placebo_source import PlaceboSource
from causalrec.evaluation.refuter.sources import AbstractSourceRefuter, require_source
from causalrec.features.row_columns import NO_LEVEL
from causalrec.features.views import FeatureMatrix, Views
from causalrec.prepared import PreparedData
from causalrec.propensity.placebo import PlaceboPropensity, same_for_all
from causalrec.types import Floats, Ints


def check_placebo(config: ExperimentConfig, views: Views) -> None:
    """Raise RequestError where nothing of the run reads a source that is destroyed, or that a refuter would destroy."""
    source, learner = config.run.placebo.source, config.components.learner
    refuters = [refuter for refuter in config.refuter.values() if issubclass(refuter.target, AbstractSourceRefuter)]
    if source is None and not refuters:
        return
    sources = learner.without_sources(config, views) if learner else {}
    groups = ("encoder", "objective") if config.trains else ("learner",)
    who = f"{' '.join(map(config.run.choice, groups))} on {config.components.dataset.card.name}"
    for refuter in refuters:
        built = refuter.build()
        assert isinstance(built, AbstractSourceRefuter)
        built.check(sources, who)
        if isinstance(built, PlaceboSource) and built.metric is not None:
            better = [name for name, metric in config.metric.items() if metric.target.higher_is_better is not None]
            _require_named("metric", built.metric, better, "the run has no such metric with a better end")
    if source is not None and refuters:
        raise RequestError(f"placebo.source={source}: has a source destroyed already; leave out refuter=placebo_source")
    if source is not None:
        require_source(source, sources, f"placebo.source={source}: {who}")


def check_placebo_slice(config: ExperimentConfig, slices: Collection[str]) -> None:
    """Raise RequestError where a refuter that trains anew asks for rows that the run is not scored on."""
    for refuter in config.refuter.values():
        built = refuter.build()
        if isinstance(built, PlaceboSource) and built.slice is not None:
            _require_named("slice", built.slice, slices, "the run is scored on no such rows")


def _require_named(key: str, name: str, allowed: Collection[str], what: str) -> None:
    if name in allowed:
        return
    nearest = get_close_matches(name, allowed, n=3, cutoff=0)
    words = f"the nearest: {', '.join(nearest)}" if nearest else "it has none"
    raise RequestError(f"refuter.placebo_source.{key}={name}: {what}; {words}")


def destroy_source(config: ExperimentConfig, prepared: PreparedData) -> PreparedData:
    """Return the prepared data with a source destroyed for what learns; slices, baselines and criteria keep it."""
    placebo, dataset = config.run.placebo, prepared.dataset
    if placebo.source is None:
        return prepared
    items, rng = dataset.logged.num_items, np.random.default_rng([config.run.seed, *b"placebo"])
    order = np.zeros(items, np.int64) if placebo.uniform else deal_anew(items, placebo.share, rng)
    match placebo.source:
        case "text":
            return replace(prepared, placebo_data=give_texts(dataset, config.components.dataset.item_text, order))
        case "features":
            features = _give_features(prepared.features, order, uniform=placebo.uniform)
            return replace(prepared, features=features, placebo_data=give_vectors(dataset, order))
        case "knowledge":
            assert dataset.knowledge is not None, "refused before: nothing reads it"
            return replace(prepared, placebo_data=replace(dataset, knowledge=dataset.knowledge.deal_items(order)))
        case "propensities":
            fitted, rows, arms = prepared.propensity, prepared.training_rows, len(dataset.card.arms)
            same = same_for_all(fitted, rows, arms) if placebo.uniform else None
            model = PlaceboPropensity(model=fitted, share=placebo.share, seed=config.run.seed, same=same)
            return replace(prepared, training_rows=model.rows(rows, arms), placebo_propensity=model)


def _give_features(features: FeatureMatrix, order: Ints, *, uniform: bool) -> FeatureMatrix:
    block: Floats = features.item_block
    given = np.tile(block.mean(0, keepdims=True), (len(block), 1)) if uniform else block[order]
    if features.item_levels is None:
        return replace(features, item_block=given)
    levels = np.full_like(features.item_levels, NO_LEVEL) if uniform else features.item_levels[order]
    return replace(features, item_block=given, item_levels=levels)
