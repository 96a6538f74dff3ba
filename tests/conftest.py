"""Tiny fake raw files of the true formats, whose checksums stand in for the real ones, and what EconML is handed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from causalrec.config import compose
from causalrec.config.schema import ExperimentConfig
from causalrec.data.datasets import coat, ml100k
from causalrec.data.datasets.ml100k import GENRES
from causalrec.data.sources import Source

Edit = Callable[[str], str]


def last_of_each(*arguments: str) -> list[str]:
    """Return the arguments of a command, of overrides of one key the last: a test's own after those of all tests."""
    keys = {text.partition("=")[0].lstrip("+"): k for k, text in enumerate(arguments) if "=" in text}
    return [text for k, text in enumerate(arguments) if "=" not in text or k in keys.values()]


@pytest.fixture(scope="session", autouse=True)
def _shared_compositions() -> Iterator[None]:
    """Let tests that choose the same components share Hydra's composition (a third of a second)."""
    composed: dict[object, object] = {}
    compose_anew = compose._compose

    def compose_once(overrides: Sequence[str], name: str) -> Any:
        files = [path for root in compose._roots(overrides)[1:] for path in sorted(root.rglob("*.yaml"))]
        key = (tuple(overrides), name, compose.package_folder("conf"), *((path, path.read_bytes()) for path in files))
        if key not in composed:
            composed[key] = compose_anew(overrides, name)
        return composed[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "_compose", compose_once)
        yield


def require(*sources: Source) -> None:
    """Skip, or fail where data are required, unless the files of one of the sources are there."""
    root = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
    if not any(source.is_present(root) for source in sources):
        message = f"{', '.join(sources[0].files)} is not in {root / sources[0].folder}"
        pytest.fail(message) if os.environ.get("CAUSALREC_REQUIRE_DATA") == "1" else pytest.skip(message)


class FakeML100K(Protocol):
    """Write fake ML-100K files below `folder` and let the loader trust their checksums; returns `folder`."""

    def __call__(
        self,
        folder: Path,
        *,
        official: bool = False,
        users: int = 30,
        items: int = 40,
        ratings: int = 400,
        seed: int = 0,
        edit: Mapping[str, Edit] | None = None,
    ) -> Path: ...


class FakeCoat(Protocol):
    """Write fake Coat files below `folder` and let the loader trust their checksums; returns `folder`."""

    def __call__(
        self,
        folder: Path,
        *,
        users: int = 12,
        items: int = 15,
        seed: int = 0,
        edit: Mapping[str, Edit] | None = None,
    ) -> Path: ...


@dataclass(frozen=True)
class _Movies:
    ratings: list[tuple[int, int, int, int]]
    people: list[tuple[int, int, str, str, str]]
    films: list[tuple[int, str, int | None, list[str]]]


