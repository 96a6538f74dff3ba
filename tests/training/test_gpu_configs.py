"""Every trainer of conf/ composes, is checked, and becomes the Lightning Trainer its name promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning.trainer import Trainer

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, package_folder, validate_config
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import FitResult, TrainerSettings, seed_everything

NAMES = sorted(path.stem for path in (package_folder("conf") / "trainer").glob("*.yaml"))
BUILT = {  # strategy, precision, device, number of devices
    "cpu": ("SingleDeviceStrategy", "32-true", "cpu", 1),
    "smoke": ("SingleDeviceStrategy", "32-true", "cpu", 1),
    "bf16": ("SingleDeviceStrategy", "bf16-mixed", "cpu", 1),
    "ddp": ("DDPStrategy", "32-true", "cpu", 2),
    "gpu": ("SingleDeviceStrategy", "bf16-mixed", "cuda:0", 1),
    "gpu_ddp": ("DDPStrategy", "bf16-mixed", "cuda:0", 2),
    "fsdp": ("FSDPStrategy", "bf16-mixed", "cuda:0", 2),
}
GPU = [name for name, built in BUILT.items() if built[2] != "cpu"]


def settings(name: str) -> TrainerSettings:
    """The trainer as the command composes it."""
    overrides = normalise_overrides([f"trainer={name}", "trainer.progress=false"])
    return validate_config(compose_config(overrides)).trainer.build()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as building goes: nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("lightning_fabric.accelerators.cuda.num_cuda_devices", lambda: 2)
    monkeypatch.setattr("pytorch_lightning.accelerators.cuda.num_cuda_devices", lambda: 2)


def test_every_trainer_of_conf_is_here() -> None:
    assert set(BUILT) <= set(NAMES)


@pytest.mark.parametrize("name", sorted(BUILT))
def test_a_trainer_becomes_what_its_name_promises(name: str, two_gpus: None) -> None:
    trainer_settings = settings(name)
    trainer_settings.check()
    trainer: Trainer = trainer_settings.build(None, [])
    strategy = trainer.strategy
    summary = (type(strategy).__name__, trainer.precision, str(strategy.root_device), trainer.num_devices)
    assert summary == BUILT[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_repeats_no_name_of_another(name: str) -> None:
    folder = package_folder("conf") / "trainer"
    nodes = {other: yaml.safe_load((folder / f"{other}.yaml").read_text()) for other in NAMES}
    assert [other for other in NAMES if nodes[other] == nodes[name]] == [name]


@pytest.mark.parametrize("name", GPU)
def test_without_a_gpu_the_run_is_refused_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    code = cli.main(["train", f"trainer={name}", f"paths.runs={tmp_path}"])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "causalrec: trainer.accelerator='gpu': no GPU is visible here; use trainer=cpu"
    assert not list(tmp_path.rglob("record.json"))


def log_of(seed: int, rows: int) -> InteractionLog:
    rng = np.random.default_rng(seed)
    codes = rng.choice(600, rows, replace=False)
    likes = 1 / (1 + np.exp(-2 * np.random.default_rng(9).normal(size=20)[codes % 20]))
    outcome = (rng.random(rows) < likes).astype(np.float32)
    propensity = rng.uniform(0.3, 0.9, rows).astype(np.float32)
    return InteractionLog(codes % 20, np.ones(rows, np.int64), outcome, 20, codes // 20, 30, propensity=propensity)


def fit_small_model(trainer_settings: TrainerSettings, folder: Path) -> tuple[FitResult, set[torch.dtype]]:
    """A small fit of a two-role objective, and the types the products of its heads were computed in."""
    seed_everything(0)
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (30, 20)]
    features = FeatureMatrix(("a", "b"), ("user", "item"), *blocks, ())
    objective, inputs = DRJL(), EncoderInputs(30, 20, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=4), Dot(2)) for role in objective.roles}
    module = CausalRecModule(CausalModel(networks, "logit"), objective, AdamW(lr=0.05, weight_decay=0.1))
    types = set()

    def look(head: torch.nn.Module, given: object, logits: torch.Tensor) -> None:
        types.add((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)

    for network in networks.values():
        network.head.register_forward_hook(look)
    data = LogDataModule(log_of(0, 400), log_of(1, 150), features, Balanced(batch_size=64), objective.space, 0)
    return trainer_settings.fit(module, data, None, folder, "fit"), types


def test_bf16_trains_on_the_cpu_nearly_as_float32_does(tmp_path: Path) -> None:
    (half, types), (full, _) = (fit_small_model(settings(name), tmp_path / name) for name in ("bf16", "cpu"))
    assert types == {torch.bfloat16}, "autocast is on wherever a head computes"
    assert {value.dtype for value in half.state.values() if value.is_floating_point()} == {torch.float32}
    assert half.criterion == pytest.approx(full.criterion, rel=0.02)
    assert half.criterion != full.criterion
