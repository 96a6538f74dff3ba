"""What estimators of a policy's value read of actions: texts as encoders do, categories, and placebos of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeML100K

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.estimators.policy_value.rounds import ActionFeatures
from causalrec.prepared import PreparedData
from causalrec.running.cache import PreparedCache
from causalrec.running.placebo import destroy_source
from causalrec.running.prepare import plan_run
from causalrec.tasks import action_features as module
from causalrec.types import Floats

ITEMS = 30
BANDIT = ["task=policy_value", "dataset=rating_bandit", "dataset.rounds=400", "encoder=bert", "logger=none"]
Prepare = Callable[..., tuple[ExperimentConfig, PreparedData]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were read, by an encoder whose vector of a text is its length and its first letter."""
    texts_read: list[str] = []

    def encode(texts: Sequence[str]) -> Floats:
        texts_read.extend(texts)
        return np.array([[len(text), ord(text[0]) if text else 0] for text in texts], np.float32)

    monkeypatch.setattr(
        module, "frozen_text_encoder", lambda config: encode if config.encoder.target.reads_text else None
    )
    return texts_read


@pytest.fixture
def prepare(fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=20, items=ITEMS, ratings=300)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))

    def prepare_data(*overrides: str) -> tuple[ExperimentConfig, PreparedData]:
        config = validate_config(compose_config(normalise_overrides([*BANDIT, *overrides])))
        return config, destroy_source(config, PreparedCache().prepare(config, plan_run(config)))

    return prepare_data


def features(prepared: tuple[Any, Any], clusters: int = 4) -> ActionFeatures:
    return module.action_features(*prepared, {"vectors", "cluster"}, clusters)


def test_the_text_of_an_action_is_that_which_encoders_read(prepare: Prepare, read: list[str]) -> None:
    config, prepared = prepare()
    actions = features((config, prepared))
    assert len(read) == ITEMS and all("Genres: " in text and "Popularity" in text for text in read)
    assert actions.vectors[:, 0].tolist() == [len(text) for text in read]
    assert actions.cluster is not None and len(np.unique(actions.cluster)) == 4
    read.clear()
    titles = features(prepare('dataset.item_text={title:"{}"}'))
    assert read == prepared.dataset.item_table["title"].to_list() and titles.vectors.shape == (ITEMS, 2)
    assert features(prepare("encoder=mf")).vectors.shape == (ITEMS, 0), "an encoder that reads no text"


def test_a_set_of_genres_is_one_category(prepare: Prepare, read: list[str]) -> None:
    config, prepared = prepare()
    actions = features((config, prepared))
    assert actions.category_names == ("genre",) and actions.categories.shape == (ITEMS, 1)
    genres = [frozenset(levels) for levels in prepared.dataset.item_table["genre"].to_list()]
    same = np.array([[a == b for b in genres] for a in genres])
    np.testing.assert_array_equal(actions.categories == actions.categories.T, same)


def test_a_placebo_of_texts_deals_the_vectors_of_actions_anew(prepare: Prepare, read: list[str]) -> None:
    true, dealt = features(prepare()), features(prepare("placebo.source=text"))
    assert (true.vectors != dealt.vectors).any(1).mean() > 0.5
    assert sorted(map(tuple, true.vectors)) == sorted(map(tuple, dealt.vectors)), "all that there was still is"
    np.testing.assert_array_equal(true.categories, dealt.categories)
