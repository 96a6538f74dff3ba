"""What the files of a language model claim, compared with what they hold before anything is allocated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from causalrec.data.regular_files import open_regular, read_json
from causalrec.errors import DataError

MAX_CLAIM = 4  # numbers that a model may have for each number in its files: heads and poolers are made anew
SPARE = 1 << 24  # numbers that the smallest model may have more
Shapes = dict[str, tuple[int, ...]]


def weight_shapes(folder: Path) -> Shapes:
    """Return the shape of each tensor in a model's `*.safetensors`; raise DataError that names a file which is damaged.

    The files are mapped, not read.
    """
    from safetensors import SafetensorError, safe_open

    shapes: Shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            open_regular(path).close()
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  # it is no mapping
                    shapes[name] = tuple(file.get_slice(name).get_shape())
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(
                f"encoder.model={folder}: {path.name} is no whole safetensors file ({_line(error)}); fetch it again"
            ) from error
    return shapes


def check_claims(folder: Path, config: Any) -> None:
    """Raise DataError where a model's configuration describes far more numbers than its files hold.

    Args:
        folder: of the model.
        config: as transformers reads it.
    """
    from transformers import AutoModel

    shapes = weight_shapes(folder)
    what = f"encoder.model={folder}: config.json describes"
    for setting, most in (("num_hidden_layers", len(shapes)), ("num_attention_heads", 1 << 16)):
        number = getattr(config, setting, None)
        if number is not None and not 1 <= number <= most:
            raise DataError(f"{what} {setting}={number}, its weights are {len(shapes)} tensors; fetch it again")
    with torch.device("meta"):  # shapes alone
        described = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    claimed = sum(tensor.numel() for tensor in described.state_dict().values())
    if claimed > MAX_CLAIM * sum(map(math.prod, shapes.values())) + SPARE:
        raise DataError(f"{what} {claimed:,} numbers, far more than its weights hold; fetch it again")


def damaged_file(folder: Path) -> Path | None:
    """Return the first file of a model that is empty, cut, or no file; None where each can be read by itself."""
    for path in sorted(folder.glob("*.json")):
        try:
            read_json(path)
        except (OSError, ValueError):
            return path
    for path in sorted([*folder.glob("*.txt"), *folder.glob("*.model")]):
        if not path.is_file() or not path.stat().st_size:
            return path
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
