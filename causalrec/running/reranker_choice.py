"""A re-ranker of the lists of a finished run, chosen by its name and its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import NO_ITEM, Candidates
from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.folders import component_names, package_folder
from causalrec.config.yaml_reading import read_yaml
from causalrec.errors import RequestError, did_you_mean
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.running.component_settings import parse_setting
from causalrec.types import Floats, Ints

GROUP = "reranker"


@dataclass(frozen=True)
class BoundReranker:
    """A re-ranker over the catalogue of a run.

    Attributes:
        rerank: orders candidates anew.
        candidates: how many of a user's best items it looks at.
    """

    rerank: Rerank
    candidates: int

    def __call__(self, user: Ints, item: Ints, score: Floats, k: int) -> tuple[Ints, Floats]:
        """Return the lists of users: items int64[B,k], -1 where one is shorter, and their scores float32[B,k].

        Args:
            user: int64[B].
            item: int64[B,N], the best items of each by falling score, -1 where there are fewer.
            score: float32[B,N], -inf where there is no item.
            k: how many items.
        """
        position = self.rerank(Candidates(user, item, score), k)
        index, there = np.maximum(position, 0), position >= 0
        chosen = np.where(there, np.take_along_axis(item, index, 1), NO_ITEM)
        return chosen, np.where(there, np.take_along_axis(score, index, 1), -np.inf).astype(score.dtype)

    def order(self, user: int, item: Ints, score: Floats, k: int) -> Ints:
        """Return the positions of a user's list among the user's best items, int64[k], fewer where there are no more.

        Args:
            user: row of the user.
            item: int64[N], the best items by falling score.
            score: float32[N].
            k: how many items.
        """
        position: Ints = self.rerank(Candidates(np.array([user]), item[None], score[None]), k)[0]
        return np.extract(position >= 0, position)


def reranker_component(name: str, settings: Sequence[str]) -> ComponentConfig[AbstractReranker]:
    """Return a re-ranker of conf/reranker; RequestError, in one line, where it is none.

    Args:
        name: of its file.
        settings: `key=value` each, the value in YAML.
    """
    if name not in (names := component_names(GROUP)):
        raise RequestError(f"--reranker {name}: no such re-ranker; {did_you_mean(name, names)}")
    content = read_yaml(package_folder("conf") / GROUP / f"{name}.yaml")
    assert isinstance(content, dict)  # a file of ours
    chosen = dict(parse_setting(name, text) for text in settings)
    if "curve" in chosen:
        raise RequestError("--set curve: is read by `train` alone; lists go by one weight, --set weight=..")
    node = {**content[name], **chosen}
    return validate_component(name, node, AbstractReranker)  # type: ignore[type-abstract]


def bind_reranker(component: ComponentConfig[AbstractReranker], name: str, facts: CatalogueFacts) -> BoundReranker:
    """Return a re-ranker over the training rows and items of a run; RequestError where the data lack what it reads."""
    reranker = component.build()
    try:
        reranker.check(facts.dataset.card)
        return BoundReranker(reranker.bind(facts), reranker.candidates)
    except RequestError as error:
        raise RequestError(f"--reranker {name}: {error}") from error
