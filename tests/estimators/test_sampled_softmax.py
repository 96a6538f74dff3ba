"""Sampled softmax: worked numbers, its bias against the full softmax, draws, what it learns, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.all_items import AllItems
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.base import AbstractLogSampler, AbstractSampler
from causalrec.data.sampler.in_batch import InBatch
from causalrec.data.sampler.shared_negatives import SharedNegatives
from causalrec.encoders.base import AbstractEncoder, EncoderInputs
from causalrec.encoders.bert4rec import BERT4Rec
from causalrec.encoders.finetuning.full import Full
from causalrec.encoders.mf import MF
from causalrec.encoders.text_towers import TextTowers
from causalrec.errors import DataError, RequestError
from causalrec.estimators.objective.sampled_softmax import SampledSoftmax, sampled_softmax
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners import weight_memory
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import BatchLoader, LogTensors
from causalrec.types import CANDIDATES, OUTCOME, Batch, Outputs
from tests.encoders.tiny_models import write_bert
from tests.estimators.test_positive_only import BARE, ITEMS, USERS, area, draw_positives, train_model

# --- by hand


def hand_batch(counts: list[float]) -> Batch:
    """Two rows of items 3 and 1, candidates 1 and 7."""
    unit = torch.ones(2)
    ids = torch.tensor([3, 1])
    return Batch(
        item=ids,
        treatment=ids,
        outcome=unit,
        observed=unit,
        propensity=torch.tensor([0.5, 0.25]),
        weight=unit,
        features=torch.zeros(2, 0),
        user=torch.tensor([0, 1]),
        candidates=torch.tensor([1, 7]),
        candidate_counts=torch.tensor(counts),
    )


MANY = torch.tensor([[3.0, 4.0], [1.0, 5.0]]).log()
RAW = Outputs({OUTCOME: torch.tensor([2.0, 1.0]).log()}, "logit", candidates={OUTCOME: MANY})


def test_the_loss_by_hand() -> None:
    term = SampledSoftmax().terms(hand_batch([0.5, 2.0]), RAW)["outcome"]
    # (2 + 3/.5 + 4/2) / 2; of the second row candidate 1 is its own item: (1 + 5/2) / 1
    assert term.value.exp().tolist() == pytest.approx([5.0, 3.5])
    assert (term.trains, term.normaliser) == (OUTCOME, None)
    plain = SampledSoftmax(correction=False).terms(hand_batch([0.5, 2.0]), RAW)["outcome"]
    assert plain.value.exp().tolist() == pytest.approx([4.5, 6.0])


def test_ips_weighs_rows_over_the_sum_of_their_weights() -> None:
    term = SampledSoftmax(weighting="ips", clip=0.4).terms(hand_batch([0.5, 2.0]), RAW)["outcome"]
    assert term.value.tolist() == pytest.approx([2 * math.log(5.0), 2.5 * math.log(3.5)])
    assert term.normaliser is not None and term.normaliser.tolist() == pytest.approx([2.0, 2.5])


# --- bias against the full softmax

SCORES = torch.tensor([1.2, 0.3, -0.5, 0.8, -1.0, 0.0], dtype=torch.float64)
SHARES = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.06, 0.04], dtype=torch.float64)


def mean_gradient(row_item: int, m: int, counts: Tensor, draws: int) -> Tensor:
    """Gradient `[I]` in the scores of all items, the mean over draws of m candidates (each draw a row of its own)."""
    sample = torch.multinomial(SHARES, draws * m, replacement=True, generator=torch.Generator().manual_seed(1))
    sample = sample.view(draws, m)
    scores = SCORES.clone().requires_grad_()
    weighed = scores[sample] - counts[sample].log()  # which differ by draw
    value = sampled_softmax(scores[row_item].expand(draws), weighed, torch.ones(m), sample == row_item)
    return torch.autograd.grad(value.mean(), scores)[0]


def bias(m: int, draws: int, *, corrected: bool = True) -> float:
    """Distance of the expected gradient from the full softmax's, over rows of a common and a rare item."""
    counts, total = m * SHARES if corrected else torch.ones_like(SHARES), 0.0
    for row_item in (0, 4):
        full = SCORES.softmax(0) - torch.nn.functional.one_hot(torch.tensor(row_item), len(SCORES))
        total += float((mean_gradient(row_item, m, counts, draws) - full).abs().sum())
    return total


def test_the_bias_of_the_gradient_falls_like_one_over_m_and_without_the_correction_it_stays() -> None:
    few, many = bias(8, 200_000), bias(32, 100_000)
    assert few / many == pytest.approx(4, rel=0.2)
    assert min(bias(m, 20_000, corrected=False) for m in (8, 32, 128)) > 10 * many


def test_with_all_items_as_negatives_it_is_the_full_softmax() -> None:
    items = torch.arange(6)
    for row_item in range(6):
        value = sampled_softmax(SCORES[None, row_item], SCORES[None], torch.ones(6), (items == row_item)[None])
        assert float(value) == pytest.approx(-float(SCORES.log_softmax(0)[row_item]), abs=1e-12)


# --- what is drawn


