"""What a stored trial must hold before anything is counted, queued again or shown of it."""

from __future__ import annotations

import contextlib
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from causalrec.sweeps.claim_holder import ClaimHolder, parse_holder

POSITION = "place"  # attribute: the trial's number among those that count
HOLDER = "holder"  # attribute: the process that runs it
REASON = "reason"  # attribute: why it has no value


def is_counted(trial: FrozenTrial) -> bool:
    """Return whether a trial is one of the `n_trials`: it has a value, a reason why it has none, or runs."""
    return trial.state in (TrialState.COMPLETE, TrialState.RUNNING) or REASON in trial.user_attrs


def holder_of(trial: FrozenTrial) -> ClaimHolder | None:
    """Return the process that runs a trial, None where the trial names none."""
    return parse_holder(json.dumps(trial.user_attrs.get(HOLDER)).encode())


def queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a dead trial's settings again, under its position; without its holder, which is gone."""
    position = {POSITION: trial.user_attrs[POSITION]} if POSITION in trial.user_attrs else {}
    fixed = {key: value for key, value in trial.system_attrs.items() if key == "fixed_params"}
    with contextlib.suppress(ValueError):  # settings that cannot be stored are drawn anew
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=position,
                system_attrs=fixed,
            )
        )


def check_trials(trials: Sequence[FrozenTrial]) -> None:
    """Raise ValueError where a trial has a position that no study gives, or a value that is none."""
    for trial in trials:
        position = trial.user_attrs.get(POSITION)
        is_position = isinstance(position, int) and not isinstance(position, bool) and 0 <= position < len(trials)
        has_none_yet = POSITION not in trial.user_attrs and not (is_counted(trial) and trial.state.is_finished())
        if not (is_position or has_none_yet):
            raise ValueError(f"trial {_short(trial.number)} has the position {_short(position)}")
        if trial.state is TrialState.COMPLETE and not _is_finite(trial.values):
            raise ValueError(f"trial {_short(trial.number)} has the value {_short(trial.values)}")


def check_settings(trials: Sequence[FrozenTrial], searched: Mapping[str, BaseDistribution]) -> None:
    """Raise ValueError where a trial has a value whose settings lie outside what is searched."""
    for trial in trials:
        if trial.state is TrialState.COMPLETE and (problem := find_unfit_setting(trial, searched)):
            raise ValueError(f"trial {trial.number} has {problem}, outside what is searched")


def find_unfit_setting(trial: FrozenTrial, searched: Mapping[str, BaseDistribution]) -> str:
    """Return the first setting that a trial has, or is to have, outside what is searched; empty where there is none."""
    fixed = trial.system_attrs.get("fixed_params", {})
    if not isinstance(fixed, dict):
        return f"the settings {_short(fixed)}"
    for key, value in [*fixed.items(), *trial.params.items()]:
        if key not in searched or not _fits(value, searched[key]):
            return f"{_short(key)}={_short(value)}"
    for key, distribution in trial.distributions.items():
        try:
            check_distribution_compatibility(searched[key], distribution)
        except ValueError:
            return f"another range of {key}"
    return ""


def unlikely_beats(storage: RDBStorage, trials: Sequence[FrozenTrial], grace: float) -> set[int]:
    """Return the numbers of running trials whose last beat lies in the future, or that have a holder and no beat.

    A launcher beats before it says that it holds a trial, so that silence is no trial's beginning. Optuna takes both
    for alive; they last as long as a clock that was set back, or for ever.

    Args:
        storage: the database.
        trials: that run.
        grace: seconds by which clocks may differ.
    """
    table: Any = sqlalchemy.table(
        "trial_heartbeats",
        sqlalchemy.column("trial_id", sqlalchemy.Integer),
        sqlalchemy.column("heartbeat", sqlalchemy.DateTime),
    )
    numbers = {trial._trial_id: trial.number for trial in trials}
    with storage.engine.connect() as connection:
        now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
        rows = connection.execute(
            sqlalchemy.select(table.c.trial_id, table.c.heartbeat).where(table.c.trial_id.in_(numbers))
        )
        beats = {key: beat for key, beat in rows.all() if beat is not None}
    late = {numbers[key] for key, beat in beats.items() if beat - now > timedelta(seconds=grace)}
    return late | {t.number for t in trials if t._trial_id not in beats and t.user_attrs.get(HOLDER) is not None}


def _is_finite(values: Sequence[float] | None) -> bool:
    return values is not None and len(values) == 1 and isinstance(values[0], float) and math.isfinite(values[0])


def _fits(value: Any, distribution: BaseDistribution) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError, OverflowError):
        return False


def _short(value: object) -> str:
    return reprlib.repr(value)
