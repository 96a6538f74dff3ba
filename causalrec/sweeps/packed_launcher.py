"""Jobs that differ in numbers alone, trained as one stacked program; every job keeps its own claim and record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from pydantic import Field

from causalrec.config.compose import compose_all
from causalrec.config.schema import ExperimentConfig
from causalrec.data.removal import make_way_for_folder
from causalrec.errors import CausalRecError
from causalrec.sweeps.job import JobResult, failed_result, finish_claimed, unclaimed_result
from causalrec.sweeps.ledger import Claim, Ledger
from causalrec.sweeps.ledger_folders import DAMAGED_FOLDER
from causalrec.types import Count

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction

    from causalrec.running.cache import PreparedCache


class PackedLauncher(Launcher):
    """Train jobs that differ only in seed, weight decay and other numbers of optimizer and objective side by side.

    A stack holds at most `max_replicas` fits (a job has one per weight decay and fold) and `memory_share` of the free
    memory. Which jobs were trained together is noted, so that a relaunch packs alike and goes on from the stack's
    checkpoint. What cannot stack is trained alone, and said once.
    """

    def __init__(
        self,
        *,
        max_replicas: Count = 256,
        memory_share: Annotated[float, Field(gt=0, le=1)] = 0.5,
        progress: bool = True,
    ) -> None:
        self.max_replicas, self.memory_share, self.progress = max_replicas, memory_share, progress
        self.search_path: list[str] = []
        self.warned: set[str] = set()  # the reasons to fit alone that were said, once for all groups

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what every launcher of Hydra is handed."""
        texts = map(str, config.hydra.overrides.hydra)
        self.search_path = [text for text in texts if text.startswith("hydra.searchpath")]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their results in order."""
        returned = []
        for result in self.train_jobs(compose_all([[*self.search_path, *job] for job in job_overrides]), job_overrides):
            job_return = JobReturn(status=JobStatus.COMPLETED)
            job_return.return_value = result
            returned.append(job_return)
        return returned

    def train_jobs(self, configs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[JobResult]:
        """Train jobs, `jobs` being what was asked for each, group by group; groups share what they prepare."""
        from causalrec.running.cache import PreparedCache

        results: dict[Path, JobResult] = {}
        cache = PreparedCache()
        for group in sort_by_data(groups_of(configs, [[*self.search_path, *job] for job in jobs])):
            results |= self._train_group(group, cache)
        return [results[config.folder] for config in configs]

    def _train_group(self, group: Group, cache: PreparedCache) -> dict[Path, JobResult]:
        """Train a group; only the jobs that this process could claim leave a record."""
        from causalrec.running.run import train_together
        from causalrec.training.stacked.stacked_fitter import StackedFitter

        claims, errors = group.claim_jobs()
        configs = list(group.configs.values())
        results = {config.folder: group.result_of(job, errors.get(job)) for job, config in group.configs.items()}
        if not claims:
            return results
        fitter = StackedFitter(self.max_replicas, self.memory_share, group.folder, self.progress, self.warned)
        ownership = [claims[job].check if job in claims else None for job in group.configs]
        try:
            execution = f"packed: {len(configs)} jobs"
            training_results = train_together(configs, fitter, ownership, execution, cache)
        except BaseException:
            for claim in claims.values():
                with suppress(OSError):
                    claim.release()
            raise
        for (job, config), training_result in zip(group.configs.items(), training_results, strict=True):
            if job in claims and training_result is not None:
                results[config.folder] = finish_claimed(config, claims[job], training_result)
        fitter.delete_checkpoints()
        return results


@dataclass(frozen=True)
class Group:
    """Jobs that are trained together, by their names in the ledger; finished ones stay members, for the arithmetic of a
    stack follows its make-up.
    """

    ledger: Ledger
    configs: Mapping[str, ExperimentConfig]
    name: str

    @property
    def folder(self) -> Path:
        """Where the group's checkpoints lie."""
        return self.ledger.root / "groups" / self.name

    def claim_jobs(self) -> tuple[dict[str, Claim], dict[str, Exception]]:
        """Claim what is left, and return why what could not be; the first of it stands for the group: who has it leaves
        none to another launcher.
        """
        states = self.ledger.states(list(self.configs))
        claims: dict[str, Claim] = {}
        errors: dict[str, Exception] = {}
        for job in (job for job in self.configs if states[job].status != "done"):
            try:
                make_way_for_folder(self.folder, self.ledger.folder, self.ledger.root / DAMAGED_FOLDER)
                claim = self.ledger.claim(job)
            except (OSError, CausalRecError) as error:
                errors[job] = error
                continue
            if claim is not None:
                claims[job] = claim
            elif not claims and self.ledger.state(job).status.startswith("running"):
                break
        return claims, errors

    def result_of(self, job: str, error: Exception | None) -> JobResult:
        """Say why a job was not claimed: because of an error, or as its state says."""
        config = self.configs[job]
        if error is not None:
            return failed_result(config, error, self.ledger.root)
        return unclaimed_result(config, self.ledger, job)


