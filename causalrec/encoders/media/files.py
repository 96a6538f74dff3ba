"""Images and sound as arrays, from files that nobody has looked at."""

from __future__ import annotations

import warnings
import wave
from pathlib import Path
from typing import Final

import numpy as np

from causalrec.data.regular_files import is_regular
from causalrec.errors import DataError
from causalrec.types import Floats

IMAGE_ENDINGS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}
SOUND_ENDINGS: Final = {".wav": "WAV"}
MAX_BYTES: Final = 256 << 20
MAX_PIXELS: Final = 100_000_000
MAX_SECONDS: Final = 600
WIDTHS: Final = {1: "u1", 2: "<i2", 4: "<i4"}  # by the bytes of a sample


def read_image(path: Path) -> np.ndarray:
    """Return an image as uint8[H,W,3], its first frame; DataError naming the file where it is none, or too large."""
    from PIL import Image

    _require_small(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a picture that claims too many pixels is warned of, not refused
            with Image.open(path, formats=(IMAGE_ENDINGS[path.suffix.lower()],)) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise DataError(f"{path}: has {size} pixels; at most {MAX_PIXELS:,} are read")
                return np.asarray(image.convert("RGB"))
    except DataError:
        raise
    except Exception as error:  # a damaged picture raises anything
        raise DataError(f"{path}: cannot be read as an image ({_first_line(error)}); mend or remove it") from error


def read_sound(path: Path, rate: int) -> Floats:
    """Return a `.wav` file of one channel or several as float32[T] in [-1, 1], the mean of its channels.

    Args:
        path: of uncompressed samples of 8, 16 or 32 bits.
        rate: samples a second that the model takes; nothing is resampled.

    Raises:
        DataError: Naming the file, where it is none, has another rate, or is empty or too long.
    """
    _require_small(path)
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, file_rate, frames = file.getparams()[:4]
            samples = file.readframes(frames)
        values = np.frombuffer(samples, np.dtype(WIDTHS[width])).astype(np.float32)
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as sound ({_first_line(error)}); save it as a WAV of 8, 16 or 32 bits"
        ) from error
    if file_rate != rate:
        raise DataError(f"{path}: has {file_rate} samples a second, and the model takes {rate}; resample it")
    if not len(values) or len(values) / channels > MAX_SECONDS * rate:
        lasts = len(values) / channels / rate
        raise DataError(f"{path}: lasts {lasts:.0f} s; more than 0 and at most {MAX_SECONDS} are read")
    scaled = values / 128 - 1 if width == 1 else values / np.float32(2 ** (8 * width - 1))
    mean: Floats = scaled.reshape(-1, channels).mean(1).astype(np.float32)
    return mean


def _require_small(path: Path) -> None:
    if not is_regular(path):
        raise DataError(f"{path}: is no file itself (a link or a folder); put a copy there")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
