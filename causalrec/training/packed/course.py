"""The course of one fit: its curve, its best epoch, and when it stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from causalrec.training.fit import Epoch


@dataclass
class Course:
    """Follows the criterion by Lightning's rules (EarlyStopping, ModelCheckpoint): the first epoch is best until one is
    strictly better; it stops after `patience` epochs without, or where the criterion is not finite.

    Without a criterion (a refit) the last epoch is the best.
    """

    patience: int
    criterion: float = math.nan
    best_epoch: int = 0
    waited: int = 0
    stopped: bool = False
    curve: list[Epoch] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.curve)

    def after(self, epoch: int, loss: float, criterion: float | None) -> bool:
        """Note an epoch's mean loss and criterion; return whether its weights are the best so far.

        >>> course = Course(patience=2)
        >>> [course.after(k, 0.0, c) for k, c in enumerate([3.0, 2.0, 2.0, 2.5])], course.stopped, course.best_epoch
        ([True, True, False, False], True, 1)
        """
        self.curve.append(Epoch(epoch, loss, criterion))
        if criterion is None:
            self.best_epoch = epoch
            return True
        better = self.epochs == 1 or criterion < self.criterion
        self.waited = 0 if better else self.waited + 1
        self.stopped = self.waited >= self.patience or not math.isfinite(criterion)
        if better:
            self.best_epoch = epoch
            self.criterion = criterion if not math.isnan(criterion) else math.inf
        return better
