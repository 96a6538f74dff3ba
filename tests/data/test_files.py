"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from causalrec.cli import main
from causalrec.data.disk_errors import disk_problem
from causalrec.data.files import replace_atomically, require_writable, write_text
from causalrec.data.regular_files import read_bytes
from causalrec.errors import DataError, RequestError


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


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_what_the_umask_leaves_and_an_old_one_keeps_its_mode(umask: int, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("old")
    private.chmod(0o600)
    before = os.umask(umask)
    try:
        write_text(tmp_path / "new", "text")
        write_text(private, "text")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "new"), mode(private)) == (0o666 & ~umask, 0o600)


def test_a_document_is_written_through_its_link_and_a_file_of_ours_replaces_one(tmp_path: Path) -> None:
    page, link = tmp_path / "page.md", tmp_path / "link.md"
    page.write_text("old")
    link.symlink_to("page.md")
    write_text(link, "new", through_link=True)
    assert link.is_symlink() and page.read_text() == "new"
    write_text(link, "ours")
    assert not link.is_symlink() and page.read_text() == "new"


@pytest.mark.parametrize("target", ["gone.md", "link.md"])
def test_a_link_that_leads_nowhere_is_an_error_that_names_it(target: str, tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to(target)
    with pytest.raises(OSError) as caught:
        write_text(link, "new", through_link=True)
    assert str(link) in str(disk_problem(caught.value)) or target in str(disk_problem(caught.value))
    assert [path.name for path in tmp_path.iterdir()] == ["link.md"]


def test_a_name_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 251 + ".txt"), "text")
    with pytest.raises(OSError, match="name too long"):
        write_text(tmp_path / ("x" * 256), "text")


class SafetensorError(Exception):
    """As safetensors tells a full disk."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 512 vs 456"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        ValueError("could not write: File too large (os error 27)"),
    ],
)
def test_a_full_disk_names_the_file_whoever_tells_it(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(OSError) as caught, replace_atomically(path) as temporary:
        temporary.write_text("half")
        raise error
    line = disk_problem(caught.value) or ""
    assert line.startswith(f"{path}: no space left") and "; free some space or name another folder" in line
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    assert disk_problem(ValueError("no")) is None
    with pytest.raises(DataError, match="no"), replace_atomically(tmp_path / "x"):
        raise DataError("no") from OSError(errno.ENOSPC, "full")


def test_an_error_of_the_disk_is_one_line_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "page.html"))

    monkeypatch.setattr("causalrec.commands.parser._report", fail)
    assert main(["report", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"causalrec: {tmp_path / 'page.html'}: read-only file system; make it writable")
    assert err.count("\n") == 1


def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a pipe, not a file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file"):
        read_bytes(Path("/dev/zero"))
    (tmp_path / "long").write_bytes(b"12345")
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "long", 4)
