"""Quantised GGUF models, converted once into folders that transformers reads."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from causalrec.encoders.language.digests import key_of, locked, remembered_sha256
from causalrec.encoders.language.quiet import quiet
from causalrec.errors import DataError, RequestError


def converted(path: Path, cache: Path) -> Path:
    """Return the folder of a `.gguf` file's weights in float32 with config and tokenizer, made below `cache`.

    A second process waits for the first. Raises RequestError without the extra `gguf`, DataError for a file that is no
    model.
    """
    import transformers

    folder = cache / "models" / key_of([remembered_sha256(path, cache), transformers.__version__.split(".")[0]])
    if not folder.exists():
        if importlib.util.find_spec("gguf") is None:
            raise RequestError(f"encoder.model={path}: reading GGUF needs the extra: pip install 'causalrec[gguf]'")
        with locked(folder):
            if not folder.exists():
                _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch) / "model"
        Console(stderr=True).print(f"converting {path.name} into {folder}, once", soft_wrap=True)
        try:
            _save(path, made)
        except Exception as error:  # a broken file raises anything
            raise DataError(f"encoder.model={path}: not a GGUF model that can be read ({_line(error)})") from error
        for written in made.iterdir():
            written.chmod(0o644)
        made.rename(folder)


def _save(path: Path, made: Path) -> None:
    """Write what `from_pretrained(gguf_file=...)` would load, without the accelerate package that it asks for."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with quiet():
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype="float32")  # type: ignore[no-untyped-call]
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)  # type: ignore[no-untyped-call]
        report = model.load_state_dict(read["tensors"], strict=False)
        model.tie_weights()
        if lacking := [name for name in report.missing_keys if name != "lm_head.weight"]:
            raise ValueError(f"it lacks {lacking[0]} and {len(lacking) - 1} more")
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
        _widen(model, len(tokenizer))
        model.base_model.save_pretrained(made)
        tokenizer.save_pretrained(made)


def _widen(model: Any, tokens: int) -> None:
    """Embed as zeros what transformers adds to the tokenizer of a GGUF file (`<|endoftext|>`)."""
    known = model.get_input_embeddings().weight.shape[0]
    if tokens > known:
        model.resize_token_embeddings(tokens, mean_resizing=False)
        model.get_input_embeddings().weight.data[known:] = 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
