"""Where YAML lies: our own, inside the wheel or beside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def package_folder(name: Literal["conf", "experiments"]) -> Path:
    """Return the folder that travels inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parents[1] / name
    return inside if inside.is_dir() else Path(__file__).parents[2] / name


def component_names(group: str, *folders: Path) -> list[str]:
    """Return the names that choose a component of a group, of our own and of further folders.

    >>> component_names("learner")[:2]
    ['boosted_regression', 'causal_forest_dml']
    """
    roots = (package_folder("conf"), *folders)
    return sorted({path.stem for root in roots for path in (root / group).glob("*.yaml")})