def skewed_log(rows: int = 4000, users: int = 50, items: int = 30) -> InteractionLog:
    rng = np.random.default_rng(0)
    share = np.arange(1, items + 1.0) / np.arange(1, items + 1.0).sum()
    item, unit = rng.choice(items, rows, p=share), np.ones(rows, np.int64)
    return InteractionLog(
        item, unit, unit.astype("f4"), items, rng.integers(users, size=rows), users, propensity=unit.astype("f4")
    )


@pytest.mark.parametrize("sampler", [InBatch(batch_size=64), SharedNegatives(batch_size=64, num_negatives=100)])
def test_items_come_as_often_as_is_expected(sampler: AbstractLogSampler) -> None:
    """Over the candidates that are not a row's own item, the mean of 1 / expected count is one for every item."""
    log, sums, rows = skewed_log(), np.zeros(30), np.zeros(30)
    for epoch in range(4):
        for batch in sampler.epoch(log, CANDIDATES, 0, epoch):
            assert batch.candidates is not None and batch.candidate_counts is not None
            seen = np.bincount(batch.candidates, 1 / batch.candidate_counts, minlength=30)
            others = len(batch.item) - np.bincount(batch.item, minlength=30)
            sums += others * seen
            rows += others
    np.testing.assert_allclose(sums[4:] / rows[4:], 1, atol=0.15)
    assert sums.sum() / rows.sum() == pytest.approx(1, abs=0.03)


def test_a_batch_of_the_whole_log_is_the_full_softmax_of_its_items() -> None:
    log = skewed_log(300)
    (batch,) = InBatch(batch_size=300).epoch(log, CANDIDATES, 0, 0)
    assert batch.candidates is not None and batch.candidate_counts is not None
    mass = np.bincount(batch.candidates, 1 / batch.candidate_counts, minlength=30)
    np.testing.assert_allclose(mass[np.unique(log.item)], 1, rtol=1e-5)


def test_all_items_refuses_a_large_catalogue() -> None:
    with pytest.raises(DataError, match=r"30 items, at most 20 .*choose sampler=in_batch"):
        list(AllItems(max_items=20).epoch(skewed_log(), CANDIDATES, 0, 0))


ZERO = torch.zeros(1, dtype=torch.float64)


def losses(model: CausalModel, batch: Batch) -> Tensor:
    return SampledSoftmax().terms(batch, model(batch))["outcome"].value.detach()


@pytest.mark.parametrize(
    ("sampler", "count"),
    [(InBatch(batch_size=64), 64), (SharedNegatives(num_negatives=7), 7), (AllItems(), 30), (Balanced(), 500)],
)
def test_a_sampler_says_how_many_candidates_there_are(sampler: AbstractSampler, count: int) -> None:
    log = skewed_log(500)
    batch = next(iter(sampler.epoch(log, CANDIDATES, 0, 0)))
    assert batch.candidates is not None and len(batch.candidates) == count
    assert sampler.candidate_count(CANDIDATES, 500, 30) == count
    assert Balanced().candidate_count("triples", 500, 30) == 0


def test_all_items_are_handed_over_as_tensors_of_their_own(recwarn: pytest.WarningsRecorder) -> None:
    log = skewed_log(40)
    view = FeatureMatrix((), ("user", "item"), np.zeros((50, 0), "f4"), np.zeros((30, 0), "f4"))
    (batch,) = BatchLoader(log, LogTensors(log, view), AllItems(batch_size=64), CANDIDATES, 0, 0, 1)
    assert batch.candidates is not None and sorted(batch.candidates.tolist()) == list(range(30))
    assert not [str(warning.message) for warning in recwarn if "not writable" in str(warning.message)]


def test_weights_that_are_not_asked_for_have_no_clip() -> None:
    assert not SampledSoftmax().reads_propensities and SampledSoftmax(weighting="ips").reads_propensities


def test_scores_that_do_not_fit_are_refused_with_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_memory, "free_memory", lambda: 10**9)
    jobs = ["dataset=lastfm", "objective=sampled_softmax", "sampler.batch_size=50000"]
    config = validate_config(compose_config(normalise_overrides(jobs)))
    weight_memory.require_candidate_memory(config, 5_000, 100)
    with pytest.raises(RequestError) as caught:
        weight_memory.require_candidate_memory(config, 40_000, 100)
    assert str(caught.value).startswith(
        "sampler.batch_size=50000: 40,000 rows x 40,000 candidates x 4 bytes x 5 copies of their scores are 32.0 GB, "
        "and 1.0 GB are free here; set it lower, or sampler=shared_negatives"
    )


