"""How one fit goes: its curve, its best epoch, and when it stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from causalrec.training.fit_result import Epoch


@dataclass
class EarlyStoppingState:
    """Follows the criterion by Lightning's rules (EarlyStopping, ModelCheckpoint): the first epoch is best until one is
    strictly better; it stops after `patience` epochs without, or where the criterion is not finite.

    Without a criterion (a refit) the last epoch is the best.

    Attributes:
        patience: epochs without improvement before the stop.
        criterion: of the best epoch.
        best_epoch: from 0.
        epochs_without_improvement: since the best.
        stopped: whether the fit has ended.
        curve: one point for each epoch.
        seconds: its share of the training steps.
        warnings: of the objective, after the last epoch.
    """

    patience: int
    criterion: float = math.nan
    best_epoch: int = 0
    epochs_without_improvement: int = 0
    stopped: bool = False
    curve: list[Epoch] = field(default_factory=list)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.curve)

    def update(self, epoch: int, loss: float, criterion: float | None) -> bool:
        """Note an epoch's mean loss and criterion; return whether its weights are the best so far.

        >>> state = EarlyStoppingState(patience=2)
        >>> [state.update(k, 0.0, c) for k, c in enumerate([3.0, 2.0, 2.0, 2.5])], state.stopped, state.best_epoch
        ([True, True, False, False], True, 1)
        """
        self.curve.append(Epoch(epoch, loss, criterion))
        if criterion is None:
            self.best_epoch = epoch
            return True
        better = self.epochs == 1 or criterion < self.criterion
        self.epochs_without_improvement = 0 if better else self.epochs_without_improvement + 1
        self.stopped = self.epochs_without_improvement >= self.patience or not math.isfinite(criterion)
        if better:
            self.best_epoch = epoch
            self.criterion = criterion if not math.isnan(criterion) else math.inf
        return better
