"""The cross-encoder: its texts are those a tokenizer makes of them, and hold nothing of the row or of later ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_history import batch_of
from tiny_models import LIMIT, WRITERS

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.cross import Cross
from causalrec.encoders.finetuning.full import Full
from causalrec.encoders.finetuning.lora import LoRA
from causalrec.encoders.language.model import load
from causalrec.encoders.pair_text import PairTexts
from causalrec.errors import RequestError
from causalrec.types import UNLOGGED_TIME

USERS, ITEMS = 4, 6
TEXTS = ("the film of war", "love", "a comedy", "drama", "the new city", "old love")
PROFILES = ("new user", "", "old user", "user of love")
MODELS = list(WRITERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def log_of() -> InteractionLog:
    """User 0 met items 0 to 4, one a second, and liked the even ones; user 1 item 2; users 2 and 3 none."""
    user, item = np.array([0, 0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 4, 2])
    return InteractionLog(
        user=user,
        item=item,
        time=np.array([0, 1, 2, 3, 4, 0]),
        treatment=np.ones(6, np.int64),
        outcome=(item % 2 == 0).astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
    )


def build_encoder(folder: Path, seed: int = 0, **settings: Any) -> Cross:
    torch.manual_seed(seed)
    fields = {f.name for f in dataclasses.fields(EncoderInputs)}
    given = {name: settings.pop(name) for name in list(settings) if name in fields}
    arguments = {"history_log": log_of(), "user_text": PROFILES, **given}
    inputs = EncoderInputs(USERS, ITEMS, TEXTS, folder / "data", folder.parent / "cache", **arguments)
    return Cross(
        inputs, **{"model": str(folder), "max_tokens": LIMIT, "width": 3, "pooling": "mean", **settings}
    ).eval()


def texts_of(encoder: Cross, *rows: tuple[int, int, int]) -> list[str]:
    """The texts of (user, item, time) rows, special tokens (and the dots this tokenizer never met) left out."""
    user, item, time = (list(column) for column in zip(*rows, strict=True))
    tokenizer = encoder.tuned.language.tokenizer
    pairs = encoder._pairs(batch_of(user, item, time))
    return [tokenizer.decode(list(ids), skip_special_tokens=True) for ids, _ in pairs]


@pytest.mark.parametrize("model", ["bert", "roberta"])
def test_the_tokens_are_those_of_the_two_texts(model: str, folders: dict[str, Path]) -> None:
    language = load(folders[model])
    phrases = {"liked": "liked:", "disliked": "disliked:", "max_tokens": LIMIT, "event_tokens": 9}
    texts = PairTexts(language, TEXTS, PROFILES, **phrases)  # type: ignore[arg-type]
    tokens, second = texts.pair(4, [(1, True), (2, True), (3, False)])
    words = "liked: love; a comedy. disliked: drama.", " the new city"
    if model == "roberta":
        words = "liked: love; a comedy.disliked: drama.", words[1]
    encoded = language.tokenizer(*words)
    assert tokens == encoded["input_ids"]
    if model == "bert":
        assert encoded["token_type_ids"] == [0] * second + [1] * (len(tokens) - second)
        assert texts.frame.types
    alone, _ = texts.pair(4, [], user=0)
    assert alone == language.tokenizer(" new user", words[1])["input_ids"]


def test_behaviour_is_what_was_met_strictly_before_and_never_the_item_itself(folders: dict[str, Path]) -> None:
    encoder = build_encoder(folders["bert"])
    early, late, repeated, other, none = texts_of(
        encoder, (0, 5, 2), (0, 5, UNLOGGED_TIME), (0, 4, UNLOGGED_TIME), (1, 5, UNLOGGED_TIME), (3, 5, UNLOGGED_TIME)
    )
    assert early == "liked the film of war not liked love old love"
    assert late == "liked the film of war a comedy the new city not liked love drama old love"
    assert repeated == "liked the film of war a comedy not liked love drama the new city"
    assert other == "liked a comedy old love" and none == "old love"
    assert texts_of(build_encoder(folders["bert"], history_length=1), (0, 5, UNLOGGED_TIME)) == [
        "liked the new city old love"
    ]
    assert texts_of(build_encoder(folders["bert"], history_log=None), (0, 5, UNLOGGED_TIME)) == ["old love"]
    assert texts_of(build_encoder(folders["bert"], profile=True), (0, 5, 1))[0].startswith(
        "new user liked the film of war"
    )


@pytest.mark.parametrize("model", MODELS)
def test_what_is_too_long_loses_its_oldest_events_and_keeps_the_item(model: str, folders: dict[str, Path]) -> None:
    encoder = build_encoder(folders[model], max_tokens=20, history_length=5)
    (tokens, second), (bare, start) = encoder._pairs(batch_of([0, 3], [5, 5], [UNLOGGED_TIME, UNLOGGED_TIME]))
    assert len(tokens) <= 20 and tokens[second:] == bare[start:]
    decode = encoder.tuned.language.tokenizer.decode
    assert "the new city" in decode(list(tokens)) and "the film of war" not in decode(list(tokens))
    long = PairTexts(
        encoder.tuned.language, [" ".join(TEXTS * 4)], (), liked="x", disliked="y", max_tokens=20, event_tokens=4
    )
    assert len(long.pair(0, [])[0]) == 20 and len(long.pair(0, [(0, True)] * 5)[0]) <= 20


@pytest.mark.parametrize("model", MODELS)
def test_a_pair_alone_has_the_vector_it_has_in_a_batch(model: str, folders: dict[str, Path]) -> None:
    encoder = build_encoder(folders[model], pooling="last" if model in ("gpt2", "llama") else "cls")
    user, item, time = [0, 1, 3, 0, 0], [5, 5, 0, 5, 4], [UNLOGGED_TIME, UNLOGGED_TIME, UNLOGGED_TIME, UNLOGGED_TIME, 2]
    with torch.no_grad():
        together = encoder.pairs(batch_of(user, item, time))
        alone = [encoder.pairs(batch_of([u], [i], [t])) for u, i, t in zip(user, item, time, strict=True)]
    assert together.shape == (5, 3)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[0], together[3])
    assert (together[0] - together[1]).abs().max() > 1e-4, "who reads matters"


def test_each_distinct_pair_is_read_once(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, rows = build_encoder(folders["bert"]), []
    forward = encoder.tuned.forward
    monkeypatch.setattr(encoder.tuned, "forward", lambda ids, *more: rows.append(len(ids)) or forward(ids, *more))
    encoder.pairs(batch_of([0, 0, 3, 2, 1], [5, 5, 5, 5, 5], [UNLOGGED_TIME] * 5))
    assert sum(rows) == 3, "users 2 and 3 met nothing"


def test_gradients_reach_what_the_tuning_names(folders: dict[str, Path]) -> None:
    def names_with_gradient(**settings: Any) -> set[str]:
        encoder = build_encoder(folders["bert"], **settings).train()
        encoder.pairs(batch_of([0, 1], [5, 5], [UNLOGGED_TIME, UNLOGGED_TIME])).sum().backward()
        return {
            name
            for name, parameter in encoder.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().sum() > 0
        }

    projection = {"project.weight", "project.bias"}
    assert names_with_gradient() == projection
    assert {name for name in names_with_gradient(finetuning=LoRA(rank=2)) - projection if "lora_" not in name} == set()
    assert len(names_with_gradient(finetuning=LoRA(rank=2))) > 2
    full = names_with_gradient(finetuning=Full())
    assert any("token_type_embeddings" in name for name in full) and any("layer.0." in name for name in full)
    rates = build_encoder(folders["bert"], finetuning=Full(lr=2e-5)).rates()
    assert rates and set(rates.values()) == {2e-5}


def test_what_cannot_be_read_is_refused_in_one_line(folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match=f"max_tokens={LIMIT + 1}: the model takes at most {LIMIT}"):
        build_encoder(folders["bert"], max_tokens=LIMIT + 1)
    with pytest.raises(RequestError, match="no user text is left"):
        build_encoder(folders["bert"], profile=True, user_text=("",) * USERS)
    folder = folders["bert"]
    with pytest.raises(RequestError, match="no item text is left"):
        Cross(EncoderInputs(USERS, ITEMS, ("",) * ITEMS, folder, folder), model=str(folder))
