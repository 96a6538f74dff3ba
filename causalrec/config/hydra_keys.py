"""What may be set of Hydra's own section: launchers and sweepers with their settings, by the command line alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from causalrec.config.component import allowed_packages
from causalrec.config.folders import component_names
from causalrec.config.yaml_reading import shorten
from causalrec.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

PluginKind = Literal["launcher", "sweeper"]
PLUGINS: tuple[PluginKind, ...] = ("launcher", "sweeper")
PLUGIN_GROUPS = tuple(f"hydra/{kind}" for kind in PLUGINS)
SEARCH_PATH = re.compile(r"hydra\.searchpath=\[file://[^,\[\]]+(,file://[^,\[\]]+)*\]")
EXTRAS: Mapping[str, str] = {"joblib": "slurm", "submitit_local": "slurm", "submitit_slurm": "slurm"}
FOLDERS = "paths.data=DIR, paths.cache=DIR or paths.runs=DIR"  # as they are typed
CONSTRUCTION = ("_target_", "_args_", "_partial_", "_convert_", "_recursive_")  # what Hydra's instantiation obeys


def sets_hydra(key: str) -> bool:
    """Say whether a key or a package is of Hydra's own section.

    >>> sets_hydra("hydra/launcher"), sets_hydra("_global_.hydra.job"), sets_hydra("hydrant.size")
    (True, True, False)
    """
    return key.removeprefix("_global_.").replace("/", ".").partition(".")[0] == "hydra"


def sets_folders(key: str) -> bool:
    """Say whether a key or a package is of `paths`, which YAML does not set.

    >>> sets_folders("paths.data"), sets_folders("_global_.paths"), sets_folders("dataset.paths")
    (True, True, False)
    """
    return key.removeprefix("_global_.").replace("/", ".").partition(".")[0] == "paths"


def refuse_folders(overrides: Iterable[str], where: str) -> None:
    """Raise RequestError where overrides that a file holds set a folder: that is for the command line.

    Args:
        overrides: as the file has them.
        where: the file, for the message.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    for text in dict.fromkeys(text for text in overrides if "paths" in text):
        try:
            override = OverridesParser.create().parse_override(text)
        except (HydraException, ValueError):  # told where all overrides are read
            continue
        if sets_folders(override.key_or_group) or sets_folders(override.package or ""):
            raise RequestError(
                f"{where}: sets {text}; folders are named on the command line alone, leave it out and add {FOLDERS}"
            )


def check_hydra_override(text: str, override: Override, folders: Sequence[Path] = ()) -> None:
    """Raise RequestError where an override sets what is not the user's to set in Hydra's section.

    Args:
        text: as it is typed.
        override: parsed.
        folders: the user's own, in which launchers may lie too.
    """
    key = override.key_or_group
    if sets_hydra(override.package or "") or (override.package is not None and sets_hydra(key)):
        raise RequestError(f"{text}: a component cannot be put below hydra; choose a launcher by hydra/launcher=NAME")
    if not sets_hydra(key):
        return
    if key in ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"):
        raise RequestError(f"{text}: runs are written to paths.runs/SWEEP; set paths.runs=DIR or sweep=NAME")
    if key == "hydra.searchpath":
        raise RequestError(f"{text}: folders of YAML are named by --config-dir DIR")
    kind = next((kind for kind in PLUGINS if key.startswith((f"hydra/{kind}", f"hydra.{kind}"))), None)
    if kind is None or not (key == f"hydra/{kind}" or key.startswith(f"hydra.{kind}.")):
        raise RequestError(
            f"{text}: of Hydra's own section, hydra/launcher=NAME, hydra/sweeper=NAME and their settings can be set"
        )
    value = None if override.is_delete() else override.value()
    if key == f"hydra/{kind}" and not isinstance(value, str):
        raise RequestError(f"{text}: expected one {kind}; there are {', '.join(plugin_names(kind, folders))}")
    if key.rpartition(".")[2] in CONSTRUCTION or _constructs(value):
        raise RequestError(
            f"{text}: a class is not typed; choose hydra/{kind}=NAME, of {', '.join(plugin_names(kind, folders))}"
        )
    if key == f"hydra/{kind}":
        _require_plugin(text, kind, str(value), folders)


