"""A table that YAML names is read from its folder: no hidden file, none of the system, in an encoding of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from causalrec.data.datasets.csv import CsvTables
from causalrec.data.readable_paths import require_readable, why_closed
from causalrec.data.tabular.table_config import EdgeTableConfig, EntityTableConfig
from causalrec.data.vectors import VectorFile
from causalrec.errors import RequestError

RATED = "user,item,rating\na,x,1\nb,y,5\n"
SECRET = "aws_secret_access_key"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a secret, and a folder of data in it, hidden as the default is."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(SECRET)
    data = tmp_path / ".cache" / "data"
    (data / "csv").mkdir(parents=True)
    (data / "csv" / "interactions.csv").write_text(RATED)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "work")
    return data


def refusal(root: Path, **keys: Any) -> str:
    """The message by which every way to read the tables is refused."""
    tables, messages = CsvTables(threshold=None, **keys), set()
    for read in (tables.check_files, tables.load, tables.problems, tables.identity):
        with pytest.raises(RequestError) as caught:
            read(root)
        messages.add(str(caught.value))
    (message,) = messages
    assert "\n" not in message and SECRET not in message
    return message


def every_file(name: str) -> list[dict[str, Any]]:
    """The ways to name a raw file."""
    table, edges = EntityTableConfig(file=name, id="user"), EdgeTableConfig(file=name)
    return [
        {"interactions": name},
        {"interactions": ["interactions.csv", name]},
        {"randomised_interactions": name},
        {"users": table},
        {"items": EntityTableConfig(file=name, id="item")},
        {"edges": edges},
        {"vectors": {"image": VectorFile(file=name)}},
    ]


@pytest.mark.parametrize("number", range(7))
def test_every_raw_file_lies_below_its_folder_and_is_not_hidden(root: Path, number: int) -> None:
    (root / "csv" / "link.csv").symlink_to(root.parents[1] / ".aws" / "credentials")
    (root / "csv" / "system.csv").symlink_to("/etc/passwd")
    for name in ("../../../.aws/credentials", "/proc/self/environ", "a/../../b", str(root / "csv" / "a"), ""):
        if number == 6 and name.startswith((".", "/")):  # vectors may stand elsewhere, as `dataset.folder` may
            continue
        if name or number in (1, 6):  # elsewhere an empty name is none
            assert "lies below its folder; set dataset.folder to" in refusal(root, **every_file(name)[number])
    hidden = refusal(root, **every_file("link.csv")[number])
    assert "leads to " in hidden and "is hidden (.aws), and is not read as data; copy it, or set paths.data" in hidden
    assert "is a file of the operating system, " in refusal(root, **every_file("system.csv")[number])
    assert "is hidden (.env), " in refusal(root, **every_file(".env")[number])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../../.aws/credentials", "is hidden (.aws), and is not read as data"),
        ("/proc/self/environ", "is a file of the operating system"),
        ("/etc/passwd", "is a file of the operating system"),
    ],
)
def test_vectors_elsewhere_are_neither_hidden_nor_of_the_system(root: Path, name: str, expected: str) -> None:
    assert expected in refusal(root, **every_file(name)[6])


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("/proc/self", "environ", "is a file of the operating system"),
        ("/etc", "passwd", "is a file of the operating system"),
        ("/dev", "stdin", ""),
        ("../.aws", "credentials", "is hidden (.aws)"),
        ("../../.aws", "credentials", ""),
        ("./../there/../.aws", "credentials", "is hidden (.aws)"),
        ("x/../../../.aws", "credentials", "is hidden (.aws)"),
        ("/proc/self/cwd/../.aws", "credentials", "is hidden (.aws)"),
        ("../.cache/huggingface", "token", "is hidden (.cache)"),
        ("csv\0", "a", "cannot be followed"),
    ],
)
def test_a_folder_is_no_hidden_one_and_none_of_the_system(root: Path, folder: str, name: str, expected: str) -> None:
    if expected:
        assert expected in refusal(root, folder=folder, interactions=name)
    else:
        with pytest.raises(Exception, match=r"no such folder|operating system|is hidden|no file"):
            CsvTables(threshold=None, folder=folder, interactions=name).check_files(root)


def test_what_the_user_chose_to_work_in_is_read(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CsvTables(threshold=None).load(root).logged) == 2
    hidden = tmp_path / ".work" / "tables"
    hidden.mkdir(parents=True)
    (hidden / "log.csv").write_text(RATED)
    (tmp_path / "open").symlink_to(root / "csv")
    assert require_readable(tmp_path / "open", "interactions.csv", root) == tmp_path / "open" / "interactions.csv"
    assert why_closed(hidden / "log.csv", root) == "is hidden (.work)"
    monkeypatch.chdir(hidden)
    assert why_closed(hidden / "log.csv", root) is None
    monkeypatch.chdir(tmp_path)
    assert why_closed(hidden / "log.csv", hidden) is None
    assert why_closed(Path("/dev/shm/data/log.csv"), Path("/dev/shm/data")) is None
    assert why_closed(Path("/etc/passwd"), Path("/")) == "is a file of the operating system"


@pytest.mark.parametrize(
    "encoding", ["utf-16-le", "utf_32_be", "utf-7", "rot13", "cp037", "hz", "idna", "x\0", "base64"]
)
@pytest.mark.parametrize("table", ["", "users.", "items.", "edges."])
def test_an_encoding_in_which_ascii_reads_as_something_else_is_refused(encoding: str, table: str) -> None:
    users, items = (EntityTableConfig(file="x", id="x", encoding=encoding) for _ in range(2))
    keys: dict[str, Any] = {"": {"encoding": encoding}, "users.": {"users": users}, "items.": {"items": items}}
    keys["edges."] = {"edges": EdgeTableConfig(file="x", encoding=encoding)}
    with pytest.raises(RequestError) as caught:
        CsvTables(threshold=None, **keys[table])
    assert str(caught.value).startswith(f"dataset.{table}encoding={encoding!r}: no encoding that tables are read in; ")


@pytest.mark.parametrize(
    "encoding",
    [
        *("UTF8", "utf-8-sig", "utf16", "utf-32", "latin-1", "l9", "iso-8859-2", "cp1252", "windows-1251", "mac_roman"),
        *("gbk", "gb18030", "gb2312", "big5", "shift_jis", "cp932", "euc_jp", "euc-kr", "koi8-r", "koi8_u", "ascii"),
    ],
)
def test_encodings_of_text_are_read(root: Path, encoding: str) -> None:
    (root / "csv" / "interactions.csv").write_bytes(RATED.encode(encoding))
    assert len(CsvTables(threshold=None, encoding=encoding).load(root).logged) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_text_of_two_bytes_begins_with_its_mark(root: Path, encoding: str) -> None:
    (problem,) = CsvTables(threshold=None, encoding=encoding).problems(root)
    assert f"line 1: not {encoding} text (it does not begin with its mark); set another encoding" in str(problem)
