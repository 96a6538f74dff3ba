"""How many fits a launch will make, told before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

from causalrec.config.schema import ExperimentConfig
from causalrec.training.folds import FEW_ROWS


def job_summary(config: ExperimentConfig) -> str:
    """Say what one job will do: how many fits, of which candidates."""
    tried = config.candidates
    if not config.trains:
        return f"running {config.run.name}"
    combined = math.prod(len(values) for values in tried.values())
    fits = _fits(config, combined)
    numbers = ", ".join(f"{path} {'|'.join(f'{value:g}' for value in values)}" for path, values in tried.items())
    further = ", further where the best stands at an end" if combined > 1 and config.run.selection.extend else ""
    return f"running {config.run.name}: {fits}" + (f", choosing {numbers}{further}" if tried else "")


def fits_of_each(configs: Sequence[ExperimentConfig]) -> str:
    """Say how many fits a job of a sweep makes, where each makes as many."""
    fits = {
        _fits(config, math.prod(len(values) for values in config.candidates.values()))
        for config in configs
        if config.trains
    }
    return f"; each {fits.pop()}" if len(fits) == 1 else ""


def _fits(config: ExperimentConfig, combined: int) -> str:
    """Say how many fits `combined` candidates take, where the number of validation rows is not yet known."""
    learner = config.components.learner
    few, many = ((learner.folds(config, rows).count if learner else 1) for rows in (0, FEW_ROWS))
    by_folds = _count_fits(combined * few + (few > 1))
    if few == many:
        return by_folds
    return f"{_count_fits(combined)}, or {by_folds} by {few} folds under {FEW_ROWS:,} validation rows"


def _count_fits(number: int) -> str:
    return f"{number} fit{'' if number == 1 else 's'}"
