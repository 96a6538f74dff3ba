"""No account of W&B, and a small job that logs to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, and nothing written outside the test's folder."""
    for name in ("API_KEY", "MODE", "DIR", "RUN_ID", "RUN_GROUP", "TAGS", "PROJECT", "ENTITY", "NAME", "JOB_TYPE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def spec_of(tmp_path: Path, fake_coat: Callable[..., Path]) -> Callable[..., ExperimentConfig]:
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
        return validate_config(compose_config(normalise_overrides([*overrides, "logger=wandb", "sweep=s1", *more])))

    return make
