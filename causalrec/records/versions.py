"""The code a result depends on: versions of packages, the commit of the checkout."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")  # runs no program
PACKAGES = ("causalrec", "torch", "pytorch-lightning", "transformers", "torchmetrics", "dowhy", "scikit-learn", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def git_sha() -> str | None:
    """Return the commit of the checkout the package lies in, with `+` for uncommitted changes; None outside one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        return subprocess.run([*GIT, "-C", str(root), *arguments], capture_output=True, text=True).stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return (commit + ("+" if ask("status", "--porcelain", "--untracked-files=no") else "")) or None
