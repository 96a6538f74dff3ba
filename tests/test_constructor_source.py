"""Keyword names read from source text: what the classes themselves say, or None where only they can tell."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from causalrec.config.class_source import keyword_names
from causalrec.config.constructor_source import check_keys
from causalrec.errors import RequestError

BASE = """
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Base:
    seed: int = 0
"""
SOURCE = """
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Generic, TypeVar
import torch
from readlab.base import Base as Inherited

T = TypeVar("T")
raise RuntimeError("never imported")

class Plain:
    def __init__(self, handed_over, *, size=1, depth): ...

class Open:
    def __init__(self, *, size=1, **others): ...

class Nothing: ...

@dataclass(frozen=True)
class Mixed(Inherited, Generic[T]):
    handed_over: int
    fact: ClassVar[int] = 0
    _: KW_ONLY
    width: int = 3
    cached: int = field(init=False, default=0)

class Child(Mixed): ...

class OfAnother(torch.nn.Module): ...
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "readlab").mkdir()
    (tmp_path / "readlab" / "__init__.py").write_text("")
    (tmp_path / "readlab" / "base.py").write_text(BASE)
    (tmp_path / "readlab" / "source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CAUSALREC_PACKAGES", "readlab")
    for name in [name for name in sys.modules if name.startswith("readlab")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Plain", {"size", "depth"}),
        ("Nothing", set()),
        ("Mixed", {"seed", "width"}),
        ("Child", {"seed", "width"}),
        ("Open", None),
        ("OfAnother", None),
        ("Absent", None),
    ],
)
def test_names_are_those_of_the_source(name: str, expected: set[str] | None) -> None:
    assert keyword_names(f"readlab.source.{name}") == expected


def test_a_package_that_is_not_allowed_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALREC_PACKAGES", "")
    assert keyword_names("readlab.base.Base") is None


def test_components_inside_lists_and_mappings_are_checked_too() -> None:
    node = {"_target_": "readlab.source.Plain", "size": [{"_target_": "readlab.base.Base", "sed": 1}]}
    with pytest.raises(RequestError, match=r"^slice\.x\.size\.0\.sed: unknown key; did you mean 'seed'"):
        check_keys("slice", {"x": node})
