"""A multirun as Hydra composes it: its launcher, its sweeper, and what its jobs are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalrec.config.compose import one_line_errors, package_folder
from causalrec.config.constructor_source import check_keys
from causalrec.config.hydra_keys import PLUGINS, PluginKind, check_plugin
from causalrec.config.interpolation import restrict_interpolation

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Multirun:
    """A multirun as Hydra's launchers and sweepers are handed it.

    Attributes:
        context: of Hydra.
        config: its own configuration.
        task_overrides: of its jobs, sweeps unexpanded.
        search_path: override that names the folders of `--config-dir`, where there are some.
    """

    context: HydraContext
    config: DictConfig
    task_overrides: list[str]
    search_path: list[str]

    @classmethod
    def compose(cls, overrides: list[str]) -> Multirun:
        """Compose a multirun's own configuration, its launcher and sweeper checked."""
        from hydra._internal.callbacks import Callbacks
        from hydra.types import HydraContext, RunMode
        from omegaconf import OmegaConf

        from causalrec.config.loader import initialise_hydra

        with one_line_errors([package_folder("conf")]), initialise_hydra("causalrec") as hydra:
            config = hydra.compose_config("train", overrides, RunMode.MULTIRUN, with_log_configuration=False)
        for kind in PLUGINS:
            node = plugin_node(kind, config)
            check_plugin(kind, str(config.hydra.runtime.choices[f"hydra/{kind}"]), node)
            check_keys(f"hydra.{kind}", node)
        typed = OmegaConf.to_container(config.hydra.overrides)  # unresolved: `seed=${split.seed}` is each job's own
        assert isinstance(typed, dict)
        search_path = [text for text in map(str, typed["hydra"]) if text.startswith("hydra.searchpath")]
        context = HydraContext(hydra.config_loader, Callbacks())  # no callbacks: none is allowed
        return cls(context, config, [str(text) for text in typed["task"]], search_path)

    @property
    def has_sweeper(self) -> bool:
        """Whether another sweeper than Hydra's own chooses the jobs."""
        return bool(self.config.hydra.sweeper["_target_"] != BASIC)

    def with_search_path(self, jobs: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return the overrides of jobs, each with the folders that its components are looked for in."""
        return [[*self.search_path, *job] for job in jobs]


def plugin_node(kind: PluginKind, config: DictConfig) -> dict[str, object]:
    """Return the settings of the launcher or sweeper that was asked for."""
    from omegaconf import OmegaConf

    with restrict_interpolation():
        node = OmegaConf.to_container(config.hydra[kind], resolve=True)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}
