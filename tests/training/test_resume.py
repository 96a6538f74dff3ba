"""A fit stopped at any moment, by kill -9 too, goes on to the very bits of one that was never stopped."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import CausalRecError, DataError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training import best_checkpoint, checkpoint
from causalrec.training.checkpoint import CheckedIO, read_checkpoint, write_checkpoint
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import FitResult
from causalrec.training.fit_store import delete_fits
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import SGD, AbstractOptimizer, AdamW, AdamWRows
from causalrec.training.scheduler import AbstractScheduler, ConstantRate, Cosine
from causalrec.training.trainer import TrainerSettings, seed_everything

USERS, ITEMS, EPOCHS = 24, 18, 5
OBJECTIVES: dict[str, tuple[AbstractObjective, AbstractOptimizer, AbstractScheduler]] = {
    "naive": (Naive(), SGD(lr=0.3, weight_decay=1e-3), ConstantRate()),
    "dr_jl": (DRJL(), AdamW(lr=0.05, weight_decay=0.1), Cosine(least_lr=0.001)),
    "rows": (Naive(), AdamWRows(lr=0.05, weight_decay=2.0), Cosine(least_lr=0.001)),  # a batch reads some of the rows
}
STEPS = {"naive": 5, "dr_jl": 10, "rows": 5}  # of an epoch


class Stopped(Exception):
    """Ends a fit from within, as an interrupt would."""


@dataclass
class Death:
    """Counts the outcome network's passes by kind and stops at one of them; `left` < 0: never."""

    kind: str = "step"
    left: int = -1
    violent: bool = False
    steps: int = 0

    def count_pass(self, kind: str) -> None:
        self.steps += kind == "step"
        if kind == self.kind:
            self.left -= 1
            if self.left == 0 and self.violent:
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.left == 0:
                raise Stopped


class Noisy(nn.Module):
    """A head that draws from every random generator while it trains, and may be the death of its process."""

    vectorizable = False

    def __init__(self, death: Death | None) -> None:
        super().__init__()
        self.inner, self.death, self.drop = Dot(2), death, nn.Dropout(0.2)

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        if self.death is not None:
            self.death.count_pass("step" if self.training else "validation")
        noise = 0.1 * (random.random() + np.random.random()) if self.training else 0.0  # noqa: NPY002
        raw: Tensor = self.inner(self.drop(user), item, features) + noise
        return raw


def log_of(seed: int, rows: int) -> InteractionLog:
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    outcome = (rng.random(rows) < 0.5).astype(np.float32)
    propensity = rng.uniform(0.1, 0.9, rows).astype(np.float32)
    columns = codes % ITEMS, np.ones(rows, np.int64), outcome, ITEMS, codes // ITEMS, USERS
    return InteractionLog(*columns, propensity=propensity)


def fit_small_model(
    folder: Path, name: str, death: Death | None = None, logger: Any = None, rows: int = 150, seed: int = 0, **more: Any
) -> FitResult:
    objective, optimizer, scheduler = OBJECTIVES[name]
    seed_everything(seed)
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    networks = {
        role: RoleNetwork(MF(inputs, width=4), Noisy(death if role == "outcome" else None))  # type: ignore[arg-type]
        for role in objective.roles
    }
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (USERS, ITEMS)]
    features = FeatureMatrix(("a", "b"), ("user", "item"), *blocks, ())
    sampler = Balanced(batch_size=32 if objective.space == "logged" else 16)
    data = LogDataModule(log_of(0, rows), log_of(1, 60), features, sampler, objective.space, seed)
    epochs = more.pop("epochs", None)
    settings = TrainerSettings(**{"max_epochs": EPOCHS, "patience": EPOCHS, "progress": False, **more})
    module = CausalRecModule(CausalModel(networks, "logit"), objective, optimizer, scheduler=scheduler)
    return settings.fit(module, data, logger, folder, "test", epochs)


def assert_same(actual: FitResult, expected: FitResult) -> None:
    assert set(actual.state) == set(expected.state)
    for name, value in expected.state.items():
        assert torch.equal(actual.state[name], value), name
    ours, theirs = ((fit.best_epoch, fit.epochs, fit.curve) for fit in (actual, expected))
    assert ours == theirs
    assert repr(actual.criterion) == repr(expected.criterion)  # nan in a refit


