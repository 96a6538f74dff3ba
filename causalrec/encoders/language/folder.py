"""Where a language model's files are: a local folder, from a source, a path, a GGUF file or a hub name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causalrec.data.read_only import is_read_only
from causalrec.data.regular_files import read_json
from causalrec.data.sources import Source
from causalrec.errors import DataError, RequestError

HUB_FILES = ("*.json", "*.jinja", "*.safetensors", "*.txt", "*.model")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def model_folder(model: str | Source, data: Path, cache: Path) -> Path:
    """Return the local folder of a model with its config, tokenizer and safetensors weights.

    `model`: a source, the path of a folder or of a `.gguf` file (converted once below `cache`), or a hub name. Raises
    RequestError for a path that does not exist, for a model that lacks one of the three, that has pickled weights only
    or that brings code of its own; DataError when a source or a hub name cannot be downloaded.
    """
    folder = model.fetch(data) if isinstance(model, Source) else local_model(model) or _from_hub(model)
    if quantised := _gguf(folder):
        from causalrec.encoders.language.gguf_conversion import convert_gguf

        folder = convert_gguf(quantised, cache)
    check_folder(folder)
    return folder


def local_model(model: str) -> Path | None:
    """Return the existing folder or file that a model's name means, None for a hub name; nothing heavy is imported.

    Raises RequestError for a path that does not exist, and for a folder that is no model.
    """
    path = Path(model).expanduser()
    if not path.exists():
        if _is_path(model):
            raise RequestError(
                f"encoder.model={model}: no such folder; name a folder saved by transformers or a hub name"
            )
        return None
    if _gguf(path) is None:
        check_folder(path)
    return path


def _is_path(model: str) -> bool:
    return model.startswith(("/", ".", "~")) or model.count("/") > 1 or "\\" in model


def _gguf(path: Path) -> Path | None:
    if path.is_file():
        if path.suffix != ".gguf":
            raise RequestError(f"encoder.model={path}: a file that is not .gguf; name the model's folder")
        return path
    files = sorted(path.glob("*.gguf"))
    if (path / "config.json").exists() or not files:
        return None
    if len(files) > 1:
        raise RequestError(f"encoder.model={path}: holds {len(files)} .gguf files; name one of them")
    return files[0]


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES), local_files_only=is_read_only()))
    except HFValidationError as error:
        raise RequestError(f"encoder.model={name}: neither an existing folder nor a hub name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"encoder.model={name}: not on this machine and the hub cannot be reached or has no such model; download "
            f"https://huggingface.co/{name} ({', '.join(HUB_FILES)}) into a folder and name the folder"
        ) from error


def check_folder(folder: Path) -> None:
    """Raise RequestError where a folder lacks what a model needs, or would have us run its code."""
    what = f"encoder.model={folder}"
    check_model_files(folder, what)
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        raise RequestError(f"{what}: no tokenizer in it ({', '.join(TOKENIZERS)}); save the model's tokenizer there")


def check_model_files(folder: Path, what: str) -> None:
    """Raise RequestError where a folder lacks config or weights, or would have us run its code; `what`: names it."""
    if not (folder / "config.json").is_file():
        raise RequestError(f"{what}: no config.json in it; name a folder saved by transformers")
    endings = [pattern.removeprefix("*") for pattern in HUB_FILES]
    if odd := sorted(path.name for path in folder.iterdir() if path.suffix in endings and not path.is_file()):
        raise RequestError(f"{what}: {odd[0]} is no file; fetch it again")
    for name in ("config.json", "tokenizer_config.json"):
        if "auto_map" in _read(folder / name):
            raise RequestError(
                f"{what}: {name} asks to run Python code that comes with the model (auto_map), which is refused; "
                f"name a model whose architecture transformers has itself"
            )
    if not any(folder.glob("*.safetensors")):
        raise RequestError(f"{what}: {_no_weights(folder)}")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        raise RequestError(f"encoder.model={path.parent}: {path.name} is not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise RequestError(f"encoder.model={path.parent}: {path.name} is not a JSON object; fetch it again")
    return content


def _no_weights(folder: Path) -> str:
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not pickled:
        return "no weights in it (*.safetensors); save the model there with save_pretrained"
    return (
        f"only pickled weights ({pickled[0]}), which can run code when they are read; if you trust them, convert them "
        f"once: transformers' AutoModel.from_pretrained(FOLDER, use_safetensors=False).save_pretrained(FOLDER)"
    )
