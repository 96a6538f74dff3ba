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
        places = map(str, config.hydra.overrides.hydra)
        self.search_path = [text for text in places if text.startswith("hydra.searchpath")]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their outcomes in order."""
        returned = []
        for outcome in self.trained(compose_all([[*self.search_path, *job] for job in job_overrides]), job_overrides):
            one = JobReturn(status=JobStatus.COMPLETED)
            one.return_value = outcome
            returned.append(one)
        return returned

    def trained(self, specs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[JobOutcome]:
        """Train jobs, `jobs` being what was asked for each, group by group."""
        outcomes: dict[Path, JobOutcome] = {}
        for group in groups_of(specs, [[*self.search_path, *job] for job in jobs]):
            outcomes |= self._group(group)
        return [outcomes[spec.folder] for spec in specs]

    def _group(self, group: Group) -> dict[Path, JobOutcome]:
        """Train a group; only the jobs that this process could claim leave a record."""
        from causalrec.running.run import train_together
        from causalrec.training.stacked.stacked_fitter import StackedFitter

        claims = group.claimed()
        specs = list(group.specs.values())
        found = {spec.folder: unclaimed_outcome(spec, group.ledger, job) for job, spec in group.specs.items()}
        if not claims:
            return found
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
                found[spec.folder] = finish_claimed(spec, claims[job], result)
        fitter.delete_checkpoints()
        return found


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

    def claimed(self) -> dict[str, Claim]:
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
    found = []
    for root, ledger in ledgers.items():
        for name, members in ledger.groups().items():
            if any((root, job) in left for job in members):
                known = compose_all(list(members.values()))
                specs_of = {ledger.enter(spec): spec for spec in known}
                if set(specs_of) == set(members) and name == ledger.group_name(list(members)):  # else something changed
                    found.append(Group(ledger, specs_of, name))
                    for job in members:
                        left.pop((root, job), None)
    alike: dict[tuple[Path, str], dict[str, tuple[ExperimentConfig, list[str]]]] = {}
    for (root, job), member in left.items():
        alike.setdefault((root, likeness(member[0])), {})[job] = member
    for (root, _), together in alike.items():
        name = ledgers[root].remember_group({job: asked for job, (_, asked) in together.items()})
        found.append(Group(ledgers[root], {job: spec for job, (spec, _) in together.items()}, name))
    return found


def likeness(spec: ExperimentConfig) -> str:
    """Return what jobs of one group share: all but the row's name, the seed, the numbers that stack, and what
    draws rows or outcomes anew.
    """
    parts: dict[str, Any] = spec.to_dict()
    for name in ("name", "seed"):
        parts.pop(name)
    for group in {"optimizer", "objective"} & set(parts):
        parts[group] = {key: None if isinstance(value, float) else value for key, value in parts[group].items()}
    if isinstance(penalties := parts.get("penalty"), dict):
        parts["penalty"] = {name: {**one, "weight": None} for name, one in penalties.items()}
    for group, drawn in (
        ("dataset", spec.components.dataset.card.resampled_by),
        ("split", spec.split.target.resampled_by),
    ):
        parts[group] = {key: None if key in drawn else value for key, value in parts[group].items()}
    parts["selection"] = {**parts["selection"], "candidates": sorted(spec.candidates)}
    return json.dumps(parts, sort_keys=True, default=str)