@pytest.fixture(autouse=True)
def keep_the_seeds_of_others() -> Iterator[None]:
    states = checkpoint.random_states()
    yield
    checkpoint.set_random_states(states)


def interrupt_fit(folder: Path, name: str, kind: str, left: int, **settings: Any) -> None:
    with pytest.raises(Stopped):
        fit_small_model(folder, name, Death(kind, left), **settings)


# --- real kills: a nursery, started once, forks a process a fit


class Nursery:
    """A process that has imported everything, and forks a child for each fit it is asked for."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, **arguments: Any) -> int:
        """Fork a fit and return its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        pid = int(self._line())
        assert pid > 1  # 0 and -9 are exit codes, and would address every process of the group
        return pid

    def end(self) -> int:
        """Wait for the fit and return its exit code, negative for a signal."""
        return int(self._line())

    def run(self, **arguments: Any) -> int:
        self.start(**arguments)
        return self.end()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def serve() -> None:
    """Fork fits as lines of JSON ask for them."""
    for line in sys.stdin:
        if child := os.fork():
            print(child, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            os._exit(child_fit(**json.loads(line)))


def child_fit(folder: str, name: str, kind: str, left: int, pause: float = 0, space: int = 0, **settings: Any) -> int:
    death = Death(kind, left, violent=True)
    if kind == "save":
        real = os.fsync

        def count_files(handle: int) -> None:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                death.count_pass("save")
            real(handle)

        os.fsync = count_files  # type: ignore[assignment]
    if pause:
        step = Death.count_pass
        Death.count_pass = lambda self, kind: (time.sleep(pause), step(self, kind))[1]  # type: ignore[method-assign]
    if space:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (space, space))
    root = Path(folder)
    try:
        fit = fit_small_model(root, name, death, **settings)
    except DataError as error:
        (root / "error.txt").write_text(str(error))
        return 1
    summary = {"steps": death.steps, "criterion": fit.criterion, "best_epoch": fit.best_epoch, "epochs": fit.epochs}
    torch.save({"state": fit.state}, root / "result.pt")
    (root / "result.json").write_text(json.dumps({**summary, "curve": [dataclasses.astuple(p) for p in fit.curve]}))
    return 0


def result(folder: Path) -> tuple[FitResult, int]:
    """What a child came to, and how many steps it took for it."""
    from causalrec.training.fit_result import Epoch

    summary = json.loads((folder / "result.json").read_text())
    steps, curve = summary.pop("steps"), tuple(Epoch(*point) for point in summary.pop("curve"))
    state = torch.load(folder / "result.pt", weights_only=True)["state"]
    return FitResult(**summary, state=state, curve=curve), steps


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    server = Nursery()
    yield server
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(timeout=20) == 0


def kill_many_times(nursery: Nursery, folder: Path, name: str, kills: int, draw: random.Random) -> int:
    """Kill a fit `kills` times, a few steps, validations or saves further on; return the steps of the last process."""
    for _ in range(kills):
        kind = draw.choice(["step", "step", "step", "validation", "save"])
        left = draw.randint(2, 6) if kind == "step" else 1 if kind == "validation" else 2
        code = nursery.run(folder=str(folder), name=name, kind=kind, left=left, checkpoint_steps=2)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    else:
        assert nursery.run(folder=str(folder), name=name, kind="", left=-1, checkpoint_steps=2) == 0
    return result(folder)[1]


