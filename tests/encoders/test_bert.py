"""The frozen text encoder, on a tiny BERT of random weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from causalrec.encoders import text_cache
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.bert import Bert
from causalrec.encoders.text_cache import Pooling, embeddings, model_folder, pooled
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.models import bare_batch
from causalrec.types import Floats

WORDS = ["the", "a", "film", "of", "war", "love", "comedy", "drama", "about", "old", "new", "city", "##s", "##ing"]
TEXTS = (
    "the film of war",
    "love",
    "a comedy about the old city and the new city and the old film of love",
    "drama",
    "the films",
    "love",  # two items with one text
    "a new comedy",
)
HIDDEN = 32


def write_model(folder: Path, seed: int = 0) -> Path:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizerFast(vocab={word: k for k, word in enumerate(vocabulary)})
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After the call, embedding anything anew is an error."""

    def refuse(*_: object) -> Floats:
        raise AssertionError("the model was loaded")

    return lambda: monkeypatch.setattr(text_cache, "_embed", refuse)


def inputs(tmp_path: Path, texts: tuple[str, ...] = TEXTS, users: int = 3, items: int = len(TEXTS)) -> EncoderInputs:
    return EncoderInputs(users, items, texts, tmp_path / "data", tmp_path / "cache")


def cached(cache: Path) -> list[Path]:
    return sorted((cache / "text").iterdir())


