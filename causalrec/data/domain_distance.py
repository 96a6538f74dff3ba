"""How far a test is from the training rows: can a classifier tell them apart?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.dataset import CausalDataset
from causalrec.data.levels import level_indicators
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.solvers.linear_model import fit_linear_model
from causalrec.types import Doubles, Floats, Ints

FOLDS = 5
T_OF_FOLDS = 2.776  # the .975 quantile of t with 4 degrees of freedom
MAX_ROWS = 10_000  # of each side
BINS = 10
MAX_LEVELS = 100  # of a column that is read
RIDGE = 1.0


@dataclass(frozen=True)
class DomainDistance:
    """The AUC of a classifier that tells test rows from training rows, and its interval.

    Attributes:
        auc: .5 where they cannot be told apart, 1 where always.
        low: of the 95 % interval over folds, widened as they share rows (Nadeau & Bengio, Machine Learning 2003).
        high: likewise.
    """

    auc: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"[{self.low:.2f}, {self.high:.2f}]"
        return f"AUC {self.auc:.2f} {interval} of a classifier that tells its rows from training rows"


def domain_distance(
    dataset: CausalDataset, train: InteractionLog, test: InteractionLog, without: str | None = None
) -> DomainDistance:
    """Return how well a logistic regression, cross-fitted on 5 folds, tells test rows from training rows.

    It reads categories, lists and numbers of users and items, how often a user and an item stand in both logs together,
    and the time; numbers as indicators of tenths. Ids are not read. At most 10,000 rows of a side are drawn, with a
    fixed seed. The two-sample test by a classifier: Lopez-Paz & Oquab (ICLR 2017).

    Args:
        dataset: whose tables are read.
        train: the training rows.
        test: the rows that are scored.
        without: a column that is not read; None: all are.
    """
    rng = np.random.default_rng(0)
    logs = [log.take(np.sort(rng.permutation(len(log))[:MAX_ROWS])) for log in (train, test)]
    label = np.repeat([0.0, 1.0], [len(log) for log in logs])
    blocks = [list(_blocks(dataset, log, (train, test), without)) for log in logs]
    columns = [np.concatenate(pair) for pair in zip(*blocks, strict=True)]
    design = np.hstack([_as_indicators(each) for each in columns])
    fold = rng.permutation(np.arange(len(label)) % FOLDS)
    aucs = [_auc_of_fold(design, label, fold == k) for k in range(FOLDS)]
    half = T_OF_FOLDS * float(np.std(aucs, ddof=1)) * (1 / FOLDS + 1 / (FOLDS - 1)) ** 0.5
    auc = float(np.mean(aucs))
    return DomainDistance(auc, max(auc - half, 0.0), min(auc + half, 1.0))


def distance_words(dataset: CausalDataset, splits: Splits, without: str | None = None) -> str:
    """Say how far the test is from the training rows, a clause; `without`: a column that is not read."""
    read = "" if without is None else f", without {without}"
    return f"distance{read}: {domain_distance(dataset, splits.train, splits.test, without)}"


def _blocks(
    dataset: CausalDataset, log: InteractionLog, both: tuple[InteractionLog, ...], without: str | None
) -> Iterator[Floats]:
    """Yield what is read of each row of a log: `[N]` of numbers, `[N,L]` of levels."""
    sides = [("item", log.item), *([] if log.user is None else [("user", log.user)])]
    for side, ids in sides:
        yield _counts(side, both)[ids].astype(np.float32)
        table = dataset.item_table if side == "item" else dataset.user_table
        for column in dataset.card.columns:
            if column.entity != side or column.name not in table.columns or column.name == without:
                continue
            if column.kind == "numeric":
                yield table[column.name].cast(pl.Float64).to_numpy().astype(np.float32)[ids]
            elif column.kind in ("category", "multi_hot"):
                holds, names = level_indicators(table[column.name])
                if len(names) <= MAX_LEVELS:
                    yield holds[ids]
    if log.time is not None and all(each.time is not None for each in both):
        yield log.time.astype(np.float64)


def _counts(side: str, logs: tuple[InteractionLog, ...]) -> Ints:
    ids = np.concatenate([log.item if side == "item" else log.users for log in logs])
    return np.bincount(ids, minlength=logs[0].num_items if side == "item" else logs[0].num_users)


def _as_indicators(values: Floats) -> Doubles:
    if values.ndim == 2:
        return values.astype(np.float64)
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return np.eye(len(edges) + 1)[np.searchsorted(edges, values, side="right")]


def _auc_of_fold(design: Doubles, label: Doubles, held: np.ndarray) -> float:
    fitted = fit_linear_model(design[~held], label[~held], l2=RIDGE, link="logit")
    score = fitted.predict(design[held])
    order = np.unique(score, return_inverse=True, return_counts=True)
    upper = np.cumsum(order[2])
    rank = (upper - (order[2] - 1) / 2)[order[1]]  # ties share their mean rank
    positives = label[held] == 1
    count = positives.sum()
    return float((rank[positives].sum() - count * (count + 1) / 2) / max(count * (~positives).sum(), 1))
