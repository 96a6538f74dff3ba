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
from causalrec.sweeps.job import JobOutcome, finish_claimed, unclaimed_outcome
from causalrec.sweeps.ledger import Claim, Ledger
from causalrec.types import Count

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction


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

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what every launcher of Hydra is handed."""
        texts = map(str, config.hydra.overrides.hydra)
        self.search_path = [text for text in texts if text.startswith("hydra.searchpath")]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their outcomes in order."""
        returned = []
        for outcome in self.train_jobs(
            compose_all([[*self.search_path, *job] for job in job_overrides]), job_overrides
        ):
            job_return = JobReturn(status=JobStatus.COMPLETED)
            job_return.return_value = outcome
            returned.append(job_return)
        return returned

    def train_jobs(self, specs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[JobOutcome]:
        """Train jobs, `jobs` being what was asked for each, group by group."""
        outcomes: dict[Path, JobOutcome] = {}
        for group in groups_of(specs, [[*self.search_path, *job] for job in jobs]):
            outcomes |= self._train_group(group)
        return [outcomes[spec.folder] for spec in specs]

    def _train_group(self, group: Group) -> dict[Path, JobOutcome]:
        """Train a group; only the jobs that this process could claim leave a record."""
        from causalrec.running.run import train_together
        from causalrec.training.stacked.stacked_fitter import StackedFitter

        claims = group.claim_jobs()
        specs = list(group.specs.values())
        outcomes = {spec.folder: unclaimed_outcome(spec, group.ledger, job) for job, spec in group.specs.items()}
        if not claims:
            return outcomes
        fitter = StackedFitter(self.max_replicas, self.memory_share, group.folder, self.progress)
        ownership = [claims[job].check if job in claims else None for job in group.specs]
        try:
            results = train_together(specs, fitter, ownership, f"packed: {len(specs)} jobs")
        except BaseException:
            for claim in claims.values():
                with suppress(OSError):
                    claim.release()
            raise
        for (job, spec), result in zip(group.specs.items(), results, strict=True):
            if job in claims and result is not None:
                outcomes[spec.folder] = finish_claimed(spec, claims[job], result)
        fitter.delete_checkpoints()
        return outcomes


@dataclass(frozen=True)
class Group:
    """Jobs that are trained together, by their names in the ledger; finished ones stay members, for the arithmetic of a
    stack follows its make-up.
    """

    ledger: Ledger
    specs: Mapping[str, ExperimentConfig]
    name: str

    @property
    def folder(self) -> Path:
        """Where the group's checkpoints lie."""
        return self.ledger.root / "groups" / self.name

    def claim_jobs(self) -> dict[str, Claim]:
        """Claim what is left; the first of it stands for the group: who has it leaves none to another launcher."""
        states = self.ledger.states(list(self.specs))
        claims: dict[str, Claim] = {}
        for job in (job for job in self.specs if states[job].status != "done"):
            claim = self.ledger.claim(job)
            if claim is not None:
                claims[job] = claim
            elif not claims and self.ledger.state(job).status.startswith("running"):
                return {}
        return claims


def groups_of(specs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[Group]:
    """Put jobs into the groups they were once trained in; the rest by likeness, and note those groups."""
    ledgers = {spec.folder.parents[1]: Ledger.of(spec) for spec in specs}
    left: dict[tuple[Path, str], tuple[ExperimentConfig, list[str]]] = {}
    for spec, job in zip(specs, jobs, strict=True):
        ledger = ledgers[spec.folder.parents[1]]
        left[spec.folder.parents[1], ledger.enter(spec)] = (spec, list(job))
    groups = []
    for root, ledger in ledgers.items():
        for name, members in ledger.groups().items():
            if any((root, job) in left for job in members):
                composed = compose_all(list(members.values()))
                specs_of = {ledger.enter(spec): spec for spec in composed}
                if set(specs_of) == set(members) and name == ledger.group_name(list(members)):  # else something changed
                    groups.append(Group(ledger, specs_of, name))
                    for job in members:
                        left.pop((root, job), None)
    alike: dict[tuple[Path, str], dict[str, tuple[ExperimentConfig, list[str]]]] = {}
    for (root, job), member in left.items():
        alike.setdefault((root, group_key(member[0])), {})[job] = member
    for (root, _), together in alike.items():
        name = ledgers[root].remember_group({job: overrides for job, (_, overrides) in together.items()})
        groups.append(Group(ledgers[root], {job: spec for job, (spec, _) in together.items()}, name))
    return groups


def group_key(spec: ExperimentConfig) -> str:
    """Return what jobs of one group share: all but the row's name, the seed, the numbers that stack, and what
    draws rows or outcomes anew.
    """
    sections: dict[str, Any] = spec.to_dict()
    for name in ("name", "seed"):
        sections.pop(name)
    for group in {"optimizer", "objective"} & set(sections):
        sections[group] = {key: None if isinstance(value, float) else value for key, value in sections[group].items()}
    if isinstance(penalties := sections.get("penalty"), dict):
        sections["penalty"] = {name: {**penalty, "weight": None} for name, penalty in penalties.items()}
    for group, resampling_keys in (
        ("dataset", spec.components.dataset.card.resampled_by),
        ("split", spec.split.target.resampled_by),
    ):
        sections[group] = {key: None if key in resampling_keys else value for key, value in sections[group].items()}
    sections["selection"] = {**sections["selection"], "candidates": sorted(spec.candidates)}
    return json.dumps(sections, sort_keys=True, default=str)
