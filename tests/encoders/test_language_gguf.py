"""Quantised models in GGUF files, converted once: a tiny Llama written here, and SmolLM2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_models import LAYERS, LIMIT, WIDTH, write_llama
from transformers import AutoModel, AutoTokenizer

from causalrec.config.compose import package_folder
from causalrec.data.sources import Source
from causalrec.encoders.language import gguf_conversion
from causalrec.encoders.language.embedding import embed
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import load
from causalrec.errors import DataError, RequestError

gguf = pytest.importorskip("gguf")
DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
TEXTS = ("the film of war", "a comedy about the old city", "love")
NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: Path, llama: Path) -> Path:
    """Write a Llama's folder as llama.cpp does: the rows of queries and keys in pairs, for its rotary embedding."""
    model, tokenizer = AutoModel.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(LIMIT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(WIDTH // 2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_vocab_size(len(tokenizer))
    backend = yaml.safe_load(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(sorted(backend["vocab"], key=backend["vocab"].get))
    writer.add_token_types([3] * 5 + [1] * (len(tokenizer) - 5))
    writer.add_token_merges([" ".join(pair) for pair in backend["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    for name, value in model.state_dict().items():
        writer.add_tensor(*_tensor(name, value.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensor(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    global_names = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    if name in global_names:
        return global_names[name], value
    _, layer, rest = name.split(".", 2)
    inner = rest.removesuffix(".weight")
    heads = {"self_attn.q_proj": 2, "self_attn.k_proj": 1}.get(inner)
    if heads:
        halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
        value = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(value.shape))
    return f"blk.{layer}.{NAMES[inner]}.weight", value


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def file(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", llama)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is converted from here on."""
    seen: list[Path] = []
    inner: Callable[[Path, Path], None] = gguf_conversion._save
    monkeypatch.setattr(gguf_conversion, "_save", lambda path, folder: seen.append(path) or inner(path, folder))
    return seen


def test_a_converted_model_is_the_model_and_is_converted_once(
    file: Path, llama: Path, tmp_path: Path, conversions: list[Path]
) -> None:
    folder = model_folder(str(file), tmp_path, tmp_path / "cache")
    assert folder.parent == tmp_path / "cache" / "models"
    theirs, ours = load(llama), load(folder)
    assert ours.token_ids(TEXTS, 16) == theirs.token_ids(TEXTS, 16)
    np.testing.assert_allclose(embed(TEXTS, ours, "mean", 16), embed(TEXTS, theirs, "mean", 16), atol=1e-5)
    assert {parameter.dtype for parameter in ours.backbone.parameters()} == {torch.float32}
    source = Source(folder=file.parent.name, files={"tiny.gguf": ""})  # the same file, as a source and as a folder
    assert model_folder(source, file.parent.parent, tmp_path / "cache") == folder
    assert model_folder(str(file.parent), tmp_path, tmp_path / "cache") == folder
    assert len(conversions) == 1


def test_another_file_has_another_folder(file: Path, tmp_path: Path) -> None:
    other = write_gguf(tmp_path / "other.gguf", write_llama(tmp_path / "llama", seed=1))
    cache = tmp_path / "cache"
    assert model_folder(str(other), tmp_path, cache) != model_folder(str(file), tmp_path, cache)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all" * 10])
def test_a_file_that_is_no_model_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(DataError, match="not a GGUF model that can be read") as caught:
        model_folder(str(tmp_path / "broken.gguf"), tmp_path, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache" / "models").glob("[!.]*"))


def test_a_truncated_file(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    (tmp_path / "half.gguf").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a GGUF model that can be read"):
        model_folder(str(tmp_path / "half.gguf"), tmp_path, tmp_path / "cache")


def test_without_the_extra_the_line_says_what_to_install(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_conversion.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"pip install 'causalrec\[gguf\]'"):
        model_folder(str(file), tmp_path, tmp_path / "cache")


PROCESS = """
import sys
from pathlib import Path
from causalrec.encoders.language import gguf_conversion
from causalrec.encoders.language.folder import model_folder

inner = gguf_conversion._save
gguf_conversion._save = lambda *paths: print("converted", flush=True) or inner(*paths)
file, cache, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(cache / f"{name}.ready").touch()
while len(list(cache.glob("*.ready"))) < 2:
    pass
model_folder(str(file), cache, cache)
"""


@pytest.mark.long
def test_two_processes_at_once_convert_once(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(file), str(tmp_path)]
    started = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(printed) == ["", "converted\n"]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.network
def test_smollm2_reads_text(tmp_path: Path) -> None:
    node = yaml.safe_load((package_folder("conf") / "encoder" / "gpt.yaml").read_text())
    node["model"].pop("_target_")
    folder = model_folder(Source(**node["model"]), DATA, tmp_path)
    language = load(folder, layers=node["layers"])
    assert (language.width, language.causal, language.backbone.config.num_hidden_layers) == (576, True, 12)
    texts = ["Star Wars, a space adventure", "The Empire Strikes Back, a space adventure", "wireless gaming headset"]
    vectors = embed(texts, language, "mean", 64)
    alike = vectors @ vectors.T
    assert alike[0, 1] > max(alike[0, 2], alike[1, 2])
