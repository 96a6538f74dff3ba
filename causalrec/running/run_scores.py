"""A finished run as scores that a policy orders actions by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import Contexts
from causalrec.errors import RequestError
from causalrec.policies.base import PolicySource
from causalrec.policies.scores.base import AbstractScores, ActionScores
from causalrec.records.run_record import RECORD
from causalrec.running.reopen import read_record
from causalrec.running.run_ids import IdMatch, check_untrained, match_ids
from causalrec.types import Count, Doubles, Ints

if TYPE_CHECKING:  # what is asked is judged without torch
    from causalrec.running.trained_run import TrainedRun

FEWEST_DRAWS = 2


@dataclass(frozen=True, kw_only=True)
class RunScores(AbstractScores):
    """What a finished run ranks items by: its predicted mean outcome, or effect.

    Users and items are matched by their ids in the raw files; the run must rank the same items, and know every user of
    the rounds. Its draws are the finished runs of its row, `runs/SWEEP/ROW/seed*-*`, in order of their seeds. Raises
    RequestError where it is no finished run, is one of other items or users, was trained on rounds that the policy is
    judged by, or reads columns of a moment.

    Attributes:
        folder: of one run, or of a row that holds no other; for its draws of any run of the row, or of the row.
        treatment: the arm whose effect is meant, where a run of effects has several.
    """

    can_draw: ClassVar[bool] = True
    folder: Path
    treatment: Count = 1

    def check(self, card: DatasetCard) -> None:
        if not (self.folder.is_dir() and len(_runs_of(self.folder)) > 1):
            _check_done(self.folder)

    def bind(self, source: PolicySource) -> ActionScores:
        from causalrec.running.trained_run import TrainedRun

        _check_done(self.folder)
        return scores_of_run(TrainedRun.load(self.folder), source, self.treatment)

    def draws(self, source: PolicySource, count: int | None) -> Sequence[ActionScores]:
        from causalrec.running.trained_run import TrainedRun

        row = self.folder if _runs_of(self.folder) else self.folder.resolve().parent
        runs = [run for run in _runs_of(row) if read_record(run).done]
        wanted = len(runs) if count is None else count
        if not FEWEST_DRAWS <= wanted <= len(runs):
            raise RequestError(
                f"{row}: its draws are its finished runs, {len(runs)}, and {max(wanted, FEWEST_DRAWS)} are needed; "
                f"train more seeds of this row (seed=0,1,.. -m), or ask for fewer draws"
            )
        return [scores_of_run(TrainedRun.load(run), source, self.treatment) for run in runs[:wanted]]


def scores_of_run(run: TrainedRun, source: PolicySource, treatment: int = 1) -> ActionScores:
    """Return contexts -> what an opened run ranks the actions by, float64[B,A]; RequestError as of `RunScores`."""
    match = match_ids(run, source)
    check_untrained(run, source, match)
    _check_users(run, source, match)

    def scores(contexts: Contexts) -> Doubles:
        users = np.zeros(len(contexts), np.int64) if contexts.user is None else match.users[contexts.user]
        return run.score_catalogue(users, treatment)[:, match.items]

    return scores


def _check_users(run: TrainedRun, source: PolicySource, match: IdMatch) -> None:
    """Raise RequestError where the run knows nothing of a user of the rounds that its policy is judged by."""
    rows = np.unique(source.test.users)
    unknown: Ints = rows[np.isin(match.users[rows], run.unknown_users(match.users[rows]))]
    if len(unknown):
        ids = source.dataset.user_ids
        raise RequestError(
            f"{run.config.folder}: knows nothing of {len(unknown)} of {len(rows)} users of the rounds (first: "
            f"{int(unknown[0]) if ids is None else ids[int(unknown[0])]}), whom it has not met in training; choose a "
            f"run that reads columns of users, or leave their rounds out"
        )


def _runs_of(row: Path) -> list[Path]:
    """Return the folders of the runs of a row, by seed."""
    folders = [record.parent for record in row.glob(f"seed*-*/{RECORD}")]
    return sorted(folders, key=lambda folder: (len(folder.name.partition("-")[0]), folder.name))


def _check_done(folder: Path) -> None:
    record = read_record(folder)
    if not record.done:
        raise RequestError(f"{folder}: the run is {record.status}, and has no scores; run it again first")
