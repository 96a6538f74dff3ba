"""What was prepared last, handed from job to job: those of a study mostly differ in what comes after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.prepared import PreparedData, RunPlan


@dataclass
class PreparedCache:
    """Holds the data that were prepared last; sent to another process, it arrives empty.

    Attributes:
        slots: how many different ones it holds: as many as jobs that are trained together need at once.
        held: by what they depend on, the last used at the end.
    """

    slots: int = 1
    held: dict[str, PreparedData] = field(default_factory=dict)

    def prepare(self, config: ExperimentConfig, plan: RunPlan) -> PreparedData:
        """Return what stands before the job's fits, prepared now unless it is held."""
        from causalrec.running.prepare import prepare_data

        key = prepared_key(config, plan)
        prepared = self.held.pop(key, None)
        if prepared is None:
            while len(self.held) >= self.slots:  # before another is made: no more than `slots` take memory
                self.held.pop(next(iter(self.held)))
            prepared = prepare_data(config, plan)
        self.held[key] = prepared
        return prepared

    def __getstate__(self) -> dict[str, object]:
        return {"slots": 1, "held": {}}


def prepared_key(config: ExperimentConfig, plan: RunPlan) -> str:
    """Return what the data that stand before a job's fits depend on."""
    components = (config.task, config.dataset, config.split, config.propensity)
    settings = [component.to_dict() for component in components]
    added = {name: component.to_dict() for name, component in config.augmentation.items()}
    placebo = config.run.placebo
    seed = config.run.seed if added or placebo.source else None  # augmentations may draw; a placebo does
    learner = config.components.learner
    folds = learner.folds(config, 0) if learner else None  # what the learner's parts allow
    fits_validation = learner is not None and learner.fits_validation
    read = [plan, config.run.paths.data, config.run.selection, folds, fits_validation, config.run.evaluation.cluster]
    return repr([settings, added, seed, config.trial, placebo, *read])
