"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.data.files import replace_atomically, require_writable, write_text
from causalrec.errors import RequestError


def test_a_block_that_raises_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_text(path, "old")
    with pytest.raises(ValueError, match="midway"), replace_atomically(path) as temporary:
        temporary.write_text("ne")
        raise ValueError("midway")
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    assert path.read_text() == "old"


def test_a_block_that_ends_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    with replace_atomically(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".json"
        temporary.write_text("é", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "é"
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_a_folder_below_a_regular_file_is_a_wrong_request_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    with pytest.raises(RequestError, match=r"paths\.runs=.*plain.*cannot be written.*name another folder") as caught:
        require_writable(tmp_path / "plain" / "runs", "paths.runs")
    assert caught.value.exit_code == 2


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b", "paths.runs")
    assert list((tmp_path / "a" / "b").iterdir()) == []
