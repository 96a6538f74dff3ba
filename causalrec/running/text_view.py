"""What a propensity that reads texts is fitted on: components of their vectors, as a view of users and items."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalrec.config.schema import ExperimentConfig
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.text import texts_of
from causalrec.encoders.representation import FrozenTextEncoder, principal_components, rank
from causalrec.errors import RequestError
from causalrec.features.views import FeatureMatrix, Views
from causalrec.propensity.text import TEXTS, TextPropensity
from causalrec.types import Entity, Floats, Ints


def text_view(config: ExperimentConfig, dataset: CausalDataset, views: Views, log: InteractionLog) -> FeatureMatrix:
    """Return what a propensity of texts is fitted on.

    Args:
        config: of the job.
        dataset: whose tables hold the columns that are told.
        views: of the graph; texts are made of the columns of the outcome's.
        log: training rows, of whose users and items the components are computed.
    """
    propensity = config.propensity.build()
    assert isinstance(propensity, TextPropensity)  # who reads texts
    paths = config.run.paths
    encoder = FrozenTextEncoder(
        propensity.model,
        propensity.pooling,
        propensity.max_tokens,
        propensity.layers,
        propensity.precision,
        paths.data,
        paths.cache,
    )
    used: Mapping[Entity, Ints] = {"user": np.unique(log.users), "item": np.unique(log.item)}
    blocks = {
        side: _components(_texts(config, dataset, views, side), encoder, used[side], propensity.components)
        for side in used
    }
    names = [f"{text}[{k}]" for text in reversed(TEXTS) for k in range(blocks[_side(text)].shape[1])]
    return FeatureMatrix(tuple(names), (), blocks["user"], blocks["item"])


def check_texts(config: ExperimentConfig, views: Views) -> None:
    """Raise RequestError where a propensity reads texts, and the outcome view leaves no column that makes one."""
    if not config.propensity.target.reads_texts:
        return
    phrases = config.components.dataset
    columns = {*phrases.item_text, *phrases.user_text}
    if not columns & set(views.outcome):
        raise RequestError(
            f"propensity=text: no text of {phrases.card.name} is left in the outcome view; add a column that "
            f"dataset.item_text or dataset.user_text tells to the causes of the outcome (graph.edges), or choose "
            f"propensity=logistic"
        )


def _side(text: str) -> Entity:
    return "user" if text.startswith("user") else "item"


def _texts(config: ExperimentConfig, dataset: CausalDataset, views: Views, side: Entity) -> tuple[str, ...]:
    source = config.components.dataset
    phrases = source.user_text if side == "user" else source.item_text
    return texts_of(dataset.tables[side], phrases, views.outcome)


def _components(texts: tuple[str, ...], encoder: FrozenTextEncoder, used: Ints, components: int) -> Floats:
    """Return the principal components of texts, float32[N,K]; K is 0 where they do not differ."""
    present = np.array([bool(text.strip()) for text in texts])
    if len(set(texts)) < 2:
        return np.zeros((len(texts), 0), np.float32)
    try:
        vectors = encoder(texts)
    except RequestError as error:  # whose settings are the propensity's here
        raise RequestError(str(error).replace("encoder.", "propensity.")) from error
    count = min(components, rank(vectors[used[present[used]]]))
    if not count:
        return np.zeros((len(texts), 0), np.float32)
    return principal_components(vectors, present, used, count, "texts")
