"""Loading language models: what is kept, what a text becomes, what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import LAYERS, LIMIT, WIDTH, WRITERS, write_bert
from transformers import AutoModel, T5Config, T5Model

from causalrec.encoders.language.model import load
from causalrec.errors import DataError, RequestError

TEXTS = ("the film of war", "", "love", "old " * 60, "zoë ☃")
LAYER = {"bert": "encoder.layer.", "roberta": "encoder.layer.", "gpt2": "h.", "llama": "layers."}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["bert"], tmp_path / "copy"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_loaded_model_is_what_its_folder_says(name: str, folders: dict[str, Path]) -> None:
    language = load(folders[name])
    assert (language.width, language.limit, language.causal) == (WIDTH, LIMIT, name in ("gpt2", "llama"))
    assert not language.backbone.training and language.backbone.config._attn_implementation == "sdpa"
    theirs = AutoModel.from_pretrained(folders[name]).state_dict()
    ours = language.backbone.state_dict()
    assert ours and all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert not any("pooler" in key for key in ours)


@pytest.mark.parametrize("name", WRITERS)
def test_the_first_layers_alone_are_kept_and_they_compute_what_they_did(name: str, folders: dict[str, Path]) -> None:
    full, cut = load(folders[name]), load(folders[name], layers=1)
    assert {key[len(LAYER[name])] for key in cut.backbone.state_dict() if key.startswith(LAYER[name])} == {"0"}
    tokens = cut.tokens(["the film of war"], LIMIT)
    with torch.no_grad():
        hidden = cut.backbone(input_ids=tokens.ids).last_hidden_state
        middle = full.backbone(input_ids=tokens.ids, output_hidden_states=True).hidden_states[1]
        norm = {"gpt2": "ln_f", "llama": "norm"}.get(name)
        torch.testing.assert_close(hidden, getattr(full.backbone, norm)(middle) if norm else middle)


@pytest.mark.parametrize("layers", [0, LAYERS + 1])
def test_more_layers_than_there_are(layers: int, folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match=f"encoder.layers={layers}: the model has {LAYERS} layers"):
        load(folders["llama"], layers=layers)


@pytest.mark.parametrize("name", WRITERS)
def test_tokens_are_cut_and_padded_on_the_right_and_no_text_is_without(name: str, folders: dict[str, Path]) -> None:
    language = load(folders[name])
    tokens = language.tokens(TEXTS, 12)
    assert tokens.ids.shape == tokens.mask.shape == (len(TEXTS), 12) and tokens.ids.dtype == torch.int64
    counts = tokens.mask.sum(1)
    assert counts[3] == 12 and counts.min() >= 1
    for row, mask, count in zip(tokens.ids, tokens.mask, counts, strict=True):
        assert mask.tolist() == [1] * int(count) + [0] * (12 - int(count))
        assert (row[count:] == language.pad).all()
    assert language.tokens([], 12).ids.shape == (0, 0)


@pytest.mark.parametrize("name", WRITERS)
def test_a_model_runs_at_its_limit_and_one_token_more_is_refused(name: str, folders: dict[str, Path]) -> None:
    language = load(folders[name])
    tokens = language.tokens(["old " * 60], LIMIT)
    assert language.backbone(input_ids=tokens.ids).last_hidden_state.shape == (1, LIMIT, WIDTH)
    with pytest.raises(RequestError, match=f"encoder.max_tokens={LIMIT + 1}: the model takes at most {LIMIT}"):
        language.tokens(["old"], LIMIT + 1)


def test_loading_leaves_the_random_numbers_alone(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    remaining = {
        name: value for name, value in weights.items() if "pooler" not in name
    }  # transformers draws those it lacks
    save_file(remaining, copy / "model.safetensors", metadata={"format": "pt"})
    before = torch.get_rng_state()
    load(copy)
    assert torch.equal(torch.get_rng_state(), before)


def test_bfloat16_weights(copy: Path) -> None:
    assert {p.dtype for p in load(copy, dtype="bfloat16").backbone.parameters()} == {torch.bfloat16}


def failure(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"encoder.model={folder}: ")
    return str(caught.value)


def test_a_hidden_size_that_the_weights_have_not(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_size": 2 * WIDTH}))
    assert "cannot be loaded" in failure(copy)


def test_weights_that_lack_a_layer_are_not_filled_with_random_numbers(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    remaining = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(remaining, copy / "model.safetensors", metadata={"format": "pt"})
    assert "its weights lack encoder.layer.1." in failure(copy)


def test_truncated_weights(copy: Path) -> None:
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "encoder.model=" in failure(copy)


def test_a_broken_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    assert "encoder.model=" in failure(copy)


def test_a_tokenizer_of_another_model(copy: Path, folders: dict[str, Path]) -> None:
    for path in folders["llama"].glob("*token*"):
        shutil.copy(path, copy)
    assert "more than the model embeds" in failure(copy)


def test_an_unknown_architecture(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "not-a-type"}))
    assert "cannot be loaded" in failure(copy)


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    write_bert(tmp_path)
    T5Model(T5Config(vocab_size=90, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8)).save_pretrained(tmp_path)
    with pytest.raises(RequestError, match=r"an encoder-decoder \(t5\)"):
        load(tmp_path)


@pytest.mark.parametrize(("setting", "claim"), [("vocab_size", 10**12), ("num_hidden_layers", 10**9)])
def test_a_model_that_claims_more_than_its_weights_hold_is_refused_before_it_is_built(
    setting: str, claim: int, copy: Path
) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {setting: claim}))
    assert "config.json describes" in failure(copy)


@pytest.mark.parametrize("content", [b"", (2**60).to_bytes(8, "little") + b"{}", b"\xff" * 100])
def test_weights_that_are_no_safetensors_file_are_named(content: bytes, copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(content)
    assert "model.safetensors is no whole safetensors file" in failure(copy)
