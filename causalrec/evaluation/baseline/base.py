"""The contract of a baseline: fitted on the training log alone, beside every model in every table."""

from abc import ABC, abstractmethod
from typing import ClassVar

from causalrec.data.log import InteractionLog
from causalrec.solvers.convergence import Convergence
from causalrec.types import Estimand, Floats, Ints


class AbstractBaseline(ABC):
    """A trivial predictor. Constructor keywords are its YAML keys; concrete classes are final.

    `estimand`: it predicts the mean outcome under exposure, or the effect of each arm. `tells_items_apart`: two items
    of one user may have other predictions. `in_outcome_unit`: it predicts a mean outcome, not a score that only ranks.
    """

    estimand: ClassVar[Estimand] = "exposed_mean"
    tells_items_apart: ClassVar[bool] = True
    in_outcome_unit: ClassVar[bool] = True

    @abstractmethod
    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        """Learn from the training log (a biased one, where exposure was).

        `context`: rows that only the history of a later row may read (`Splits.context`); most baselines read none.
        """

    @abstractmethod
    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        """Return predicted mean outcomes float32[N], or effects float32[N,A]; `time` of each row, where it has one."""

    @property
    def fits(self) -> tuple[Convergence, ...]:
        """How its iterative fits ended; none where it has a formula."""
        return ()
