"""The contract of a propensity model fitted before training."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from causalrec.data.arm_probabilities import arm_probabilities
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.data.sampler.rows import pairs_log
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Floats, Ints, PropensityKind


class AbstractPropensity(ABC):
    """P(exposed | view) of logged rows. Constructor keywords are its YAML keys; concrete classes are final.

    `uses_logged`: reads the log's own propensities; `needs_randomised_sample`: cannot be fitted without randomised
    rows;
    `scores_unlogged_pairs`: tells unlogged pairs apart, so that it can be judged against exposure (calibration);
    `kind`: of what it is the probability;
    `reads_texts`: its `features` are components of the vectors of texts, whatever the adjustment set names.
    """

    uses_logged: ClassVar[bool] = False
    needs_randomised_sample: ClassVar[bool] = False
    scores_unlogged_pairs: ClassVar[bool] = True
    kind: ClassVar[PropensityKind] = "exposure"
    reads_texts: ClassVar[bool] = False

    @abstractmethod
    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        """Learn from the training log; `features` is the propensity view.

        `randomised_sample`: randomised rows set aside for it.
        """

    @abstractmethod
    def predict(self, log: InteractionLog) -> Floats:
        """Return float32[N], a probability in (0, 1], for rows that need not be in the training log."""

    def treatment_probabilities(self, log: InteractionLog, arms: int) -> Floats:
        """Return P(treatment = a) for each row and arm, float32[N,A+1], whatever the row received; each row sums to 1.

        This default is what `predict` says of the arm received. Raises DataError where it does not tell the others.
        """
        probabilities = arm_probabilities(log.with_propensity(self.predict(log)), arms)
        assert probabilities is not None  # the log has propensities
        return probabilities

    @property
    def report(self) -> FitReport | None:
        """How its iterative fit ended, and checks of it; None where it has a formula."""
        return None

    @abstractmethod
    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        """Name the columns the model really reads; the record states where they differ from the view."""


def pair_propensity(propensity: AbstractPropensity, log: InteractionLog, max_pairs: int = 20_000_000) -> PairColumn:
    """Return a fitted propensity as a function of (user, item): a table up to `max_pairs` pairs, else computed."""

    def compute(user: Ints, item: Ints) -> Floats:
        return propensity.predict(pairs_log(user, item, log))

    if log.num_codes > max_pairs:
        return compute
    every = np.arange(log.num_codes)
    table = compute(every // log.num_items, every % log.num_items)
    return lambda user, item: table[user * log.num_items + item]


def check_propensity(propensity: Floats, who: str) -> Floats:
    """Return the propensities, or raise DataError where one lies outside (0, 1] or is NaN."""
    bad = ~((propensity > 0) & (propensity <= 1))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"propensity={who}: row {row} got {propensity[row]}, outside (0, 1]; check its inputs")
    return propensity
