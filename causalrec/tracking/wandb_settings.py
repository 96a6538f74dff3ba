"""Settings of W&B that lie in the working directory: it obeys them, and they may name another server for the key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from causalrec.errors import RequestError

LOCAL_FILES = (Path("wandb", "settings"), Path(".wandb", "settings"))  # of `wandb init`, below the working directory
SERVER = "https://api.wandb.ai"
SETTLED = {"project", "mode"}  # we hand these over, or the environment does, whatever the file says


def check_local_settings(entity: str | None = None) -> None:
    """Raise RequestError where W&B would obey a file of the working directory that sends runs, or the key, elsewhere.

    Args:
        entity: user or team the runs are for, where they are named.
    """
    for path in LOCAL_FILES:
        if path.exists():
            _check(path, entity)


def _check(path: Path, entity: str | None) -> None:
    trusted = _trusted_settings(entity)
    for key, value in _read(path).items():
        if key not in SETTLED and value.rstrip("/") != trusted.get(key):
            if key not in trusted:
                raise RequestError(f"{path}: W&B would obey its {key}; remove that line, or start in another folder")
            raise RequestError(f"{path}: W&B would obey its {key}; remove that line, or set WANDB_{key.upper()}")


def _trusted_settings(entity: str | None) -> dict[str, str]:
    """Return what holds without a local file: of the request, the environment, the user's own file, W&B's default."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path("~", ".config", "wandb")).expanduser()
    users = _read(folder / "settings")
    server = os.environ.get("WANDB_BASE_URL") or users.get("base_url") or SERVER
    named = entity or os.environ.get("WANDB_ENTITY") or users.get("entity") or ""
    return {**users, "base_url": server.rstrip("/"), "entity": named}


def _read(path: Path) -> Mapping[str, str]:
    """Return the settings of a file as W&B reads them, {} where there is none."""
    from wandb.sdk.lib.settings_file import SettingsFiles

    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise OSError("not a regular file")
        return SettingsFiles(global_settings=None, local_settings=path).all()
    except Exception as error:  # W&B would fail at it as well
        raise RequestError(f"{path}: W&B cannot read it; remove it, or start in another folder") from error
