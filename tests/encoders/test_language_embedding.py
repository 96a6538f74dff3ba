"""Embedding texts: batching, padding and cutting change no number, and the pooling reads the right tokens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from tiny_models import LIMIT, WIDTH, WRITERS
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from causalrec.encoders.language import embedding
from causalrec.encoders.language.batching import batches
from causalrec.encoders.language.embedding import embed, usable_precision, use_all_threads
from causalrec.encoders.language.model import LanguageModel, load
from causalrec.encoders.language.pooling import AttentionPooling, Fixed, pool_tokens
from causalrec.errors import RequestError

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
TEXTS = (
    "the film of war",
    "love",
    "a comedy about the old city and the new city and the old film of love",
    "drama",
    "the films",
    "love",
    "a new comedy",
    "",
    "user liked the comedy",
    "zoë ☃",
    *("the war " * n for n in range(1, 12)),
)


DECODERS = ("gpt2", "llama")
READ = [(name, how) for name in WRITERS for how in get_args(Fixed) if how != "cls" or name not in DECODERS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def embed_alone(folder: Path, text: str, pooling: Fixed, max_tokens: int) -> np.ndarray:
    """Embed one text, neither batched nor padded, by transformers' own classes."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(text or " ", truncation=True, max_length=max_tokens, return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=tokens["input_ids"]).last_hidden_state[0]
    vector = {"cls": hidden[0], "mean": hidden.mean(0), "last": hidden[-1]}[pooling]
    return normalize(vector, dim=0).numpy()


@pytest.mark.long
@pytest.mark.parametrize("budget", [1, 40, 4096])
@pytest.mark.parametrize(("name", "pooling"), READ)
def test_padding_and_batching_change_no_embedding(
    name: str, pooling: Fixed, budget: int, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "TOKENS_PER_BATCH", {"cpu": budget, "cuda": budget})
    embedded = embed(TEXTS, load(folders[name]), pooling, 16)
    assert embedded.shape == (len(TEXTS), WIDTH) and embedded.dtype == np.float32
    expected = np.stack([embed_alone(folders[name], text, pooling, 16) for text in TEXTS])
    assert np.abs(embedded - expected).max() < 1e-5
    assert np.abs(embedded[0] - embedded[1]).max() > 1e-3


@pytest.mark.parametrize("name", DECODERS)
def test_the_first_token_of_a_decoder_is_refused(name: str, folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match=r"encoder\.pooling=cls: a decoder's first token sees none of the others"):
        embed(TEXTS, load(folders[name]), "cls", 16)