def _constructs(value: object) -> bool:
    """Say whether a value holds, at any depth, a key that makes Hydra build something."""
    if isinstance(value, Mapping):
        return any(str(key) in CONSTRUCTION or _constructs(member) for key, member in value.items())
    return isinstance(value, list | tuple) and any(map(_constructs, value))


def _require_plugin(text: str, kind: PluginKind, name: str, folders: Sequence[Path]) -> None:
    names = plugin_names(kind, folders)
    if name not in names:
        extra = f"; pip install 'causalrec[{EXTRAS[name]}]' adds it" if name in EXTRAS else ""
        raise RequestError(f"{text}: unknown component; {did_you_mean(name, names)}{extra}")


def plugin_names(kind: PluginKind, folders: Sequence[Path] = ()) -> list[str]:
    """Return the names by which a launcher or sweeper can be chosen."""
    return sorted({*builtin_plugin_names(kind), *component_names(f"hydra/{kind}", *folders)})


def builtin_plugin_names(kind: PluginKind) -> list[str]:
    """Return the names of the launchers or sweepers of Hydra and of its installed plugins."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # registers what is installed
    return [name.removesuffix(".yaml") for name in ConfigStore.instance().list(f"hydra/{kind}")]


def check_user_folder(root: Path) -> None:
    """Raise RequestError where a folder of the user's holds files under the names of Hydra's own, or of our spines."""
    for path in (root / f"{name}.yaml" for name in ("train", "estimate")):
        if path.exists():
            raise RequestError(f"{shorten(path)}: is a name of our own; move its keys to the command line or a preset")
    for path in sorted((root / "hydra").glob("*")):
        if path.name not in PLUGINS and (path.is_dir() or path.suffix == ".yaml"):
            raise RequestError(f"{shorten(path)}: Hydra's own section is set on the command line alone; remove it")
    for kind in PLUGINS:
        names = {path.stem for path in (root / "hydra" / kind).glob("*.yaml")}
        for name in sorted(names & set(builtin_plugin_names(kind))) if names else ():
            where = shorten(root / "hydra" / kind / f"{name}.yaml")
            raise RequestError(f"{where}: hydra/{kind}={name} is one of Hydra's own; give this file another name")


def check_plugin(kind: PluginKind, choice: str, node: Mapping[str, object]) -> bool:
    """Return whether a launcher or sweeper is built by Hydra itself; raise RequestError where nobody may build it.

    Args:
        kind: launcher or sweeper.
        choice: its name.
        node: its configuration, resolved.
    """
    target = str(node.get("_target_"))
    if target.split(".")[0] in allowed_packages():
        return False
    stored = _stored_plugin(kind, choice)
    if stored is None or target != stored.get("_target_"):
        names = ", ".join(plugin_names(kind))
        raise RequestError(f"hydra/{kind}={choice}: {target} is no {kind} that may be built; there are {names}")
    for key, value in node.items():
        if key not in stored:
            raise RequestError(f"hydra.{kind}.{key}: unknown key; {did_you_mean(key, map(str, stored))}")
        if _constructs(value):
            raise RequestError(f"hydra.{kind}.{key}: holds a class, which is not built here; leave it out")
    return True


def _stored_plugin(kind: PluginKind, choice: str) -> Mapping[str, object] | None:
    from hydra.core.config_store import ConfigStore

    if choice not in builtin_plugin_names(kind):
        return None
    node: Mapping[str, object] = ConfigStore.instance().load(f"hydra/{kind}/{choice}.yaml").node
    return node


def check_search_path(overrides: Sequence[str]) -> None:
    """Raise RequestError where YAML is looked for elsewhere than in folders (overrides are read from files, too)."""
    for text in overrides:
        if text.lstrip("+~").startswith("hydra.searchpath") and not SEARCH_PATH.fullmatch(text):
            raise RequestError(f"{text}: folders of YAML are named by --config-dir DIR, without a comma or brackets")


def refuse_launchers(overrides: Sequence[str]) -> None:
    """Raise RequestError where one job is asked for a launcher or a sweeper, which would not be used."""
    for text in overrides:
        if sets_hydra(text.lstrip("+~").partition("=")[0]) and not text.startswith("hydra.searchpath="):
            raise RequestError(f"{text.lstrip('+')}: launchers and sweepers run the jobs of a sweep, train -m")