@pytest.mark.long
@pytest.mark.parametrize("name", OBJECTIVES)
def test_killed_at_random_moments_it_comes_to_the_same_bits(tmp_path: Path, nursery: Nursery, name: str) -> None:
    full_fit = fit_small_model(tmp_path / "whole", name)
    steps = kill_many_times(nursery, tmp_path / "cut", name, 5, random.Random(name))
    assert_same(result(tmp_path / "cut")[0], full_fit)
    assert 0 < steps < STEPS[name] * EPOCHS  # the last process had less to do than all of it


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_killed_from_outside_at_any_time_it_comes_to_the_same_bits(tmp_path: Path, nursery: Nursery, name: str) -> None:
    full_fit, draw, cut = fit_small_model(tmp_path / "whole", name), random.Random(name), tmp_path / "cut"
    codes = []
    for _ in range(12):
        pid = nursery.start(folder=str(cut), name=name, kind="", left=-1, checkpoint_steps=1, pause=0.1)
        time.sleep(draw.uniform(0.3, 1.0))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        codes.append(nursery.end())
    assert codes.count(-signal.SIGKILL) >= 2 and set(codes) <= {0, -signal.SIGKILL}
    assert nursery.run(folder=str(cut), name=name, kind="", left=-1) == 0
    assert_same(result(cut)[0], full_fit)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "around"),
    [("dr_jl", [3, 12]), pytest.param("naive", range(1, 12), marks=pytest.mark.long)],
)
def test_killed_at_every_step_and_validation_it_comes_to_the_same_bits(
    tmp_path: Path, nursery: Nursery, name: str, around: Sequence[int]
) -> None:
    full_fit = fit_small_model(tmp_path / "whole", name)
    for kind, left in [*(("step", left) for left in around), ("validation", 1), ("validation", 2)]:
        cut = tmp_path / f"{kind}-{left}"
        arguments = {"folder": str(cut), "name": name, "checkpoint_steps": 1}
        assert nursery.run(**arguments, kind=kind, left=left) == -signal.SIGKILL
        assert nursery.run(**arguments, kind="", left=-1) == 0
        resumed_fit, steps = result(cut)
        assert_same(resumed_fit, full_fit)
        done = left - 1 if kind == "step" else STEPS[name] * left - 1  # an epoch's last step waits for its validation
        assert steps == STEPS[name] * EPOCHS - done, (kind, left)


def test_a_process_killed_while_saving_leaves_the_earlier_checkpoint_whole(tmp_path: Path, nursery: Nursery) -> None:
    arguments = {"folder": str(tmp_path), "name": "dr_jl", "checkpoint_steps": 3}
    assert nursery.run(**arguments, kind="save", left=2) == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "resume.ckpt")["steps"] == 3
    assert len(list(tmp_path.glob(".resume.ckpt.*"))) == 1
    assert nursery.run(**arguments, kind="", left=-1) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if "result" not in path.name) == ["best.ckpt", "fit.json"]
    assert_same(result(tmp_path)[0], fit_small_model(tmp_path / "whole", "dr_jl"))


def test_where_no_more_can_be_written_one_line_names_the_file_and_the_earlier_one_stays(
    tmp_path: Path, nursery: Nursery
) -> None:
    interrupt_fit(tmp_path, "dr_jl", "step", 4, checkpoint_steps=3)
    before = (tmp_path / "resume.ckpt").read_bytes()
    arguments = {"folder": str(tmp_path), "name": "dr_jl", "kind": "", "left": -1, "checkpoint_steps": 3}
    assert nursery.run(**arguments, space=4096) == 1
    message = (tmp_path / "error.txt").read_text()
    assert message.startswith(f"{tmp_path / 'resume.ckpt'}: checkpoint cannot be written (File too large)")
    assert "\n" not in message
    assert (tmp_path / "resume.ckpt").read_bytes() == before
    assert not list(tmp_path.glob(".*"))
    assert nursery.run(**arguments) == 0
    assert_same(result(tmp_path)[0], fit_small_model(tmp_path / "whole", "dr_jl"))


