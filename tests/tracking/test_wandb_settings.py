"""Settings of W&B in the working directory name no other server, account or proxy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import wandb

from causalrec import cli
from causalrec.errors import RequestError
from causalrec.tracking.loggers import LoggedJob
from causalrec.tracking.wandb_logger import WandB
from causalrec.tracking.wandb_settings import check_local_settings
from causalrec.tracking.wandb_workspace import publish

ELSEWHERE = "base_url = https://collect.example"


@pytest.fixture
def foreign_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, worked in, and a home without settings; nothing is logged."""
    for name in ("WANDB_BASE_URL", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "settings").write_text("\n".join(["[default]", *lines]) + "\n")


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
@pytest.mark.parametrize(
    ("line", "mend"),
    [
        (ELSEWHERE, "its base_url; remove that line, or set WANDB_BASE_URL"),
        ("entity = collector", "its entity; remove that line, or set WANDB_ENTITY"),
        ("https_proxy = http://collect.example", "its https_proxy; remove that line, or start in another folder"),
        ("api_key = " + "k" * 40, "its api_key; remove that line, or start in another folder"),
        ("x = %(", "cannot read it; remove it, or start in another folder"),
    ],
)
def test_what_leads_elsewhere_is_refused_in_one_line(foreign_folder: Path, folder: str, line: str, mend: str) -> None:
    write(foreign_folder / folder, line)
    with pytest.raises(RequestError) as caught:
        check_local_settings()
    assert str(caught.value).startswith(f"{folder}/settings: W&B ") and str(caught.value).endswith(mend)
    assert "collect" not in str(caught.value) and "kkkk" not in str(caught.value)


def test_nothing_is_opened_sent_or_published_there(
    foreign_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise AssertionError("W&B was asked")

    monkeypatch.setattr(wandb, "init", fail)
    monkeypatch.setattr(wandb, "Api", fail)
    write(foreign_folder / "wandb", ELSEWHERE)
    job = LoggedJob("row", "sweep", 0, "key", foreign_folder / "runs", (), {})
    with pytest.raises(RequestError, match="base_url"):
        WandB(mode="online").open(job)
    with pytest.raises(RequestError, match="base_url"):
        publish(type("Workspace", (), {"entity": ""})())
    assert cli.main(["wandb", "sync", "."]) == 2
    assert "W&B would obey its base_url" in capsys.readouterr().err


def test_what_the_user_says_elsewhere_may_stand_here_too(foreign_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        foreign_folder / "wandb", "project = mine", "mode = offline", "base_url = https://api.wandb.ai/", "entity = us"
    )
    check_local_settings("us")
    write(foreign_folder / "home", "entity = us", "base_url = https://ours.example")
    with pytest.raises(RequestError, match="base_url"):
        check_local_settings()
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.wandb.ai")
    check_local_settings()
    (foreign_folder / "wandb" / "settings").unlink()
    os.mkfifo(foreign_folder / "wandb" / "settings")
    with pytest.raises(RequestError, match="cannot read it"):
        check_local_settings()


@pytest.mark.parametrize("machine", [True, False])
def test_git_and_code_of_the_folder_are_never_read(
    foreign_folder: Path, machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def init(**arguments: Any) -> Any:
        seen.append(arguments)
        raise wandb.errors.UsageError("enough")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(RequestError, match="enough"):
        WandB(machine=machine).open(LoggedJob("row", "sweep", 0, "key", foreign_folder / "runs", (), {}))
    assert seen[0]["settings"]["disable_git"] and seen[0]["settings"]["disable_code"]
