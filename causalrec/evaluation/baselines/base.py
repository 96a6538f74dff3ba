"""The contract of a baseline: fitted on the training log alone, beside every model in every table."""

from abc import ABC, abstractmethod

from causalrec.data.log import InteractionLog
from causalrec.types import Floats, Ints


class AbstractBaseline(ABC):
    """A trivial predictor of the mean outcome. Constructor keywords are its YAML keys; concrete classes are final."""

    @abstractmethod
    def fit(self, log: InteractionLog) -> None:
        """Learn from the training log (a biased one, where exposure was)."""

    @abstractmethod
    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return predicted mean outcomes float32[N]."""