def test_the_second_call_reads_the_cache_and_loads_no_model(
    folder: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    first = embeddings(TEXTS, folder, "mean", 64, tmp_path)
    assert [path.suffix for path in cached(tmp_path)] == [".npy"]
    no_model()
    np.testing.assert_array_equal(embeddings(TEXTS, folder, "mean", 64, tmp_path), first)
    turned = embeddings(TEXTS[::-1], folder, "mean", 64, tmp_path)  # the same texts in another order
    np.testing.assert_array_equal(turned, first[::-1])


def test_embeddings_are_rows_of_unit_length_in_the_order_of_the_texts(folder: Path, tmp_path: Path) -> None:
    found = embeddings(TEXTS, folder, "mean", 64, tmp_path)
    assert found.shape == (len(TEXTS), HIDDEN) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found[1], found[5])
    assert np.abs(found[0] - found[3]).max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_and_batching_change_no_embedding(folder: Path, tmp_path: Path, pooling: Pooling) -> None:
    together = embeddings(TEXTS, folder, pooling, 64, tmp_path / "together")
    alone = [embeddings([text], folder, pooling, 64, tmp_path / "alone")[0] for text in TEXTS]
    assert np.abs(together - np.stack(alone)).max() < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_an_embedding_is_the_pooled_last_layer(folder: Path, tmp_path: Path, pooling: Pooling) -> None:
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        hidden = model(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state[0].numpy()
    assert len(hidden) == 6  # [CLS] the film of war [SEP]
    vector = hidden[0] if pooling == "cls" else hidden.mean(0)
    found = embeddings([TEXTS[0]], folder, pooling, 64, tmp_path)[0]
    np.testing.assert_allclose(found, vector / np.linalg.norm(vector), atol=1e-5)


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[3.0, 4.0], [1.0, 0.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])  # the last token is padding
    torch.testing.assert_close(pooled(hidden, mask, "cls"), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(pooled(hidden, mask, "mean"), torch.tensor([[1.0, 1.0]]) / 2**0.5)
    assert pooled(hidden, torch.zeros(1, 3), "mean").isfinite().all()


def test_whatever_an_embedding_depends_on_names_another_cache_file(folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=1)
    cache = tmp_path / "cache"
    changed = ("the film of love", *TEXTS[1:])
    found = [
        embeddings(TEXTS, folder, "mean", 64, cache),
        embeddings(changed, folder, "mean", 64, cache),
        embeddings(TEXTS, folder, "cls", 64, cache),
        embeddings(TEXTS, folder, "mean", 5, cache),
        embeddings(TEXTS, other, "mean", 64, cache),
    ]
    assert len(cached(cache)) == 5
    for one in found[1:]:
        assert np.abs(one - found[0]).max() > 1e-4
    np.testing.assert_allclose(found[1][1:], found[0][1:], atol=1e-5)


def test_a_copy_of_the_model_elsewhere_reads_the_same_cache(
    folder: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    first = embeddings(TEXTS, folder, "mean", 64, tmp_path)
    no_model()
    np.testing.assert_array_equal(embeddings(TEXTS, copy, "mean", 64, tmp_path), first)


def test_texts_are_cut_at_max_tokens(folder: Path, tmp_path: Path) -> None:
    cut = embeddings([TEXTS[0]], folder, "mean", 5, tmp_path)  # [CLS] the film of [SEP]
    np.testing.assert_allclose(cut, embeddings(["the film of"], folder, "mean", 64, tmp_path), atol=1e-6)


def test_an_empty_text_among_others_gets_a_finite_embedding(folder: Path, tmp_path: Path) -> None:
    found = embeddings(["", "love"], folder, "mean", 64, tmp_path)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_an_interrupted_embedding_leaves_no_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Floats:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(text_cache, "_embed", interrupted)
        embeddings(TEXTS, folder, "mean", 64, tmp_path)
    assert cached(tmp_path) == []
    assert np.isfinite(embeddings(TEXTS, folder, "mean", 64, tmp_path)).all()


def test_items_are_ids_plus_projected_text_and_the_text_is_frozen(folder: Path, tmp_path: Path) -> None:
    encoder = Bert(inputs(tmp_path), model=str(folder), width=4)
    torch.nn.init.normal_(encoder.item_table.table.weight)
    text = torch.from_numpy(embeddings(TEXTS, folder, "mean", 64, tmp_path / "cache"))
    ids = torch.tensor([6, 0])
    plain = encoder.item_table.table.weight[ids] + text[ids] @ encoder.project.weight.T + encoder.project.bias
    found = encoder.items(ids)
    torch.testing.assert_close(found[:, :4], plain[:, :4])
    torch.testing.assert_close(found[:, 5], plain[:, 4])
    assert (found[:, 4] == 1).all()
    assert {name for name, _ in encoder.named_parameters()} == {
        "user_table.table.weight",
        "item_table.table.weight",
        "project.weight",
        "project.bias",
    }
    assert "text" not in encoder.state_dict()  # checkpoints hold no copy of the cache


def test_without_item_ids_items_of_one_text_are_one_and_others_differ(folder: Path, tmp_path: Path) -> None:
    encoder = Bert(inputs(tmp_path, items=0), model=str(folder), width=4)
    vectors = encoder.items(torch.arange(len(TEXTS)))
    assert torch.equal(vectors[1], vectors[5])
    assert len(torch.unique(vectors, dim=0)) == len(set(TEXTS))
    none = np.zeros((7, 0), np.float32)
    batch = bare_batch(np.array([0, 2]), np.array([1, 5]), FeatureMatrix((), (), none, none, ()))
    assert encoder.users(batch).shape == encoder.items(batch.item).shape


@pytest.mark.parametrize("texts", [(), ("", "", "")])
def test_without_text_the_request_is_refused_before_the_model_is_looked_for(
    tmp_path: Path, texts: tuple[str, ...]
) -> None:
    with pytest.raises(RequestError, match="encoder=bert: no item text is left in the outcome view"):
        Bert(inputs(tmp_path, texts), model="nowhere/at-all")


@pytest.mark.parametrize(
    ("removed", "named"),
    [("config.json", "config"), ("*.safetensors", "safetensors weights"), ("token*", "tokenizer")],
)
def test_an_incomplete_folder_is_refused_by_what_it_lacks(
    folder: Path, tmp_path: Path, removed: str, named: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert model_folder(str(copy), tmp_path) == copy
    for path in copy.glob(removed):
        path.unlink()
    with pytest.raises(RequestError, match=f"no {named} in it") as caught:
        model_folder(str(copy), tmp_path)
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_pickled_weights_alone_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(RequestError, match="no safetensors weights"):
        model_folder(str(copy), tmp_path)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("offline")
def test_an_unknown_hub_name_offline_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        model_folder("nobody/no-such-model", tmp_path)
    message = str(caught.value)
    assert message.startswith("encoder.model=nobody/no-such-model: not on this machine")
    assert "https://huggingface.co/nobody/no-such-model" in message and "\n" not in message


@pytest.mark.usefixtures("offline")
def test_what_is_neither_a_folder_nor_a_hub_name_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="neither an existing folder nor a hub name"):
        model_folder("no/such/folder/here", tmp_path)