# --- stopped from within


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("more", [{"patience": 1}, {"precision": "64-true"}, {"limit_batches": 3}, {"epochs": 4}])
def test_settings_hold_over_an_interruption(tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    full_fit = fit_small_model(tmp_path / "whole", name, **more)
    per_epoch = min(STEPS[name], more.get("limit_batches", 99))
    interrupt_fit(tmp_path / "cut", name, "step", per_epoch + 3, checkpoint_steps=1, **more)
    death = Death()
    assert_same(fit_small_model(tmp_path / "cut", name, death, checkpoint_steps=1, **more), full_fit)
    assert death.steps == per_epoch * full_fit.epochs - (per_epoch + 2)


def test_waiting_for_a_better_epoch_is_not_begun_anew(tmp_path: Path) -> None:
    full_fit = fit_small_model(tmp_path / "whole", "naive", patience=2, max_epochs=40)
    assert full_fit.best_epoch + 3 == full_fit.epochs < 40
    last = full_fit.epochs * STEPS["naive"]
    interrupt_fit(tmp_path / "cut", "naive", "step", last - 1, checkpoint_steps=1, patience=2, max_epochs=40)
    assert_same(fit_small_model(tmp_path / "cut", "naive", patience=2, max_epochs=40), full_fit)


def positions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[tuple[int, int]]:
    """Where a fit of two epochs of ten steps was saved: (epoch, steps)."""
    saves = []

    def note_save(path: Path, content: dict[str, Any]) -> None:
        if path.name == "resume.ckpt":
            saves.append((content["epoch"], content["steps"]))
        write_checkpoint(path, content)

    monkeypatch.setattr(checkpoint, "write_checkpoint", note_save)
    fit_small_model(tmp_path, "dr_jl", max_epochs=2, **settings)
    return saves


def test_it_is_saved_every_so_many_steps_and_after_validation_where_an_epoch_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert positions(tmp_path / "4", monkeypatch, checkpoint_steps=4) == [(0, 4), (0, 8), (1, 2), (1, 6)]
    assert positions(tmp_path / "5", monkeypatch, checkpoint_steps=5) == [(0, 5), (1, 0), (1, 5)]


def test_it_is_saved_when_the_seconds_have_gone_by_and_a_short_fit_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert positions(tmp_path / "default", monkeypatch) == []
    clock = iter(range(0, 10_000, 2))  # a look at it takes two seconds
    monkeypatch.setattr(best_checkpoint, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    assert positions(tmp_path / "often", monkeypatch, checkpoint_seconds=7) == [(0, 4)]  # saving took two seconds ...
    monkeypatch.setattr(best_checkpoint, "MAX_SAVE_SHARE", float("inf"))  # ... and may take a twentieth of the time
    every_fourth = [(0, 4), (0, 8), (1, 1), (1, 5), (1, 9)]  # after four looks: at each step and where an epoch begins
    assert positions(tmp_path / "share", monkeypatch, checkpoint_seconds=7) == every_fourth


def test_how_often_it_is_saved_changes_no_bit(tmp_path: Path) -> None:
    full_fit = fit_small_model(tmp_path / "whole", "dr_jl")
    assert_same(fit_small_model(tmp_path / "often", "dr_jl", checkpoint_seconds=0.0), full_fit)
    interrupt_fit(tmp_path / "cut", "dr_jl", "step", 14, checkpoint_steps=4)
    death = Death()
    assert_same(fit_small_model(tmp_path / "cut", "dr_jl", death, checkpoint_steps=7), full_fit)
    assert death.steps == STEPS["dr_jl"] * EPOCHS - 12


@pytest.mark.long
@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_go_on_to_the_same_bits(tmp_path: Path, name: str) -> None:
    both = {"strategy": "ddp", "devices": 2, "max_epochs": 3}
    full_fit = fit_small_model(tmp_path / "whole", name, **both)
    with pytest.raises(CausalRecError, match=r"^a rank failed: .*Stopped$"):
        fit_small_model(tmp_path / "cut", name, Death("step", STEPS[name] + 4), checkpoint_steps=2, **both)
    saved = read_checkpoint(tmp_path / "cut" / "resume.ckpt")
    assert (saved["epoch"], saved["steps"]) == (1, 2 if name == "dr_jl" else 3)
    assert float(saved["ranks"][0]["loss"]) != float(saved["ranks"][1]["loss"])
    assert_same(fit_small_model(tmp_path / "cut", name, checkpoint_steps=2, **both), full_fit)
    assert_same(
        fit_small_model(tmp_path / "cut", name, Death("step", 1), **both), full_fit
    )  # finished: not trained again


# --- what is not whole, or of another fit


def flip_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [flip_byte, truncate, empty])
@pytest.mark.parametrize("victim", ["resume.ckpt", "best.ckpt"])
def test_a_damaged_file_is_told_in_one_line_and_the_fit_starts_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, victim: str, harm: Any
) -> None:
    full_fit = fit_small_model(tmp_path / "whole", "naive")
    if victim == "resume.ckpt":
        interrupt_fit(tmp_path / "cut", "naive", "step", 8, checkpoint_steps=1)
    else:
        fit_small_model(tmp_path / "cut", "naive")
    harm(tmp_path / "cut" / victim)
    death = Death()
    with caplog.at_level(logging.WARNING):
        second_fit = fit_small_model(tmp_path / "cut", "naive", death)
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("causalrec")]
    assert str(tmp_path / "cut" / victim) in message and message.endswith("; starting this fit again")
    assert "\n" not in message
    assert death.steps == STEPS["naive"] * EPOCHS
    assert_same(second_fit, full_fit)