def sort_by_data(groups: Sequence[Group]) -> list[Group]:
    """Return groups that read the same data one after the other, those first that come first: the next ones find the
    data prepared.
    """

    def data(group: Group) -> str:
        config = next(iter(group.configs.values()))
        return repr(
            [config.task.text, config.dataset.text, config.graph.text, config.split.text, config.propensity.text]
        )

    keys = [data(group) for group in groups]
    return [groups[k] for k in sorted(range(len(groups)), key=lambda k: keys.index(keys[k]))]


def groups_of(configs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[Group]:
    """Put jobs into the groups they were once trained in; the rest by likeness, and note those groups."""
    ledgers = {config.folder.parents[1]: Ledger.for_config(config) for config in configs}
    left: dict[tuple[Path, str], tuple[ExperimentConfig, list[str]]] = {}
    for config, job in zip(configs, jobs, strict=True):
        ledger = ledgers[config.folder.parents[1]]
        left[config.folder.parents[1], ledger.enter(config)] = (config, list(job))
    groups = []
    for root, ledger in ledgers.items():
        for name, members in ledger.groups().items():
            if any((root, job) in left for job in members):
                configs_by_job = _noted_configs(ledger, members)
                unchanged = set(configs_by_job) == set(members) and name == ledger.group_name(list(members))
                if unchanged:
                    groups.append(Group(ledger, configs_by_job, name))
                    for job in members:
                        left.pop((root, job), None)
    alike: dict[tuple[Path, str], dict[str, tuple[ExperimentConfig, list[str]]]] = {}
    for (root, job), member in left.items():
        alike.setdefault((root, group_key(member[0])), {})[job] = member
    for (root, _), together in alike.items():
        name = ledgers[root].remember_group({job: overrides for job, (_, overrides) in together.items()})
        groups.append(Group(ledgers[root], {job: config for job, (config, _) in together.items()}, name))
    return groups


def _noted_configs(ledger: Ledger, members: Mapping[str, Sequence[str]]) -> dict[str, ExperimentConfig]:
    """Compose the jobs of a group as they were noted, by name; none where a note asks for what cannot be, or for jobs
    of another sweep: then its jobs are put into groups anew.
    """
    try:
        composed = compose_all([list(overrides) for overrides in members.values()])
    except CausalRecError:
        return {}
    if any(config.folder.parents[1].resolve() != ledger.folder.resolve() for config in composed):
        return {}
    return {ledger.enter(config): config for config in composed}


def group_key(config: ExperimentConfig) -> str:
    """Return what jobs of one group share: all but the row's name, the seed, the numbers that stack, and what
    draws rows or outcomes anew.
    """
    sections: dict[str, Any] = config.to_dict()
    sections.pop("name")
    if (
        config.run.placebo.source is None or config.run.placebo.uniform
    ):  # else each seed deals anew, and a stack holds one table of items
        sections.pop("seed")
    for group in {"optimizer", "objective"} & set(sections):
        sections[group] = {key: None if isinstance(value, float) else value for key, value in sections[group].items()}
    if isinstance(penalties := sections.get("penalty"), dict):
        sections["penalty"] = {name: {**penalty, "weight": None} for name, penalty in penalties.items()}
    for group, resampling_keys in (
        ("dataset", config.components.dataset.card.resampled_by),
        ("split", config.split.target.resampled_by),
    ):
        sections[group] = {key: None if key in resampling_keys else value for key, value in sections[group].items()}
    sections["selection"] = {**sections["selection"], "candidates": sorted(config.candidates)}
    return json.dumps(sections, sort_keys=True, default=str)