def test_every_rank_reads_the_items_of_the_global_batch() -> None:
    """Ranks have their own rows and all candidates, so that their losses sum to that of one process."""
    log = skewed_log(200)
    view = FeatureMatrix((), ("user", "item"), np.zeros((50, 0), "f4"), np.zeros((30, 0), "f4"))
    tensors, inputs = LogTensors(log, view), EncoderInputs(50, 30, (), Path(), Path())
    model = CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=4), Dot(0))}, "logit").double()
    one_rank = list(BatchLoader(log, tensors, Balanced(batch_size=64), CANDIDATES, 0, 0, 1))
    ranks = [list(BatchLoader(log, tensors, Balanced(batch_size=64), CANDIDATES, 0, rank, 2)) for rank in (0, 1)]
    for batch, first, second in zip(one_rank, *ranks, strict=True):
        assert batch.candidates is not None and first.candidates is not None and second.candidates is not None
        assert batch.candidates.tolist() == batch.item.tolist() == first.candidates.tolist()
        assert first.candidates.tolist() == second.candidates.tolist()
        values = [losses(model, each) for each in (batch, first, second)]
        torch.testing.assert_close(torch.stack([values[1].sum() + values[2].sum(), values[0].sum()]).diff(), ZERO)


# --- what the model scores


def test_candidates_are_scored_as_pairs_are() -> None:
    """Products of towers, biases and the numbers of both sides: the same as each pair by itself."""
    log, rng = skewed_log(200), np.random.default_rng(1)
    blocks = [rng.normal(size=(count, 2)).astype("f4") for count in (50, 30)]
    view = FeatureMatrix(("a", "b", "c", "d"), ("user", "item"), *blocks)
    inputs = EncoderInputs(50, 30, (), Path(), Path())
    model = CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=4), Dot(4))}, "logit")
    for parameter in model.parameters():
        parameter.data.normal_()
    batch = next(iter(BatchLoader(log, LogTensors(log, view), Balanced(batch_size=16), CANDIDATES, 0, 0, 1)))
    scores = model(batch).candidates[OUTCOME]
    assert scores.shape == (16, 16) and batch.candidates is not None and batch.user is not None
    user, item = np.repeat(batch.user.numpy(), 16), np.tile(batch.candidates.numpy(), 16)
    pairs = model.predict(user, item, view, SampledSoftmax())
    np.testing.assert_allclose(scores.detach().numpy().ravel(), pairs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("correction", [True, False])
def test_it_learns_a_planted_ranking_better_than_popularity(correction: bool, tmp_path: Path) -> None:
    splits = draw_positives()
    objective = SampledSoftmax(correction=correction)
    model = train_model(tmp_path, objective, splits.train, splits.validation, decay=0.1)
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    seen = np.isin(user * ITEMS + item, splits.train.codes) | ~np.isin(user, splits.test.users)
    label = torch.from_numpy(np.isin(user * ITEMS + item, splits.test.codes)[~seen].astype(int))
    popularity = torch.from_numpy(np.bincount(splits.train.item, minlength=ITEMS)[item][~seen].astype("f4"))
    score = torch.from_numpy(model.predict(user[~seen], item[~seen], BARE, objective))
    users = torch.from_numpy(user[~seen])
    assert area(score, label, users) > area(popularity, label, users) + 0.1


@pytest.mark.parametrize("kind", ["bert_profile_and_history", "trained_bert", "bert4rec"])
def test_towers_that_read_texts_and_histories_train_with_it(kind: str, tmp_path: Path) -> None:
    log, folder = skewed_log(60, users=4, items=6), write_bert(tmp_path / "model")
    texts = tuple(f"the film of war about {name}" for name in ("love", "a city", "comedy", "drama", "old", "new"))
    inputs = EncoderInputs(4, 6, texts, tmp_path, tmp_path / "cache", user_text=texts[:4], history_log=log)
    build: dict[str, Callable[[], AbstractEncoder]] = {
        "bert_profile_and_history": lambda: TextTowers(
            inputs, model=str(folder), max_tokens=20, user=("id", "profile", "history"), history_length=3
        ),
        "trained_bert": lambda: TextTowers(replace(inputs, finetuning=Full()), model=str(folder), max_tokens=20),
        "bert4rec": lambda: BERT4Rec(inputs, width=4, heads=2, length=3),
    }
    model = CausalModel({OUTCOME: RoleNetwork(build[kind](), Dot(0))}, "logit")
    view = FeatureMatrix((), ("user", "item"), np.zeros((4, 0), "f4"), np.zeros((6, 0), "f4"))
    batch = next(iter(BatchLoader(log, LogTensors(log, view), Balanced(batch_size=16), CANDIDATES, 0, 0, 1)))
    SampledSoftmax().terms(batch, model(batch))["outcome"].value.mean().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert len(gradients) > 3 and all(bool(gradient.isfinite().all()) for gradient in gradients)


# --- requests

REQUEST = {"dataset": "lastfm", "objective": "sampled_softmax", "trainer": "smoke"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["objective.correction=false", "objective.weighting=ips"], "counts popularity twice"),
        (["encoder=cross", "dataset=amazon_video_games"], "encoder=cross reads each pair anew"),
        (["sampler=triples"], "averages over candidates rows, but sampler=triples draws triples"),
        (["objective=bpr", "sampler=in_batch"], "averages over triples rows, but sampler=in_batch draws candidates"),
        (["dataset=coat"], "undefined for the explicit feedback of coat"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = REQUEST | dict(setting.split("=") for setting in more)
    assert cli.main(["train", *(f"{key}={value}" for key, value in chosen.items())]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and message in said
    assert list(tmp_path.iterdir()) == []