def test_a_finished_fit_is_not_trained_again(tmp_path: Path) -> None:
    full_fit, death = fit_small_model(tmp_path, "dr_jl"), Death()
    shown = json.loads((tmp_path / "fit.json").read_text())
    assert (shown["criterion"], shown["best_epoch"], shown["epochs"]) == (
        full_fit.criterion,
        full_fit.best_epoch,
        EPOCHS,
    )
    assert shown["curve"] == [dataclasses.asdict(point) for point in full_fit.curve]
    assert_same(fit_small_model(tmp_path, "dr_jl", death), full_fit)
    assert death.steps == 0
    refit = fit_small_model(tmp_path / "refit", "dr_jl", epochs=2)
    assert np.isnan(refit.criterion) and refit.curve[0].criterion is None
    assert_same(fit_small_model(tmp_path / "refit", "dr_jl", death, epochs=2), refit)
    assert death.steps == 0


CHANGES: list[dict[str, Any]] = [{"rows": 151}, {"seed": 1}, {"max_epochs": 4}, {"epochs": 3}, {"precision": "64-true"}]


@pytest.mark.parametrize("more", CHANGES, ids=str)
@pytest.mark.parametrize("finished", [True, False])
def test_files_of_another_fit_are_not_used(tmp_path: Path, more: dict[str, Any], finished: bool) -> None:
    if finished:
        fit_small_model(tmp_path / "cut", "naive")
    else:
        interrupt_fit(tmp_path / "cut", "naive", "step", 8, checkpoint_steps=1)
    death = Death()
    fresh_fit = fit_small_model(tmp_path / "cut", "naive", death, **more)
    assert death.steps >= STEPS["naive"] * 3
    assert_same(fresh_fit, fit_small_model(tmp_path / "whole", "naive", **more))


def test_a_forgotten_fit_starts_from_its_beginning(tmp_path: Path) -> None:
    fit_small_model(tmp_path / "wd=0.1", "naive")
    interrupt_fit(tmp_path / "wd=1", "naive", "step", 8, checkpoint_steps=1)
    (tmp_path / "notes.txt").write_text("mine")
    delete_fits(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]
    death = Death()
    fit_small_model(tmp_path / "wd=0.1", "naive", death)
    assert death.steps == STEPS["naive"] * EPOCHS


def test_a_checkpoint_holds_no_code_and_comes_from_no_address(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "evil.ckpt", {"path": tmp_path})  # a Path needs a class to be read
    with pytest.raises(DataError, match="holds more than tensors and plain values"):
        CheckedIO().load_checkpoint(tmp_path / "evil.ckpt", weights_only=False)
    with pytest.raises(DataError, match="local files only"):
        CheckedIO().load_checkpoint("https://example.org/evil.ckpt")


# --- loggers


def curve_lines(folder: Path) -> list[str]:
    return (folder / "metrics.csv").read_text().splitlines()


def test_the_curve_of_a_resumed_fit_is_complete_and_that_of_a_finished_one_is_told_again(tmp_path: Path) -> None:
    def logger(name: str) -> CSVLogger:
        return CSVLogger(tmp_path / name, name="", version="")

    fit_small_model(tmp_path / "whole", "naive", logger=logger("whole-curve"))
    cut = {"name": "naive", "checkpoint_steps": 1}
    with pytest.raises(Stopped):
        fit_small_model(tmp_path / "cut", death=Death("step", 13), logger=logger("cut-curve"), **cut)
    assert len(curve_lines(tmp_path / "cut-curve")) == 1 + 2
    for _ in ("resumed", "finished"):
        fit_small_model(tmp_path / "cut", logger=logger("cut-curve"), **cut)
        assert curve_lines(tmp_path / "cut-curve") == curve_lines(tmp_path / "whole-curve")
    assert len(curve_lines(tmp_path / "whole-curve")) == 1 + EPOCHS


if __name__ == "__main__":
    serve()
