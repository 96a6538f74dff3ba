"""Learning-rate schedules by epoch for each role's optimizer, and callbacks: what a fit meets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from causalrec.config.component import validate_component
from causalrec.errors import RequestError
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.training.callback import AbstractCallback
from causalrec.training.scheduler import AbstractScheduler, ConstantRate, Cosine, LinearWarmup
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.trainer import TrainerSettings
from tests.training import test_stacked
from tests.training.test_stacked import task

TRAINER = {"_target_": "causalrec.training.trainer.TrainerSettings"}
RATES: list[list[float]] = []


class Rates(AbstractCallback):
    """Notes each optimizer's rate as an epoch begins."""

    def __init__(self, *, every: int = 1) -> None:
        self.every = every

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        RATES.append([float(each.param_groups[0]["lr"]) for each in trainer.optimizers])


class Other:
    """No callback."""


def rates_of(folder: Path, scheduler: AbstractScheduler) -> list[list[float]]:
    RATES.clear()
    settings = TrainerSettings(progress=False, max_epochs=4, patience=4, callbacks=(Rates(),))
    task(folder, DRJL(), trainer=settings, scheduler=scheduler).fit()
    return list(RATES)


def test_rates_move_by_epoch_in_the_optimizer_of_every_role(tmp_path: Path) -> None:
    expected = {
        ConstantRate(): [0.05] * 4,
        Cosine(least_lr=0.01): [0.01 + 0.02 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)],
        LinearWarmup(warmup_epochs=2, first_share=0.5): [0.025, 0.0375, 0.05, 0.05],
    }
    for k, (scheduler, rates) in enumerate(expected.items()):
        epoch_rates = rates_of(tmp_path / str(k), scheduler)
        assert [len(each) for each in epoch_rates] == [2] * 4
        for role in range(2):
            assert [each[role] for each in epoch_rates] == pytest.approx(rates)


def test_a_schedule_makes_another_fit_and_trains_alone(tmp_path: Path) -> None:
    plain = task(tmp_path / "plain", DRJL(), epochs=3)
    moved = task(tmp_path / "moved", DRJL(), epochs=3, scheduler=Cosine())
    assert test_stacked.largest(plain.fit().state, moved.fit().state) > 1e-4
    assert reason_to_fit_alone(plain) is None and reason_to_fit_alone(moved) == "scheduler=Cosine"
    settings = TrainerSettings(progress=False, callbacks=(Rates(),))
    assert reason_to_fit_alone(task(tmp_path, DRJL(), trainer=settings)) == "trainer.callbacks"


def test_callbacks_are_components_within_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALREC_PACKAGES", __name__.split(".")[0])
    node = {"_target_": f"{__name__}.Rates", "every": 3}
    built = validate_component("trainer", {**TRAINER, "callbacks": [node, node]})
    settings = built.build()
    assert [type(callback).__name__ for callback in settings.callbacks] == ["Rates", "Rates"]
    assert settings.callbacks[0].every == 3 and settings.callbacks[0] is not settings.callbacks[1]
    assert json.loads(json.dumps(built.to_dict()["callbacks"])) == [node, node]
    assert validate_component("trainer", {**TRAINER, "callbacks": []}).build().callbacks == ()
    with pytest.raises(RequestError, match=r"trainer\.callbacks\.1\._target_=.*Other: expected tuple"):
        validate_component("trainer", {**TRAINER, "callbacks": [node, {"_target_": f"{__name__}.Other"}]})
    with pytest.raises(RequestError, match=r"trainer\.callbacks\.0\.evry: unknown key; did you mean 'every'"):
        validate_component("trainer", {**TRAINER, "callbacks": [{"_target_": f"{__name__}.Rates", "evry": 3}]})
    with pytest.raises(RequestError, match=r"trainer\.callbacks\.0\._target_=os\.Rates: only classes of"):
        validate_component("trainer", {**TRAINER, "callbacks": [{"_target_": "os.Rates"}]})


def test_what_callbacks_are_tells_fits_apart(tmp_path: Path) -> None:
    reprs = {repr(TrainerSettings(callbacks=(Rates(every=n),))) for n in (1, 1, 2)}
    assert len(reprs) == 2 and "0x" not in "".join(reprs)
