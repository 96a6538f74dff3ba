"""Hydra reading the user's folders as what they are: YAML from outside, which sets its component and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from causalrec.config.checks import ADDED
from causalrec.config.component import outside_packages
from causalrec.config.folders import package_folder
from causalrec.config.hydra_keys import FOLDERS, PLUGIN_GROUPS, PLUGINS, plugin_names, sets_folders, sets_hydra
from causalrec.config.interpolation import restrict_interpolation
from causalrec.config.schema import COLLECTIONS, GROUPS
from causalrec.config.yaml_reading import shorten
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from hydra._internal.config_repository import IConfigRepository
    from hydra._internal.hydra import Hydra
    from hydra.core.default_element import ResultDefault
    from hydra.plugins.config_source import ConfigResult
    from hydra.types import RunMode

USER_FOLDER = "hydra.searchpath in command-line"  # how Hydra calls the folders of --config-dir
PRIMARY = ("train", "estimate")  # our own files that set Hydra's section
CHOICES: Mapping[str, str | None] = {  # of Hydra's own groups
    "hydra/output": "default",
    "hydra/launcher": "basic",
    "hydra/sweeper": "basic",
    "hydra/help": "default",
    "hydra/hydra_help": "default",
    "hydra/hydra_logging": "none",
    "hydra/job_logging": "none",
    "hydra/callbacks": None,
    "hydra/env": "default",
}


@contextmanager
def initialise_hydra(job_name: str = "app") -> Iterator[Hydra]:
    """Yield Hydra with our folder of YAML, which refuses what the user's YAML may not set, and may not read."""
    with initialize_config_dir(version_base="1.3", config_dir=str(package_folder("conf")), job_name=job_name):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        hydra.config_loader = GuardedLoader(hydra.config_loader.get_search_path())
        with restrict_interpolation():
            yield hydra


class GuardedLoader(ConfigLoaderImpl):
    """Hydra's loader, which judges every file by where it comes from before it is merged, and the choices after."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a configuration.

        Args:
            config_name: the file to begin with.
            overrides: in Hydra's grammar.
            run_mode: of one job, or of several.
            from_shell: how Hydra words an error.
            validate_sweep_overrides: refuse sweeps in one job.
        """
        composed = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        _check_choices(composed.hydra.runtime.choices, overrides)
        return composed

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        path, package = str(default.config_path), default.package or ""
        if ".." in path.split("/") or path.startswith("/"):
            raise RequestError(f"{path}: leaves its folder; choose a component of a folder by its name")
        written = repo.load_config(path)
        if written is not None and written.provider == USER_FOLDER:
            file = Path(written.path.removeprefix("file://")) / f"{path}.yaml"
            content = self._embed_result_config(written, package).config
            _check_user_file(shorten(file), path, str(default.parent), package, content)
        elif sets_hydra(package) and not sets_hydra(path):
            raise RequestError(f"{path}@{package}: a component cannot be put below hydra")
        elif sets_folders(package):
            raise RequestError(f"{path}@{package}: a component cannot be put below paths")
        return super()._load_single_config(default, repo)


def _check_user_file(where: str, path: str, parent: str, package: str, config: object) -> None:
    """Raise RequestError where a file of the user's sets what is not its own.

    Args:
        where: the file, for the message.
        path: group and name.
        parent: group and name of the file whose defaults ask for it.
        package: where its content goes.
        config: all that it sets, from the root.
    """
    group, _, name = path.rpartition("/")
    if group in PLUGIN_GROUPS and package == group.replace("/", "."):
        assert isinstance(config, DictConfig)
        _check_plugin_file(where, group, name, OmegaConf.to_container(OmegaConf.select(config, package)))
    elif isinstance(config, DictConfig) and "hydra" in config:
        key = _first_key(config, "hydra")
        raise RequestError(f"{where}: sets {key}; Hydra's own section is set on the command line alone, leave it out")
    elif isinstance(config, DictConfig) and "paths" in config:
        key = _first_key(config, "paths")
        raise RequestError(
            f"{where}: sets {key}; folders are named on the command line alone, leave it out and add {FOLDERS}"
        )
    else:
        _check_package(where, path.partition("/")[0], parent.partition("/")[0], package)
        _check_other_groups(where, path.partition("/")[0], package, config)


def _first_key(config: DictConfig, section: str) -> str:
    """Return the path of the first key that a file sets in a section, for the message."""
    below = config._get_node(section)
    keys = [] if not isinstance(below, DictConfig) or below._is_none() or below._is_interpolation() else [*below]
    return ".".join([section, *sorted(map(str, keys))[:1]])


def _check_plugin_file(where: str, group: str, name: str, content: object) -> None:
    """Raise RequestError where a launcher or sweeper of the user's is more than the class of a trusted package."""
    kind = next(kind for kind in PLUGINS if group == f"hydra/{kind}")
    target = content.get("_target_") if isinstance(content, dict) else None
    if not isinstance(target, str) or target.split(".")[0] not in outside_packages():
        names = ", ".join(name for name in plugin_names(kind))
        raise RequestError(
            f"{group}={name}: {where} names no {kind} of a package in CAUSALREC_PACKAGES; there are {names}"
        )
    assert isinstance(content, dict)
    for key in (key for key in content if key != "_target_"):
        raise RequestError(
            f"{where}: sets {key}; it holds _target_ alone, set hydra.{kind}.{key}=VALUE when you launch"
        )


def _check_package(where: str, root: str, parent_root: str, package: str) -> None:
    """Raise RequestError where a component is put below another group than its own or that of the file that asks."""
    if package.partition(".")[0] not in ("", root, parent_root, ADDED):
        raise RequestError(f"{where}: its @package is {package}; a file of {root} sets {root} alone; leave it out")


def _check_other_groups(where: str, root: str, package: str, config: object) -> None:
    """Raise RequestError where a file of `@package _global_` overwrites the component of another group."""
    if package or not isinstance(config, DictConfig):
        return
    is_component = root in {*GROUPS, *COLLECTIONS} - {"task"}
    for key in sorted({*map(str, config)} & {*GROUPS, *COLLECTIONS} - {root}):
        if is_component or _holds_target(config._get_node(key), 1 if key in GROUPS else 2):
            mend = f"choose it by `override /{key}: NAME` in the defaults of a task, or {key}=NAME"
            raise RequestError(f"{where}: overwrites {key}, another group; {mend}")


def _holds_target(node: object, depth: int) -> bool:
    """Say whether a node holds a class, above a depth."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
        return False
    return "_target_" in node or (depth > 1 and any(_holds_target(node._get_node(key), depth - 1) for key in node))


def _check_choices(choices: Mapping[str, object], overrides: Sequence[str]) -> None:
    """Raise RequestError where YAML chose what only the command line may choose."""
    parser = OverridesParser.create()
    typed = {
        override.key_or_group: override.value()
        for override in parser.parse_overrides([text for text in overrides if "hydra/" in text])
    }
    for group, choice in choices.items():
        if str(group).startswith("hydra/") and choice != typed.get(str(group), CHOICES.get(str(group))):
            raise RequestError(
                f"{group}={choice}: asked for by a defaults list; launchers and sweepers are chosen on the command "
                "line alone, Hydra's other groups not at all"
            )
