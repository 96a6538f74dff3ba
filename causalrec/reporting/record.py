"""The run record: everything a table may be made from, written once and whole."""

from __future__ import annotations

import io
import json
import math
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from causalrec.data.files import replacing, write_text
from causalrec.errors import DataError
from causalrec.types import Doubles

PACKAGES = ("causalrec", "torch", "pytorch-lightning", "transformers", "torchmetrics", "dowhy", "scikit-learn", "numpy")


@dataclass(frozen=True)
class RunRecord:
    """One job's result. `scores` and `baselines` are lists of {metric, slice, value, low, high, n, model}; `command`
    runs it again; `engine`: alone, or packed with others. By role: `parameters` it owns, those of them that are
    `trainable`, and those of its pretrained `language_model`.
    """

    name: str
    config: dict[str, Any]
    versions: dict[str, str]
    git_sha: str | None
    data: dict[str, Any]
    audit: dict[str, Any]
    adjustment: dict[str, Any]
    overlap: dict[str, Any]
    selection: dict[str, Any]
    parameters: dict[str, int]
    scores: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    seconds: float
    peak_bytes: int
    status: Literal["done", "failed"]
    calibration: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    command: str = ""
    engine: str = "alone"
    trainable: dict[str, int] = field(default_factory=dict)
    language_model: dict[str, int] = field(default_factory=dict)

    def save(
        self,
        folder: Path,
        replicates: Mapping[str, Doubles] | None = None,
        jackknife: Mapping[str, Doubles] | None = None,
    ) -> Path:
        """Write `replicates.npz`, `jackknife.npz`, then `record.json`, each atomically: a record is whole or absent."""
        for name, arrays in (("replicates.npz", replicates), ("jackknife.npz", jackknife)):
            if arrays is not None:
                with replacing(folder / name) as temporary:
                    temporary.write_bytes(_packed(arrays))
        path = folder / "record.json"
        write_text(path, json.dumps(plain(vars(self)), indent=1, allow_nan=False) + "\n")
        return path


def _packed(arrays: Mapping[str, Doubles]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[arg-type]
    return out.getvalue()


def plain(value: Any) -> Any:
    """Return what JSON can hold: numbers of numpy as Python's, what is not finite as None, the rest as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


@dataclass(frozen=True)
class Saved:
    """A record read back, with what lies beside it by `model|slice|metric`: the bootstrap replicates [R] of its scores,
    and their leave-groups-out values [3,G] by user, item and row.
    """

    folder: Path
    record: dict[str, Any]
    replicates: dict[str, Doubles]
    jackknife: dict[str, Doubles] = field(default_factory=dict)


def read(path: Path) -> Saved:
    """Read one record; raise DataError on a truncated one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        name = record["name"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a whole record ({error}); remove it and run the job again") from error
    replicates, jackknife = (_sidecar(path.parent / f"{part}.npz", name) for part in ("replicates", "jackknife"))
    return Saved(path.parent, record, replicates, jackknife)


def _sidecar(path: Path, name: str) -> dict[str, Doubles]:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as kept:
            return {key: kept[key].astype(np.float64) for key in kept.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not readable ({error}); run {name} again") from error


def read_all(folder: Path) -> list[Saved]:
    """Read every record below a folder, in order of path; raise DataError where there is none."""
    paths = sorted(folder.rglob("record.json"))
    if not paths:
        raise DataError(f"{folder}: no record.json below it; run `causalrec train` or name another folder")
    return [read(path) for path in paths]


@cache
def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def git_sha() -> str | None:
    """Return the commit of the checkout the package lies in, with `+` for uncommitted changes; None outside one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True).stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return (commit + ("+" if ask("status", "--porcelain", "--untracked-files=no") else "")) or None
