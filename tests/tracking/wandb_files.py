"""Offline files of W&B, read back by W&B's own reader."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Read:
    """An offline file: its run record, the rows of its history, the last value of each summary key, its exit code."""

    folder: Path
    about: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        return {key: value for key, value in self.about["config"]["update"].items() if key != "_wandb"}

    def curve(self, name: str) -> dict[float, float]:
        return {row["epoch"]: row[name] for row in self.history if name in row}


def read_back(file: Path) -> Read:
    arguments = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    (about,) = [record["run"] for record in records if record["type"] == "run"]
    contents = Read(file.parent, about)
    for record in records:
        if record["type"] == "history":
            contents.history.append(record["history"]["item"])
        elif record["type"] == "summary":
            contents.summary |= record["summary"].get("update", {})
        elif record["type"] == "exit":
            contents.exit_code = record["exit"].get("exit_code", 0)
    return contents


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_mtime_ns)