def _movies(users: int, items: int, count: int, seed: int) -> _Movies:
    """Popular items are rated more often and higher, by users of different activity: as self-selection does."""
    rng = np.random.default_rng(seed)
    quality, mood = rng.normal(size=items), rng.normal(size=users)
    pull = np.exp(0.8 * quality[None, :] + 0.5 * mood[:, None]).ravel()
    codes = rng.choice(users * items, size=count, replace=False, p=pull / pull.sum())
    taste = 3.3 + 0.7 * quality[codes % items] + 0.3 * mood[codes // items] + rng.normal(size=count)
    stars = np.clip(np.round(taste), 1, 5).astype(int)
    ratings = [
        (int(c // items) + 1, int(c % items) + 1, int(r), 880_000_000 + int(t))
        for c, r, t in zip(codes, stars, rng.integers(10_000_000, size=count), strict=True)
    ]
    people = [
        (u, int(rng.integers(15, 70)), "MF"[int(rng.integers(2))], ("writer", "student")[u % 2], f"{10000 + u}")
        for u in range(1, users + 1)
    ]
    films: list[tuple[int, str, int | None, list[str]]] = []
    for item in range(1, items + 1):
        chosen = sorted(rng.choice(np.arange(1, len(GENRES)), size=1 + item % 3, replace=False))
        films.append((item, f"Café {item}, The", int(rng.integers(1935, 1999)), [GENRES[k] for k in chosen]))
    films[1] = (2, "unkonwn", None, ["unknown"])
    return _Movies(ratings, people, films)


def _recbole(movies: _Movies) -> dict[str, bytes]:
    inter = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    inter += ["\t".join(map(str, row)) for row in movies.ratings]
    user = ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
    user += ["\t".join(map(str, row)) for row in movies.people]
    item = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    item += [f"{k}\t{title}\t{year or 'unkonwn'}\t{' '.join(genres)}" for k, title, year, genres in movies.films]
    files = {"ml-100k.inter": inter, "ml-100k.user": user, "ml-100k.item": item}
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in files.items()}


def _official(movies: _Movies) -> dict[str, bytes]:
    item = []
    for number, title, year, genres in movies.films:
        titled, released = ("unknown", "") if year is None else (f"{title} ({year})", f"01-Jan-{year}")
        flags = "|".join(str(int(genre in genres)) for genre in GENRES)
        item.append(f"{number}|{titled}|{released}||http://us.imdb.com/{number}|{flags}")
    files = {
        "u.data": ["\t".join(map(str, row)) for row in movies.ratings],
        "u.user": ["|".join(map(str, row)) for row in movies.people],
        "u.item": item,
    }
    return {name: ("\n".join(lines) + "\n").encode("latin-1") for name, lines in files.items()}


def _write(folder: Path, files: Mapping[str, bytes], edit: Mapping[str, Edit] | None) -> dict[str, str]:
    edits = dict(edit or {})
    sums = {}
    for name, content in files.items():
        if name in edits:
            content = edits.pop(name)(content.decode("latin-1")).encode("latin-1")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    assert not edits, f"no such fake file: {sorted(edits)}"
    return sums


@pytest.fixture
def fake_ml100k(monkeypatch: pytest.MonkeyPatch) -> FakeML100K:
    """ML-100K files of either format: `fake_ml100k(folder, official=...)` returns the folder to load from."""

    def write(
        folder: Path,
        *,
        official: bool = False,
        users: int = 30,
        items: int = 40,
        ratings: int = 400,
        seed: int = 0,
        edit: Mapping[str, Edit] | None = None,
    ) -> Path:
        movies = _movies(users, items, ratings, seed)
        name = "OFFICIAL" if official else "RECBOLE"
        sums = _write(folder / "ml-100k", _official(movies) if official else _recbole(movies), edit)
        monkeypatch.setattr(ml100k, name, dataclasses.replace(getattr(ml100k, name), files=sums))
        return folder

    return write


@pytest.fixture
def newcomer(fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new user's folder, with a small ML-100K where the data are kept."""
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=60, items=110, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake_coat(monkeypatch: pytest.MonkeyPatch) -> FakeCoat:
    """Coat files: `fake_coat(folder)` returns the folder to load from."""
    user_map = ["gender:men", "gender:women", "age:under 20", "age:over 20", "location:north", "location:south"]
    user_map += ["fashion interest:never", "fashion interest:often"]
    item_map = ["gender:men", "gender:women", "jacket type:parka", "jacket type:fleece", "color:black", "color:red"]
    item_map += ["onfrontpage:yes", "onfrontpage:no"]

    def write(
        folder: Path,
        *,
        users: int = 12,
        items: int = 15,
        seed: int = 0,
        edit: Mapping[str, Edit] | None = None,
    ) -> Path:
        rng = np.random.default_rng(seed)
        stars = rng.integers(1, 6, size=(users, items))
        shown = stars * (rng.random(stars.shape) < 0.15 * stars)
        uniform = np.zeros_like(stars)
        for row in uniform:
            row[rng.choice(items, size=4, replace=False)] = rng.integers(1, 6, size=4)

        def one_hot(rows: int) -> np.ndarray:
            return np.hstack([np.eye(2, dtype=int)[rng.integers(2, size=rows)] for _ in range(4)])

        def text(matrix: np.ndarray) -> bytes:
            return "".join(" ".join(map(str, row)) + " \n" for row in matrix).encode()

        files = {
            "train.ascii": text(shown),
            "test.ascii": text(uniform),
            "user_item_features/user_features.ascii": text(one_hot(users)),
            "user_item_features/user_features_map.txt": "\n".join(user_map).encode(),
            "user_item_features/item_features.ascii": text(one_hot(items)),
            "user_item_features/item_features_map.txt": "\n".join(item_map).encode(),
        }
        sums = _write(folder / "coat", files, edit)
        monkeypatch.setattr(coat, "COAT", dataclasses.replace(coat.COAT, files=sums))
        return folder

    return write


@pytest.fixture
def set_line() -> Callable[[int, str], Edit]:
    """An edit that replaces line `number` (from 1) of a fake file."""

    def make(number: int, line: str) -> Edit:
        def edit(text: str) -> str:
            lines = text.split("\n")
            lines[number - 1] = line
            return "\n".join(lines)

        return edit

    return make


@pytest.fixture
def linear_dml_columns(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, np.ndarray]]:
    """The X, W and groups of each fit of EconML's LinearDML from now on, as arrays."""
    import econml.dml

    seen: list[dict[str, np.ndarray]] = []
    fit = econml.dml.LinearDML.fit

    @functools.wraps(fit)
    def note_and_fit(self: Any, outcome: Any, treatment: Any, **columns: Any) -> Any:
        seen.append({name: np.array(held) for name, held in columns.items() if held is not None})
        return fit(self, outcome, treatment, **columns)

    monkeypatch.setattr(econml.dml.LinearDML, "fit", note_and_fit)
    return seen


@pytest.fixture(autouse=True)
def no_wandb_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of W&B, and nothing of it written outside the test's folder."""
    for name in ("API_KEY", "MODE", "DIR", "RUN_ID", "RUN_GROUP", "TAGS", "PROJECT", "ENTITY", "NAME", "JOB_TYPE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def wandb_spec_of(tmp_path: Path, fake_coat: FakeCoat) -> Callable[..., ExperimentConfig]:
    """Make small jobs that log to W&B: `wandb_spec_of(*overrides)`."""
    data = fake_coat(tmp_path / "data")

    def make(*more: str) -> ExperimentConfig:
        overrides = ["dataset=coat", "objective=ips", "encoder=mf", "trainer.max_epochs=3", "trainer.progress=false"]
        overrides += [f"paths.data={data}", f"paths.cache={tmp_path / 'cache'}", f"paths.runs={tmp_path / 'runs'}"]
        overrides += [
            "evaluation.replicates=5",
            "selection.folds=1",
            "selection.candidates={optimizer.weight_decay:[0.1,1.0]}",
            "split.unseen=keep",
        ]
        return compose.validate_config(
            compose.compose_config(compose.normalise_overrides([*overrides, "logger=wandb", "sweep=s1", *more]))
        )

    return make
