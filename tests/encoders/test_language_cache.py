"""Embeddings on disk: named by what they depend on, whole or computed again, and safe with two processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import LIMIT, WIDTH, write_bert, write_gpt2

from causalrec.encoders.language import checksums
from causalrec.encoders.language import embedding as computing
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.checksums import file_sha256
from causalrec.encoders.language.embedding import embed
from causalrec.encoders.language.model import load
from causalrec.errors import DataError, RequestError
from causalrec.types import Floats

TEXTS = ("the film of war", "love", "a comedy about the old city", "drama", "the films", "love", "a new comedy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After the call, embedding anything anew is an error."""

    def refuse(*_: object) -> Floats:
        raise AssertionError("the model was loaded")

    return lambda: monkeypatch.setattr("causalrec.encoders.language.cache._embed", refuse)


def embed_texts(folder: Path, cache: Path, texts: tuple[str, ...] = TEXTS, **settings: Any) -> Floats:
    return embeddings(texts, folder, **{"pooling": "mean", "max_tokens": 16, "cache": cache} | settings)


def cache_files(cache: Path) -> list[Path]:
    return sorted((cache / "text").glob("[!.]*"))


def test_the_cache_gives_back_what_was_computed_and_loads_no_model(
    folder: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    first = embed_texts(folder, tmp_path)
    np.testing.assert_array_equal(first, embed(TEXTS, load(folder), "mean", 16))
    assert first.shape == (len(TEXTS), WIDTH) and first.dtype == np.float32
    no_model()
    np.testing.assert_array_equal(embed_texts(folder, tmp_path), first)
    np.testing.assert_array_equal(embed_texts(folder, tmp_path, TEXTS[::-1]), first[::-1])
    assert [path.suffix for path in cache_files(tmp_path)] == [".npy"]


def test_sorted_texts_come_as_the_mapped_file_and_nobody_can_write_to_it(folder: Path, tmp_path: Path) -> None:
    mapped = embed_texts(folder, tmp_path, tuple(sorted(set(TEXTS))))
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


def test_whatever_an_embedding_depends_on_names_another_file(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    base = embed_texts(folder, cache)
    settings: list[dict[str, Any]] = [{"pooling": "cls"}, {"pooling": "last"}, {"max_tokens": 4}, {"layers": 1}]
    others = [embed_texts(folder, cache, **change) for change in settings]
    others.append(embed_texts(write_bert(tmp_path / "other", seed=1), cache))
    changed = embed_texts(folder, cache, ("the film of love", *TEXTS[1:]))
    for other in (*others, changed):
        assert np.abs(other[0] - base[0]).max() > 1e-4
    np.testing.assert_allclose(changed[1:], base[1:], atol=1e-5)
    embed_texts(folder, cache, precision="bfloat16")
    assert len(cache_files(cache)) == 8


def test_a_model_changed_in_place_is_read_anew_and_a_copy_is_the_same(
    folder: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    first = embed_texts(folder, tmp_path)
    shutil.copy(write_bert(tmp_path / "other", seed=1) / "model.safetensors", copy / "model.safetensors")
    assert np.abs(embed_texts(copy, tmp_path) - first).max() > 1e-3
    shutil.copy(folder / "model.safetensors", copy / "model.safetensors")
    no_model()
    np.testing.assert_array_equal(embed_texts(copy, tmp_path), first)


def test_the_major_versions_and_the_recipe_name_another_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_texts(folder, tmp_path)
    monkeypatch.setattr("causalrec.encoders.language.cache.RECIPE", -1)
    embed_texts(folder, tmp_path)
    for name in ("torch", "transformers"):
        monkeypatch.setattr(
            "causalrec.encoders.language.cache.version", lambda package, name=name: "99.1" if package == name else "5.0"
        )
        embed_texts(folder, tmp_path)
    assert len(cache_files(tmp_path)) == 4


def _halve(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [_halve, _flip, lambda content: b"", lambda content: content + b"x"])
def test_a_damaged_file_is_computed_again_with_one_line(
    folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    first = np.array(embed_texts(folder, tmp_path))
    path = cache_files(tmp_path)[0]
    content = path.read_bytes()
    capsys.readouterr()
    path.write_bytes(damage(content))
    np.testing.assert_array_equal(embed_texts(folder, tmp_path), first)
    assert "damaged" in capsys.readouterr().err.replace("\n", "")
    assert path.read_bytes() == content
    embed_texts(folder, tmp_path)
    assert "damaged" not in capsys.readouterr().err


def test_a_digest_is_computed_once_per_state_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "file", []
    path.write_bytes(b"one")
    original = checksums.sum_of
    monkeypatch.setattr(checksums, "sum_of", lambda path: read.append(path) or original(path))
    with monkeypatch.context() as later:
        later.setattr(checksums, "SETTLED", -1)
        first = file_sha256(path, tmp_path / "cache")
        assert file_sha256(path, tmp_path / "cache") == first == original(path) and len(read) == 1
        (note,) = (tmp_path / "cache" / "digests").iterdir()
        for damage in (b"", b"\xff" * 64, note.read_bytes().replace(first[:8].encode(), b"00000000")):
            note.write_bytes(damage)
            assert file_sha256(path, tmp_path / "cache") == first, "a damaged note counts for nothing"
    path.write_bytes(b"two")
    assert file_sha256(path, tmp_path / "cache") == original(path) != first
    state = path.stat()
    path.write_bytes(b"six")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # a write within the same tick of the clock
    assert file_sha256(path, tmp_path / "cache") == original(path)


def test_an_interrupted_embedding_leaves_no_file_and_no_lock(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> Floats:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(computing, "embed", interrupt)
        embed_texts(folder, tmp_path)
    assert cache_files(tmp_path) == []
    assert np.isfinite(embed_texts(folder, tmp_path)).all()


PROCESS = """
import sys, time
from pathlib import Path
import numpy as np
from causalrec.encoders.language import embedding
from causalrec.encoders.language.cache import embeddings

inner = embedding.embed
def slow(*arguments):
    print("computed", flush=True)
    time.sleep(1)
    return inner(*arguments)
embedding.embed = slow
folder, cache, out = map(Path, sys.argv[1:])
(out.parent / f"{out.name}.ready").touch()
while len(list(out.parent.glob("*.ready"))) < 2:
    time.sleep(0.01)
np.save(out, embeddings(["the film of war", "love"], folder, pooling="mean", max_tokens=16, cache=cache))
"""


@pytest.mark.long
def test_two_processes_at_once_compute_once_and_read_the_same(folder: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "one.npy", tmp_path / "two.npy"]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(folder), str(tmp_path / "cache"), str(out)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for out in outs
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(printed) == ["", "computed\n"]
    np.testing.assert_array_equal(np.load(outs[0]), np.load(outs[1]))
    assert len(cache_files(tmp_path / "cache")) == 1


@pytest.mark.parametrize("wrong", [None, 3, float("nan"), b"love"])
def test_a_text_that_is_no_string(folder: Path, tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(DataError, match=r"text 1 is .*, not a string") as caught:
        embed_texts(folder, tmp_path, ("love", wrong))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("texts", [(), ("",), ("", " ", "\t")])
def test_texts_that_say_nothing(folder: Path, tmp_path: Path, texts: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match="all texts are empty"):
        embed_texts(folder, tmp_path, texts)


def test_requests_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    gpt = write_gpt2(tmp_path / "gpt")
    for where, settings, message in (
        (folder, {"pooling": "attention"}, "encoder.pooling=attention: it is learned"),
        (folder, {"max_tokens": LIMIT + 1}, f"encoder.max_tokens={LIMIT + 1}: the model takes at most {LIMIT}"),
        (folder, {"layers": 3}, "encoder.layers=3: the model has 2 layers"),
        (gpt, {"pooling": "cls"}, "encoder.pooling=cls"),
    ):
        with pytest.raises(RequestError, match=message) as caught:
            embed_texts(where, tmp_path, **settings)
        assert "\n" not in str(caught.value)
    assert cache_files(tmp_path) == []
