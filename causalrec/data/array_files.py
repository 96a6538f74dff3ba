"""Arrays in `.npy` and `.npz` files, read only where the file holds as many numbers as it claims."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from causalrec.data.regular_files import open_regular
from causalrec.errors import DataError

Array = npt.NDArray[Any]


def load_npy(path: Path, *, mapped: bool = False) -> Array:
    """Read an array, or map it; raise DataError for a file that is cut, claims another size, or holds objects."""
    try:
        with open_regular(path) as file:
            size = _end(file)
            _check_header(file, size)
            file.seek(0)
            if not mapped:
                return np.lib.format.read_array(file, allow_pickle=False)
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except Exception as error:  # a damaged header raises anything
        raise DataError(f"{path}: not an array as it was written ({_reason(error)})") from error


def load_npz(path: Path) -> dict[str, Array]:
    """Read the arrays of an archive by name; raise DataError as `load_npy` does, and for a compressed one."""
    try:
        with open_regular(path) as file:
            return _read_archive(file)
    except Exception as error:  # as above
        raise DataError(f"{path}: not arrays as they were written ({_reason(error)})") from error


def npz_bytes(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Return an archive of arrays as `load_npz` reads it."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def arrays_in(archive: bytes) -> dict[str, Array]:
    """Return the arrays of `npz_bytes`."""
    return _read_archive(io.BytesIO(archive))


def _read_archive(file: IO[bytes]) -> dict[str, Array]:
    size = _end(file)
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"{info.filename} is compressed, or longer than the file")
            with archive.open(info) as member:
                content = io.BytesIO(member.read())
            _check_header(content, info.file_size)
            content.seek(0)
            arrays[info.filename.removesuffix(".npy")] = np.lib.format.read_array(content, allow_pickle=False)
    return arrays


def _check_header(file: IO[bytes], size: int) -> None:
    """Raise ValueError where an array claims more or fewer bytes than the file has, or holds Python objects."""
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    claimed = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != size:
        raise ValueError(f"it claims {claimed} bytes and has {size}")


def _end(file: IO[bytes]) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
