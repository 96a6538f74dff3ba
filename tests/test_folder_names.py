"""Names of rows and sweeps are names of folders: short enough, below their folder, and no file of ours."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from causalrec.types import FolderName

NAMES: TypeAdapter[str] = TypeAdapter(FolderName)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("é" * 61, "at most 120 bytes"),
        ("x" * 121, "at most 120 bytes"),
        (".ledger", "no dot first"),
        ("..", "no dot first"),
        ("report.html", "ends as the name of a file does"),
        ("record.json", "ends as the name of a file does"),
    ],
)
def test_a_name_that_its_folder_cannot_have_is_refused(name: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        NAMES.validate_python(name)


@pytest.mark.parametrize("name", ["é" * 60, "mf-ips", "v1.0", "_x", "a=1+b"])
def test_any_other_name_stays(name: str) -> None:
    assert NAMES.validate_python(name) == name
