"""What a run is asked for: one typed field for each group of components.

The contracts are imported for types alone, so that a configuration is read without torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.config.component import ComponentConfig
from causalrec.config.run_config import RunConfig
from causalrec.ids import job_folder
from causalrec.redaction import redact_settings

if TYPE_CHECKING:
    from causalrec.data.augmentation.base import AbstractAugmentation
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.data.sampler.base import AbstractSampler
    from causalrec.data.split.base import AbstractSplit
    from causalrec.encoders.base import AbstractAnyEncoder
    from causalrec.encoders.finetuning.base import AbstractFinetuning
    from causalrec.estimators.objective.base import AbstractObjective
    from causalrec.estimators.penalty.base import AbstractPenalty
    from causalrec.evaluation.baseline.base import AbstractBaseline
    from causalrec.evaluation.refuter.base import AbstractRefuter
    from causalrec.evaluation.slice.base import AbstractSlice
    from causalrec.graph.causal_graph import CausalGraph
    from causalrec.heads.base import AbstractHead
    from causalrec.learners.base import AbstractLearner
    from causalrec.metrics.base import AbstractMetric
    from causalrec.propensity.base import AbstractPropensity
    from causalrec.rerankers.base import AbstractReranker
    from causalrec.tasks.base import AbstractTask
    from causalrec.tracking.loggers import AbstractLogger
    from causalrec.training.optimizer import AbstractOptimizer
    from causalrec.training.scheduler import AbstractScheduler
    from causalrec.training.trainer import TrainerSettings

GROUPS: Mapping[str, str] = {  # a group of one component: the contract it must fulfil
    "task": "causalrec.tasks.base.AbstractTask",
    "dataset": "causalrec.data.datasets.base.AbstractDataset",
    "graph": "causalrec.graph.causal_graph.CausalGraph",
    "split": "causalrec.data.split.base.AbstractSplit",
    "propensity": "causalrec.propensity.base.AbstractPropensity",
    "learner": "causalrec.learners.base.AbstractLearner",
    "encoder": "causalrec.encoders.base.AbstractAnyEncoder",
    "finetuning": "causalrec.encoders.finetuning.base.AbstractFinetuning",
    "head": "causalrec.heads.base.AbstractHead",
    "objective": "causalrec.estimators.objective.base.AbstractObjective",
    "sampler": "causalrec.data.sampler.base.AbstractSampler",
    "optimizer": "causalrec.training.optimizer.AbstractOptimizer",
    "scheduler": "causalrec.training.scheduler.AbstractScheduler",
    "trainer": "causalrec.training.trainer.TrainerSettings",
    "logger": "causalrec.tracking.loggers.AbstractLogger",
}
COLLECTIONS: Mapping[str, str] = {  # a group of components by name
    "penalty": "causalrec.estimators.penalty.base.AbstractPenalty",
    "augmentation": "causalrec.data.augmentation.base.AbstractAugmentation",
    "metric": "causalrec.metrics.base.AbstractMetric",
    "slice": "causalrec.evaluation.slice.base.AbstractSlice",
    "baseline": "causalrec.evaluation.baseline.base.AbstractBaseline",
    "refuter": "causalrec.evaluation.refuter.base.AbstractRefuter",
    "reranker": "causalrec.rerankers.base.AbstractReranker",
}
OPTIONAL = frozenset({"learner"})  # a task may do without
NETWORK_GROUPS = frozenset(
    {"encoder", "finetuning", "head", "objective", "penalty", "sampler", "augmentation", "optimizer", "scheduler"}
) | {"trainer"}
LEARNER_GROUPS = NETWORK_GROUPS | {"representation"}  # read by a learner, each by some
SHOWN_TRAINER_SETTINGS = frozenset({"progress", "checkpoint_steps", "checkpoint_seconds"})  # no result depends on them
TRIAL_SETTINGS = ("limit_users", "limit_items", "limit_rows")  # of the data: all that is read where no network trains
UNHASHED = frozenset({"paths", "logger", "sweep", "name", "refute", "refuter", "choices"})
Candidates = Mapping[str, tuple[float, ...]]  # numbers to try, by the path of the setting


@dataclass(frozen=True)
class Trial:
    """How much of the data a smoke run reads.

    Attributes:
        users: the first users.
        items: the first items.
        rows: of each slice that is scored.
        fit_rows: of a batch, and of the validation.
    """

    users: int
    items: int
    rows: int
    fit_rows: int


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a request says of the question and the data: all that can be judged before a network is imported.

    Attributes:
        run: the scalars.
        task: the question that the run answers.
        dataset: the data set.
        graph: the causal graph.
        split: of the rows.
        propensity: the model of the propensities.
        slice: test rows that the metrics are taken on, by name.
        baseline: predictions without training, by name.
        reranker: of the lists that users are shown, by name.
    """

    run: RunConfig
    task: ComponentConfig[AbstractTask]
    dataset: ComponentConfig[AbstractDataset]
    graph: ComponentConfig[CausalGraph]
    split: ComponentConfig[AbstractSplit]
    propensity: ComponentConfig[AbstractPropensity]
    slice: Mapping[str, ComponentConfig[AbstractSlice]]
    baseline: Mapping[str, ComponentConfig[AbstractBaseline]]
    reranker: Mapping[str, ComponentConfig[AbstractReranker]]

    @cached_property
    def components(self) -> DataComponents:
        """The components that need nothing of the data, built once."""
        return DataComponents(
            task=self.task.build(), dataset=self.dataset.build(), graph=self.graph.build(), split=self.split.build()
        )


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """A validated request: the scalars, and one checked component for each group (collections by name).

    Attributes:
        run: the scalars.
        task: the question that the run answers.
        dataset: the data set.
        graph: the causal graph.
        split: of the rows.
        propensity: the model of the propensities.
        learner: what fits; None where the task needs no fit.
        encoder: of users and items.
        finetuning: how much of a pretrained language model is trained.
        head: what reads the encoder's vectors.
        objective: what a fit minimises.
        sampler: of the training batches.
        optimizer: of the weights.
        scheduler: of the learning rates.
        trainer: how to train.
        logger: of the job.
        penalty: terms added to the objective, by name.
        augmentation: of the training rows, by name.
        metric: scores, by name.
        slice: test rows that the metrics are taken on, by name.
        baseline: predictors without training that are scored alike, by name.
        refuter: attempts to break what was learnt, by name.
        reranker: of the lists that users are shown, by name.
        overrides: what was asked for on the command line; part of the record, not of the key.
        moved_to: the folder of a finished run that was opened again; None before.
    """

    run: RunConfig
    task: ComponentConfig[AbstractTask]
    dataset: ComponentConfig[AbstractDataset]
    graph: ComponentConfig[CausalGraph]
    split: ComponentConfig[AbstractSplit]
    propensity: ComponentConfig[AbstractPropensity]
    learner: ComponentConfig[AbstractLearner] | None
    encoder: ComponentConfig[AbstractAnyEncoder]
    finetuning: ComponentConfig[AbstractFinetuning]
    head: ComponentConfig[AbstractHead]
    objective: ComponentConfig[AbstractObjective]
    sampler: ComponentConfig[AbstractSampler]
    optimizer: ComponentConfig[AbstractOptimizer]
    scheduler: ComponentConfig[AbstractScheduler]
    trainer: ComponentConfig[TrainerSettings]
    logger: ComponentConfig[AbstractLogger]
    penalty: Mapping[str, ComponentConfig[AbstractPenalty]]
    augmentation: Mapping[str, ComponentConfig[AbstractAugmentation]]
    metric: Mapping[str, ComponentConfig[AbstractMetric]]
    slice: Mapping[str, ComponentConfig[AbstractSlice]]
    baseline: Mapping[str, ComponentConfig[AbstractBaseline]]
    refuter: Mapping[str, ComponentConfig[AbstractRefuter]]
    reranker: Mapping[str, ComponentConfig[AbstractReranker]]
    overrides: tuple[str, ...] = field(default=())
    moved_to: Path | None = None

    @cached_property
    def components(self) -> Components:
        """The components that need nothing of the data, built once."""
        return Components(
            **vars(self.data_request.components),
            learner=self.learner.build() if self.learner else None,
            logger=self.logger.build(),
        )

    @cached_property
    def data_request(self) -> DataRequest:
        """What it says of the question and the data."""
        return DataRequest(**{field.name: getattr(self, field.name) for field in fields(DataRequest)})

    @cached_property
    def unread(self) -> frozenset[str]:
        """The groups and sections that nothing reads: neither the learner nor, of a trial, the data."""
        unread = LEARNER_GROUPS - (self.learner.target.groups if self.learner else frozenset())
        return unread if self.trial is None else unread - {"trainer"}

    @property
    def trains(self) -> bool:
        """Whether its learner is trained by the trainer."""
        return self.learner is not None and "trainer" in self.learner.target.groups

    @property
    def has_weights(self) -> bool:
        """Whether encoder or head has a parameter that is trained: a language model that is only asked has none."""
        trains = self.finetuning.target.trains
        return self.encoder.target.has_weights(self.encoder.settings, trains) or self.head.target.has_weights(
            self.head.settings
        )

    @cached_property
    def trial(self) -> Trial | None:
        """What a smoke run leaves of the data, whatever learns from them; None where nothing is left out."""
        limits = [self.trainer.setting(name) for name in TRIAL_SETTINGS]
        if all(limit is None for limit in limits):
            return None
        users, items, rows = (1 << 62 if limit is None else int(str(limit)) for limit in limits)
        if self.encoder.target.reads_pair_text:  # no vector of a text serves two rows
            return Trial(users, items, rows=max(1, rows // 100), fit_rows=max(1, rows // 400))
        fit_rows = max(1, rows // 128) if self.encoder.target.reads_text else rows
        return Trial(users, items, rows=rows, fit_rows=fit_rows)

    @cached_property
    def candidates(self) -> Candidates:
        """The numbers that are tried, by the path of the setting; none where one fit is made as it is."""
        requested = self.run.selection.candidates
        if requested == "none" or (requested == "auto" and not self.has_weights):
            return {}
        if requested == "auto" and self.trial is not None:
            return {}
        if requested == "auto":
            requested = {f"optimizer.{key}": [*values] for key, values in self.optimizer.target.candidates.items()}
        return {path: tuple(values) for path, values in requested.items() if path.partition(".")[0] not in self.unread}

    def to_dict(self) -> dict[str, object]:
        """Return the whole configuration with every default, as JSON holds it; what is not read is left out."""
        tuned = self.candidates
        sections: dict[str, object] = self.run.model_dump(mode="json")
        selection = {**self.run.selection.model_dump(mode="json"), "candidates": {k: [*v] for k, v in tuned.items()}}
        sections |= {"selection": selection}
        if self.run.placebo.source is None:  # records before had no such section
            del sections["placebo"]
        sections["choices"] = {k: v for k, v in self.run.choices.items() if k not in self.unread}
        for name, component in self.groups():
            sections[name] = _without_tuned(component.to_dict(), name, tuned)
        if not self.trains:
            sections["trainer"] = {
                k: v for k, v in self.trainer.to_dict().items() if k in ("_target_", *TRIAL_SETTINGS)
            }
        for name, members in self.collections():
            sections[name] = {k: _without_tuned(v.to_dict(), f"{name}.{k}", tuned) for k, v in members.items()}
        return redact_settings({name: section for name, section in sections.items() if name not in self.unread})

    def requested_members(self, group: str) -> list[str]:
        """Return the members of a collection that were asked for by name, rather than a task's defaults."""
        texts = [text.partition("=") for text in self.overrides]
        values = [value for key, _, value in texts if key.lstrip("+") == group]
        names = [name.strip(" '\"") for value in values for name in value.strip("[] ").split(",")]
        return [name for name in dict.fromkeys(names) if name]

    def groups(self) -> Iterator[tuple[str, ComponentConfig[object]]]:
        """Yield the groups of one component, where there is one."""
        for name in (group.name for group in fields(self)):
            component = getattr(self, name)
            if isinstance(component, ComponentConfig):
                yield name, component

    def collections(self) -> Iterator[tuple[str, Mapping[str, ComponentConfig[object]]]]:
        """Yield the groups of components by name."""
        for name in COLLECTIONS:
            yield name, getattr(self, name)

    def replace(self, **changes: object) -> ExperimentConfig:
        """Return the configuration with some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @cached_property
    def key(self) -> str:
        """Hash of what determines the result: everything but folders, names, the logger, how progress is shown and
        when it is saved."""
        sections = {name: section for name, section in self.to_dict().items() if name not in UNHASHED}
        evaluation = self.run.evaluation
        unset = {"memory_mb", "submodels"}  # what changes no score, and what records before did not hold
        unset |= {"cluster"} if evaluation.cluster == "auto" else set()
        sections["evaluation"] = evaluation.model_dump(mode="json", exclude=unset)
        if not self.reranker:  # records before had none
            del sections["reranker"]
        learner, trainer = sections.get("learner"), sections.get("trainer")
        if isinstance(learner, dict):  # records before had no second encoder
            sections["learner"] = {k: v for k, v in learner.items() if k != "second_encoder" or v is not None}
        if isinstance(trainer, dict):
            unset = {k for k in TRIAL_SETTINGS if trainer.get(k) is None}
            sections["trainer"] = {k: v for k, v in trainer.items() if k not in SHOWN_TRAINER_SETTINGS | unset}
        return hashlib.sha256(json.dumps(sections, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @cached_property
    def folder(self) -> Path:
        """Where this job's record goes, or lies where a finished run was opened again."""
        run = self.run
        return self.moved_to or job_folder(run.paths.runs / run.sweep, run.name, run.seed, self.key)


def _without_tuned(section: dict[str, object], path: str, tuned: Candidates) -> dict[str, object]:
    return {key: value for key, value in section.items() if f"{path}.{key}" not in tuned}


@dataclass(frozen=True, kw_only=True)
class DataComponents:
    """The components of a question about data.

    Attributes:
        task: the question.
        dataset: the data set.
        graph: the causal graph.
        split: of the rows.
    """

    task: AbstractTask
    dataset: AbstractDataset
    graph: CausalGraph
    split: AbstractSplit


@dataclass(frozen=True, kw_only=True)
class Components:
    """The components of a run that need nothing of the data.

    Attributes:
        task: the question.
        learner: what fits; None where nothing does.
        dataset: the data set.
        graph: the causal graph.
        split: of the rows.
        logger: of the job.
    """

    task: AbstractTask
    learner: AbstractLearner | None
    dataset: AbstractDataset
    graph: CausalGraph
    split: AbstractSplit
    logger: AbstractLogger
