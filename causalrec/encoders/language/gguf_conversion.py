"""Quantised GGUF models, converted once into folders that transformers reads."""

from __future__ import annotations

import importlib.util
import struct
import tempfile
from pathlib import Path
from typing import Any

import torch

from causalrec.data.checked_folder import open_sealed, seal
from causalrec.data.disk_errors import full_disk
from causalrec.data.regular_files import open_regular
from causalrec.data.removal import output_folder
from causalrec.encoders.language.checksums import file_lock, file_sha256, key_of
from causalrec.encoders.language.silence import silence_transformers
from causalrec.errors import DataError, RequestError
from causalrec.plain_streams import print_note

MIN_ENTRY_BYTES = 12  # of a tensor or a setting in the header
MAX_NUMBERS_PER_BYTE = 8  # quantised to one bit each


def convert_gguf(path: Path, cache: Path) -> Path:
    """Return the folder below `cache` of a `.gguf` file's weights in float32 with config and tokenizer; convert it
    once.

    A second process waits for the first. Raises RequestError without the extra `gguf`, DataError for a file that is no
    model.
    """
    import transformers

    key = key_of([file_sha256(path, cache), transformers.__version__.split(".")[0]])
    folder = output_folder(cache, "models") / key
    if open_sealed(folder) is None:
        if importlib.util.find_spec("gguf") is None:
            raise RequestError(f"encoder.model={path}: reading GGUF needs the extra: pip install 'causalrec[gguf]'")
        with file_lock(folder):
            if open_sealed(folder) is None:
                _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        model_folder = Path(scratch) / "model"
        print_note(f"converting {path.name} into {folder}, once")
        try:
            _save(path, model_folder)
        except Exception as error:  # a broken file raises anything
            if (full := full_disk(error, folder)) is not None:
                raise full from error
            raise DataError(f"encoder.model={path}: not a GGUF model that can be read ({_line(error)})") from error
        seal(model_folder, {})
        model_folder.rename(folder)


def _save(path: Path, folder: Path) -> None:
    """Write what `from_pretrained(gguf_file=...)` would load, without the accelerate package that it asks for."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with silence_transformers():
        _check_header(path)
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
        _check_claims(path, config)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype="float32")  # type: ignore[no-untyped-call]
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)  # type: ignore[no-untyped-call]
        report = model.load_state_dict(read["tensors"], strict=False)
        model.tie_weights()
        if lacking := [name for name in report.missing_keys if name != "lm_head.weight"]:
            raise ValueError(f"it lacks {lacking[0]} and {len(lacking) - 1} more")
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
        _widen(model, len(tokenizer))
        model.base_model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _check_header(path: Path) -> None:
    """Raise ValueError where a file counts more tensors or settings than it has bytes for."""
    with open_regular(path) as file:
        magic, version, tensors, settings = struct.unpack("<4sIQQ", file.read(24).ljust(24, b"\0"))
    size = path.stat().st_size
    if magic != b"GGUF" or not version or max(tensors, settings) * MIN_ENTRY_BYTES > size:
        raise ValueError(f"no GGUF header that {size} bytes can keep")


def _check_claims(path: Path, config: Any) -> None:
    """Raise ValueError where a file describes a model of more numbers than it can hold."""
    from transformers import AutoModelForCausalLM

    size = path.stat().st_size
    if int(getattr(config, "num_hidden_layers", None) or 0) > size:
        raise ValueError(f"it describes {config.num_hidden_layers} layers")
    with torch.device("meta"):  # shapes alone
        described = AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    claimed = sum(parameter.numel() for parameter in described.parameters())
    if claimed > MAX_NUMBERS_PER_BYTE * size:
        raise ValueError(f"it describes {claimed:,} numbers and is {size:,} bytes long")


def _widen(model: Any, tokens: int) -> None:
    """Embed as zeros what transformers adds to the tokenizer of a GGUF file (`<|endoftext|>`)."""
    embedded = model.get_input_embeddings().weight.shape[0]
    if tokens > embedded:
        model.resize_token_embeddings(tokens, mean_resizing=False)
        model.get_input_embeddings().weight.data[embedded:] = 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
