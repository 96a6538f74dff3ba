"""A deployment: for each user items drawn by a policy over a run, with the probability that each had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from causalrec.data.contexts import ActionDistribution
from causalrec.data.files import replace_atomically
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.once_per_user import contexts_of_users
from causalrec.policies.scores.base import AbstractScores, ActionScores
from causalrec.progress import progress
from causalrec.running.run_scores import RunScores, scores_of_run
from causalrec.running.trained_run import TrainedRun
from causalrec.types import Doubles, Ints

PAIRS_AT_ONCE = 1 << 22  # of users and items, whose probabilities are held


@dataclass(frozen=True, kw_only=True)
class _OpenRun(AbstractScores):
    """The scores of a run that is opened already; its draws are those of its row."""

    can_draw: ClassVar[bool] = True
    run: TrainedRun
    treatment: int

    def bind(self, source: PolicySource) -> ActionScores:
        return scores_of_run(self.run, source, self.treatment)

    def draws(self, source: PolicySource, count: int | None) -> Sequence[ActionScores]:
        return RunScores(folder=self.run.config.folder, treatment=self.treatment).draws(source, count)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Items drawn for users, independently in each round, among all items, whoever met them before.

    Attributes:
        run: whose users and items they are.
        distribution: of the policy.
        policy: its name and settings, in words, written into every row.
        users: int64[M], rows of users, each once.
        rounds: N, how many items are drawn for each user, with replacement.
        seed: of the draws: the same gives the same.
    """

    run: TrainedRun
    distribution: ActionDistribution
    policy: str
    users: Ints
    rounds: int
    seed: int

    def write(self, out: Path) -> None:
        """Write M x N rows as CSV: user, item, propensity, round, policy; and beside it the ids of all items.

        Both appear when all rows are written, the rows last; until then, and where it fails, nothing does.
        """
        dataset = self.run.prepared.dataset
        users, items = _raw_ids(dataset.user_ids, self._sizes[0]), _raw_ids(dataset.item_ids, self._sizes[1])
        with replace_atomically(out) as rows, replace_atomically(items_path(out)) as catalogue:
            pl.DataFrame({"item": items}).write_csv(catalogue)
            with rows.open("wb") as file, progress("drawing items", len(self.users), "users") as step:
                for number, (user, item, propensity) in enumerate(self._draw()):
                    table = pl.DataFrame(
                        {
                            "user": users[np.repeat(user, self.rounds)],
                            "item": items[item.ravel()],
                            "propensity": propensity.ravel(),
                            "round": np.tile(np.arange(1, self.rounds + 1), len(user)),
                        }
                    )
                    table = table.with_columns(pl.lit(self.policy).alias("policy"))
                    table.write_csv(file, include_header=number == 0)
                    step.advance(len(user))

    @property
    def _sizes(self) -> tuple[int, int]:
        log = self.run.prepared.dataset.logged
        return max(log.num_users, 1), log.num_items

    def _draw(self) -> Iterator[tuple[Ints, Ints, Doubles]]:
        """Yield blocks of users int64[m], the items drawn for each int64[m,N], and their probabilities float64[m,N]."""
        rng, (num_users, num_items) = np.random.default_rng(self.seed), self._sizes
        step = max(1, PAIRS_AT_ONCE // num_items)
        for start in range(0, len(self.users), step):
            users = self.users[start : start + step]
            probability = self.distribution(contexts_of_users(users, num_users, num_items))
            item = draw_actions(probability, rng.random((len(users), self.rounds)))
            yield users, item, np.take_along_axis(probability, item, 1)


def deployed_distribution(run: TrainedRun, policy: AbstractPolicy, seed: int) -> ActionDistribution:
    """Bind a policy over the scores of an opened run to the data of that run."""
    prepared = run.prepared
    policy.check(prepared.dataset.card)
    source = PolicySource(dataset=prepared.dataset, train=prepared.train, test=prepared.splits.test, seed=seed)
    return policy.bind(source)


def open_scores(run: TrainedRun, treatment: int = 1) -> AbstractScores:
    """Return what an opened run ranks by, as scores of a policy; `treatment`: the arm whose effect is meant."""
    return _OpenRun(run=run, treatment=treatment)


def draw_actions(probability: Doubles, uniform: Doubles) -> Ints:
    """Return the actions that uniform numbers in [0, 1) stand for, int64[B,N], by the inverse of each row's sums.

    Args:
        probability: float64[B,A], rows of which sum to 1.
        uniform: float64[B,N].

    >>> draw_actions(np.array([[0.0, 0.25, 0.75]]), np.array([[0.0, 0.2, 0.25, 0.999]])).tolist()
    [[1, 1, 2, 2]]
    """
    sums = np.cumsum(probability, axis=1)
    last = probability.shape[1] - 1 - np.argmax(probability[:, ::-1] > 0, axis=1)  # rounding may lead beyond it
    rows = zip(sums, uniform * sums[:, -1:], strict=True)
    drawn_rows = [np.searchsorted(row, wanted, side="right") for row, wanted in rows]
    actions: Ints = np.minimum(np.stack(drawn_rows), last[:, None])
    return actions


def items_path(out: Path) -> Path:
    """Return where the ids of all items stand beside a deployment: `shown.csv` has `shown.items.csv`."""
    return out.with_suffix(f".items{out.suffix}")


def _raw_ids(ids: pl.Series | None, count: int) -> pl.Series:
    return pl.Series(range(count), dtype=pl.Int64) if ids is None else ids
