"""Where a language model comes from, and the folders that are refused with one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import WRITERS, write_bert

from causalrec.data.sources import Source
from causalrec.encoders.language.folder import model_folder
from causalrec.errors import DataError, RequestError


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def folder(bert_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert_folder, tmp_path / "model"))


def refusal(model: str | Source, tmp_path: Path, kind: type[Exception] = RequestError) -> str:
    with pytest.raises(kind) as caught:
        model_folder(model, tmp_path / "data", tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"encoder.model={model}: ")
    return str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_saved_by_transformers_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    folder = WRITERS[name](tmp_path / name)
    assert model_folder(str(folder), tmp_path, tmp_path) == folder


def test_a_source_is_fetched_and_checked(folder: Path, tmp_path: Path) -> None:
    files = {path.name: "" for path in folder.iterdir()}
    source = Source(folder="model", files=files)
    assert model_folder(source, tmp_path, tmp_path / "cache") == folder
    with pytest.raises(DataError, match=r"model\.safetensors: wrong checksum"):
        wrong = Source(folder="model", files=files | {"model.safetensors": "0" * 64})
        model_folder(wrong, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("model", ["/no/such/folder", "./nowhere", "no/such/folder", "~/nothing-of-this-name"])
def test_a_path_that_does_not_exist(model: str, tmp_path: Path) -> None:
    assert "no such folder" in refusal(model, tmp_path)


@pytest.mark.parametrize(
    ("removed", "named"),
    [("config.json", "no config.json"), ("*.safetensors", "no weights"), ("*token*", "no tokenizer")],
)
def test_an_incomplete_folder_is_refused_by_what_it_lacks(
    folder: Path, tmp_path: Path, removed: str, named: str
) -> None:
    for path in folder.glob(removed):
        path.unlink()
    assert named in refusal(str(folder), tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_alone_are_refused_with_the_reason_and_the_mend(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / name)
    message = refusal(str(folder), tmp_path)
    assert f"only pickled weights ({name})" in message and "can run code" in message and "save_pretrained" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_that_brings_its_own_code_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    config = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Mine"}}))
    assert f"{name} asks to run Python code that comes with the model" in refusal(str(folder), tmp_path)


@pytest.mark.parametrize(("text", "named"), [("{", "not JSON"), ("[1]", "not a JSON object")])
def test_a_broken_config(folder: Path, tmp_path: Path, text: str, named: str) -> None:
    (folder / "config.json").write_text(text)
    assert named in refusal(str(folder), tmp_path)


def test_a_file_that_is_no_gguf_and_a_folder_of_two(folder: Path, tmp_path: Path) -> None:
    assert "a file that is not .gguf" in refusal(str(folder / "model.safetensors"), tmp_path)
    (tmp_path / "two").mkdir()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / "two" / name).write_bytes(b"GGUF")
    assert "holds 2 .gguf files" in refusal(str(tmp_path / "two"), tmp_path)


@pytest.fixture
def cut_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[bool], None]:
    """Let the hub's client find an empty cache and, told to be online, no server."""

    def cut(offline: bool) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")

    return cut


@pytest.mark.parametrize("model", ["FacebookAI/roberta-base", "bert-base-uncased"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_name_without_network_is_one_line_that_says_what_to_do(
    tmp_path: Path, cut_network: Callable[[bool], None], model: str, offline: bool
) -> None:
    cut_network(offline)
    message = refusal(model, tmp_path, DataError)
    assert f"download https://huggingface.co/{model}" in message and "name the folder" in message


def test_what_is_neither_a_folder_nor_a_hub_name(tmp_path: Path, cut_network: Callable[[bool], None]) -> None:
    cut_network(True)
    assert "neither an existing folder nor a hub name" in refusal("my model!", tmp_path)