@pytest.mark.parametrize("name", DECODERS)
def test_decoder_pooling_is_right_for_left_and_for_right_padding(name: str, folders: dict[str, Path]) -> None:
    language = load(folders[name])
    tokens = language.tokens(TEXTS, 16)
    for pooling in ("last", "mean"):
        expected = np.stack([embed_alone(folders[name], text, pooling, 16) for text in TEXTS])
        for padding in ("right", "left"):
            ids, mask = tokens.ids, tokens.mask
            if padding == "left":
                shifts = mask.shape[1] - mask.sum(1)
                ids, mask = (
                    torch.stack([row.roll(int(shift)) for row, shift in zip(rows, shifts, strict=True)])
                    for rows in (ids, mask)
                )
            assert mask[1, 0 if padding == "left" else -1] == 0
            positions = (mask.cumsum(1) - 1).clamp_min(0)
            with torch.no_grad():
                hidden = language.backbone(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state
            assert np.abs(pool_tokens(hidden, mask, pooling).numpy() - expected).max() < 1e-5, (pooling, padding)


def test_texts_of_the_same_tokens_are_read_once(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    language = load(folders["bert"])
    sizes: list[int] = []
    language.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    texts = ["the film of war", "love", "the film of love and war", "love", "the film of drama"]
    embedded = embed(texts, language, "mean", 5)  # [CLS] the film of [SEP]
    assert sum(sizes) in (3 + 5, 2 * 5)
    np.testing.assert_array_equal(embedded[0], embedded[2])
    np.testing.assert_array_equal(embedded[0], embedded[4])


@pytest.mark.parametrize(("budget", "worth"), [(30, 0), (30, 4), (100, 1000), (5, 8)])
def test_batches_hold_every_text_once_within_the_budget(budget: int, worth: int) -> None:
    lengths = sorted(np.random.default_rng(0).integers(1, 20, 200).tolist())
    slices = list(batches(lengths, budget, worth))
    assert [row for rows in slices for row in range(rows.start, rows.stop)] == list(range(200))
    for rows in slices:
        inside = lengths[rows]
        assert len(inside) * inside[-1] <= budget or len(inside) == 1
        assert sum(inside[-1] - length for length in inside) <= worth
    assert list(batches([], budget, worth)) == []


def test_pooling_by_hand_on_either_side() -> None:
    hidden = torch.tensor([[[3.0, 4.0], [1.0, 0.0], [torch.nan, 9.0]], [[torch.nan, 9.0], [3.0, 4.0], [1.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    half = 2**-0.5
    for pooling, vector in (("cls", [0.6, 0.8]), ("last", [1.0, 0.0]), ("mean", [half, half])):
        torch.testing.assert_close(pool_tokens(hidden, mask, pooling), torch.tensor([vector, vector]))
    assert pool_tokens(torch.ones(1, 3, 2), torch.zeros(1, 3), "mean").isfinite().all()


def attention_by_hand(hidden: Tensor, query: Tensor) -> Tensor:
    weight = (hidden @ query / hidden.shape[1] ** 0.5).exp()
    return normalize((weight[:, None] * hidden).sum(0) / weight.sum(), dim=0)


def test_attention_pooling_is_a_masked_softmax_and_starts_as_the_mean() -> None:
    torch.manual_seed(0)
    hidden, mask = torch.randn(2, 4, 6), torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    pool = AttentionPooling(6)
    torch.testing.assert_close(pool(hidden, mask), pool_tokens(hidden, mask, "mean"))
    torch.nn.init.normal_(pool.query)
    vectors = pool(hidden, mask)
    expected = torch.stack([attention_by_hand(hidden[0, :3], pool.query), attention_by_hand(hidden[1, 2:], pool.query)])
    torch.testing.assert_close(vectors, expected)
    vectors.sum().backward()
    assert pool.query.grad is not None and pool.query.grad.abs().min() > 0


def test_threads_are_put_back_and_omp_num_threads_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(embedding, "cores", lambda: before + 1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with use_all_threads():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with use_all_threads():
        assert torch.get_num_threads() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="the timing below is of a CPU")
def test_bfloat16_is_taken_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {torch.float32: 2.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(embedding, "_seconds", lambda _, dtype: times[dtype])
    assert usable_precision("bfloat16") == "bfloat16" and usable_precision("float32") == "float32"
    assert capsys.readouterr().err == ""
    times[torch.bfloat16] = 5.0
    assert usable_precision("bfloat16") == "float32"
    assert "emulated here" in capsys.readouterr().err


@pytest.mark.parametrize("name", WRITERS)
def test_bfloat16_is_near_float32(name: str, folders: dict[str, Path]) -> None:
    """Random weights of a width of 32 say little; the pretrained model below is held to 0.9999."""
    cosine = (embed(TEXTS, load(folders[name]), "mean", 16) * _embed_in_bfloat16(folders[name])).sum(1)
    assert cosine.min() > 0.999 and cosine.max() < 1.0001


def _embed_in_bfloat16(folder: Path) -> np.ndarray:
    return embed(TEXTS, load(folder, dtype="bfloat16"), "mean", 16)


@pytest.fixture(scope="module")
def minilm() -> LanguageModel:
    import yaml

    from causalrec.config.compose import package_folder
    from causalrec.data.sources import Source

    node = yaml.safe_load((package_folder("conf") / "encoder" / "bert.yaml").read_text())["model"]
    node.pop("_target_")
    return load(Source(**node).fetch(DATA))


@pytest.mark.network
def test_the_pretrained_model_in_bfloat16_and_what_it_finds_alike(minilm: LanguageModel) -> None:
    texts = ["Toy Story (1995)", "Star Wars (1977)", "The Empire Strikes Back", "Wireless headset", "Toys for children"]
    texts += [f"{first} and {second}" for first in texts for second in texts]
    exact = embed(texts, minilm, "mean", 64)
    rounded = embed(texts, load(DATA / "minilm", dtype="bfloat16"), "mean", 64)
    assert (exact * rounded).sum(1).min() > 0.9999
    alike = exact @ exact.T
    assert alike[1, 2] > alike[1, 3] and alike[0, 4] > alike[0, 3]
    assert minilm.limit == 512 and LIMIT < 512
