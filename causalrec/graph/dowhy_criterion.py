"""DoWhy's backdoor criterion, without the estimators and plots that its package imports before it answers anything."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("dowhy", "dowhy.utils")  # whose `__init__` imports statsmodels, matplotlib and every refuter: a second


@cache
def backdoor_criterion() -> Callable[..., dict[str, Any]]:
    """Return `dowhy.graph.check_valid_backdoor_set`; where DoWhy is not imported yet, the rest of it is not either."""
    if "dowhy" in sys.modules:
        return _import_criterion()
    with _packages_without_contents():
        return _import_criterion()


def _import_criterion() -> Callable[..., dict[str, Any]]:
    criterion: Callable[..., dict[str, Any]] = importlib.import_module("dowhy.graph").check_valid_backdoor_set
    return criterion


@contextmanager
def _packages_without_contents() -> Iterator[None]:
    """Put empty packages in the place of DoWhy's, in which its modules are found; whoever imports it later gets all."""
    spec = find_spec("dowhy")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("dowhy is not installed")
    folder = Path(spec.origin).parent.parent
    for name in PACKAGES:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder.joinpath(*name.split(".")))]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "dowhy"]:
            del sys.modules[name]
