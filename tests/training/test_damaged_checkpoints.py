"""A checkpoint that is whole but holds something else: the fit starts again, and ends as one that was not disturbed."""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import assert_same, fit_small_model, interrupt_fit

from causalrec.errors import DataError
from causalrec.training import checkpoint
from causalrec.training.checkpoint import MAGIC, read_checkpoint, write_checkpoint
from causalrec.training.fit_result import FitResult
from causalrec.training.fit_store import FitFolder, UnusableCheckpoint

NAME = "naive"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def keep_the_seeds_of_others() -> Iterator[None]:
    states = checkpoint.random_states()
    yield
    checkpoint.set_random_states(states)


@pytest.fixture(scope="module")
def reference_fit(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitResult, Path]:
    folder = tmp_path_factory.mktemp("reference_fit")
    return fit_small_model(folder, NAME), folder / "best.ckpt"


def seal(body: bytes) -> bytes:
    return MAGIC + sha256(body).hexdigest().encode() + body


def saved_by_torch(value: object, **options: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return out.getvalue()


def weights(state: dict[str, Any], change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    name = next(name for name, value in state["state_dict"].items() if value.is_floating_point() and value.ndim)
    state["state_dict"][name] = change(state["state_dict"][name])


CHANGES: dict[str, Change] = {
    "no weights": lambda state: state.pop("state_dict"),
    "a list of weights": lambda state: state.update(state_dict=[1]),
    "fewer weights": lambda state: state["state_dict"].popitem(),
    "other shapes": lambda state: weights(state, lambda value: torch.zeros(3, 3, 3)),
    "whole numbers": lambda state: weights(state, lambda value: value.long()),
    "not a number": lambda state: weights(state, lambda value: value * math.nan),
    "infinite": lambda state: weights(state, lambda value: value / 0),
    "endless": lambda state: weights(state, lambda value: torch.zeros(1).expand(10**12)),
}
BEST: dict[str, Change] = {
    "no summary": lambda state: state.pop("fit"),
    "a list of a summary": lambda state: state.update(fit=[1]),
    "a criterion of text": lambda state: state["fit"].update(criterion="0.1"),
    "a curve of text": lambda state: state["fit"].update(curve="abc"),
    "an epoch of text": lambda state: state["fit"]["curve"][0].update(epoch="0"),
}
RESUME: dict[str, Change] = {
    "no optimizer": lambda state: state.pop("optimizer_states"),
    "no ranks": lambda state: state.update(ranks=[]),
    "an optimizer of text": lambda state: state.update(optimizer_states=["x"]),
    "a random state of text": lambda state: state["ranks"][0].update(random="x"),
    "a curve of numbers": lambda state: state.update(curve=[1]),
}
FILES: dict[str, Callable[[Path], object]] = {
    "list": lambda path: path.write_bytes(seal(saved_by_torch([1, 2]))),
    "numbered": lambda path: path.write_bytes(seal(saved_by_torch({1: 2}))),
    "pickle": lambda path: path.write_bytes(seal(pickle.dumps({"fingerprint": "x"}))),
    "code": lambda path: path.write_bytes(seal(saved_by_torch({"fingerprint": os.system}))),
    "older form": lambda path: path.write_bytes(seal(saved_by_torch({"a": 1}, _use_new_zipfile_serialization=False))),
    "bomb": lambda path: path.write_bytes(seal(bomb())),
    "empty": lambda path: path.write_bytes(b""),
    "pipe": lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
    "loop": lambda path: (path.unlink(missing_ok=True), path.symlink_to(path.name)),
    "folder": lambda path: (path.unlink(missing_ok=True), path.mkdir()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_checkpoint_is_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    FILES[name](path)
    with pytest.raises(DataError) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    store = FitFolder(tmp_path, "x")
    assert store.load_finished() is None and store.checkpoint_to_resume() is None
    assert not os.path.lexists(path), "the next launch does not meet it again"


@pytest.mark.parametrize("name", [*CHANGES, *BEST])
def test_a_finished_fit_that_holds_something_else_starts_again(
    name: str, reference_fit: tuple[FitResult, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, best = reference_fit
    state = read_checkpoint(best)
    (CHANGES | BEST)[name](state)
    write_checkpoint(tmp_path / "best.ckpt", state)
    assert_same(fit_small_model(tmp_path, NAME), expected)
    assert f"{tmp_path / 'best.ckpt'}: checkpoint" in caplog.text and "starting this fit again" in caplog.text


@pytest.fixture(scope="module")
def resume_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume_checkpoint")
    interrupt_fit(folder, NAME, "step", 9, checkpoint_steps=3)
    return folder / "resume.ckpt"


@pytest.mark.parametrize("name", [*CHANGES, *RESUME])
def test_a_fit_on_its_way_that_holds_something_else_starts_again(
    name: str,
    resume_checkpoint: Path,
    reference_fit: tuple[FitResult, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = read_checkpoint(resume_checkpoint)
    (CHANGES | RESUME)[name](state)
    write_checkpoint(tmp_path / "resume.ckpt", state)
    try:
        fit = fit_small_model(tmp_path, NAME, checkpoint_steps=3)
    except UnusableCheckpoint:  # the request makes a fresh model, as `FitRequest.fit` does
        fit = fit_small_model(tmp_path, NAME, checkpoint_steps=3)
    assert_same(fit, reference_fit[0])
    assert "starting this fit again" in caplog.text and not (tmp_path / "resume.ckpt").exists()


@pytest.mark.parametrize("linked", ["checkpoints", "checkpoints/fit"])
def test_nothing_is_written_or_removed_behind_a_link(linked: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "fit").mkdir(parents=True)
    (outside / "best.ckpt").write_text("mine")
    (tmp_path / linked).parent.mkdir(exist_ok=True)
    (tmp_path / linked).symlink_to(outside)
    with pytest.raises(DataError, match="a symbolic link, behind which nothing is written or removed"):
        FitFolder(tmp_path / "checkpoints" / "fit", "x").load_finished()
    assert (outside / "best.ckpt").read_text() == "mine"
