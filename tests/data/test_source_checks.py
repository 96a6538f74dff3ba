"""What a source's YAML names stays below its folder, comes encrypted, or is a wheel of an index."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from causalrec.config.component import validate_component
from causalrec.data import archives, sources
from causalrec.data.archives import extract
from causalrec.data.read_only import read_only
from causalrec.data.sources import Source, download_wheel
from causalrec.errors import DataError, RequestError

LEAVING = ["/etc/passwd", "../x", "a/../../x", "~/x", "a\\..\\x", "a\nb", "a\x00b", "", ".", "./a", "a//b", "a/"]
WHEELS = [
    *("./evil", "/evil", "evil", "evil>=1", "evil==1.*", "evil===1", "evil==1; python_version>'3'", "evil[x]==1"),
    *("evil @ https://x/evil.whl", "https://x/evil-1.whl", "--index-url=https://x==1", "-e evil==1", " evil==1", "==1"),
]
URLS = [
    *(
        "http://x.org/a.zip",
        "ftp://x.org/a.zip",
        "data:text/plain,x",
        "x.zip",
        "https:///a.zip",
        "file://host/a",
        "//x/a",
    ),
    *("https://x.org/a b", "https://x.org/a\nb", "jar:https://x"),
]


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_that_leaves_its_folder_is_refused_where_it_is_declared(name: str) -> None:
    for settings in ({"folder": name}, {"folder": "x", "files": {name: ""}}, {"folder": "x", "member": name or "/"}):
        with pytest.raises(RequestError, match=r"path|name"):
            Source(**settings)


@pytest.mark.parametrize(("key", "value"), [*(("wheel", text) for text in WHEELS), *(("url", text) for text in URLS)])
def test_what_is_no_wheel_or_address_is_refused_with_its_key(key: str, value: str) -> None:
    with pytest.raises(RequestError, match=rf"^{key}="):
        Source(folder="x", **{key: value})
    node = {"_target_": "causalrec.data.sources.Source", "folder": "x", key: value}
    with pytest.raises(RequestError, match=rf"^encoder\.model\.{key}=") as caught:
        validate_component("encoder.model", node)
    assert "\n" not in str(caught.value)


def test_a_name_of_a_file_is_shown_once_with_its_key() -> None:
    node = {"_target_": "causalrec.data.sources.Source", "folder": "x", "files": {"/etc/passwd": ""}}
    with pytest.raises(RequestError, match=r"^encoder\.model\.files='/etc/passwd': a path stays below its folder"):
        validate_component("encoder.model", node)


def test_a_url_of_several_files_needs_an_archive() -> None:
    with pytest.raises(RequestError, match="one file, not 2"):
        Source(folder="x", url="https://x.org/a", archive_member=None, files={"a": "", "b": ""})


def test_a_file_address_is_read_below_the_data_alone(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for path in (root / "payload", tmp_path / "secret"):
        path.write_text("text")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / ".aws").mkdir()
    (root / ".aws" / "credentials").write_text("secret")
    hidden = Source(folder="z", url=f"file://{root}/.aws/credentials", files={"a": ""}, archive_member=None)
    with pytest.raises(DataError, match=r"credentials: is hidden \(\.aws\), and is not copied"):
        hidden.fetch(root)
    inside = Source(folder="x", url=f"file://{root}/payload", files={"sub/a": ""}, archive_member=None)
    assert (inside.fetch(root) / "sub" / "a").read_text() == "text"
    for outside in (tmp_path / "secret", root / ".." / "secret", root / "link"):
        with pytest.raises(DataError, match=r"lies outside .*below paths\.data"):
            Source(folder="y", url=f"file://{outside}", files={"a": ""}, archive_member=None).fetch(root)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "data", tmp_path / "home"
    root.mkdir()
    elsewhere.mkdir()
    (root / "payload").write_text("new")
    (elsewhere / "profile").write_text("mine")
    (root / "linked").symlink_to(elsewhere)
    (root / "set").mkdir()
    (root / "set" / "sub").symlink_to(elsewhere)
    (root / ".set.part").symlink_to(elsewhere / "profile")
    for folder, name in (("linked", "other"), ("set", "sub/other")):
        source = Source(folder=folder, url=f"file://{root}/payload", files={name: ""}, archive_member=None)
        with pytest.raises(DataError, match=r"leads out of .* through a link"):
            source.fetch(root)
    assert (elsewhere / "profile").read_text() == "mine" and len(list(elsewhere.iterdir())) == 1


@pytest.mark.parametrize("name", [".config/autostart", "a/.ssh", ".bashrc", ".x/y"])
def test_nothing_hidden_is_written(name: str) -> None:
    for settings in ({"folder": name}, {"folder": "x", "files": {name: ""}}):
        with pytest.raises(RequestError, match=r"='.*\.\w.*': nothing is written to hidden folders and files"):
            Source(**settings)


def of_archive(root: Path, **contents: str) -> Source:
    """A source of an archive below the data."""
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "files.zip", "w") as opened:
        for name, text in contents.items():
            opened.writestr(name, text)
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
    return Source(folder="set", files=sums, url=f"file://{root}/files.zip")


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    source, folder = of_archive(root, a="new", b="other"), root / "set"
    folder.mkdir()
    (folder / "a").write_text("mine")
    with pytest.raises(DataError, match=r"set/a: wrong checksum, .*: remove it and fetch again"):
        source.fetch(root)
    assert [path.name for path in folder.iterdir()] == ["a"] and (folder / "a").read_text() == "mine"
    (folder / "a").write_text("new")
    before = (folder / "a").stat()
    source.fetch(root)
    assert (folder / "b").read_text() == "other" and (folder / "a").stat().st_ino == before.st_ino
    (folder / "b").unlink()
    (folder / "b").symlink_to(tmp_path / "absent")
    with pytest.raises(DataError, match=r"set/b: is no file, and is not replaced: remove it and fetch again"):
        source.fetch(root)
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_another_process_wrote_meanwhile_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    def refuse(*paths: Path) -> None:
        raise PermissionError

    if not hard_links:
        monkeypatch.setattr(sources.os, "link", refuse)
    for name in ("fetched", "there", "more"):
        (tmp_path / name).write_text(name)
    sources._move_new(tmp_path / "fetched", tmp_path / "there")
    sources._move_new(tmp_path / "more", tmp_path / "new")
    assert (tmp_path / "there").read_text() == "there" and (tmp_path / "new").read_text() == "more"


def test_nothing_is_fetched_while_a_run_is_opened_again(tmp_path: Path) -> None:
    source = of_archive(tmp_path, a="text")
    with read_only(), pytest.raises(DataError, match=r"set: lacks a, and a run that is opened again fetches nothing; "):
        source.fetch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["files.zip"]
    source.fetch(tmp_path)
    with read_only():
        assert source.fetch(tmp_path) == tmp_path / "set"


@pytest.mark.parametrize("address", ["http://x.org/a", "ftp://x.org/a", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_not_followed(address: str) -> None:
    request = urllib.request.Request("https://x.org/a")
    with pytest.raises(urllib.error.URLError, match="is not fetched"):
        sources._Redirects().redirect_request(request, None, 302, "", Message(), address)
    assert sources._Redirects().redirect_request(request, None, 302, "", Message(), "https://y.org/a") is not None


def test_pip_is_handed_a_requirement_it_cannot_take_for_an_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []

    def fake(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "no route")

    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(DataError, match="no route"):
        download_wheel("pack==1.0", tmp_path)
    with pytest.raises(RequestError, match="NAME==VERSION"):
        download_wheel("./evil", tmp_path)
    (command,) = commands
    assert command[:4] == [sys.executable, "-P", "-m", "pip"] and command[-2:] == ["--", "pack==1.0"]
    assert {"--no-deps", "--only-binary=:all:"} < set(command)


def test_an_archive_that_would_fill_the_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archives, "MAX_EXPANSION", 2)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.txt", bytes(3 << 20))
    with pytest.raises(DataError, match=r"bomb\.zip: expands to 3145728 bytes, over 2 times its size; refused"):
        extract(path, tmp_path / "in", "", {"a.txt": ""})
    assert not (tmp_path / "in" / "a.txt").exists()
