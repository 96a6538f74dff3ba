"""Propensities that the logging policy wrote down."""

from dataclasses import dataclass
from typing import ClassVar

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Floats, PropensityKind


@dataclass(kw_only=True)
class Logged(AbstractPropensity):
    """The log's own propensity column. Assumption: the logging policy wrote the probability it really used."""

    uses_logged: ClassVar[bool] = True
    scores_unlogged_pairs: ClassVar[bool] = False
    kind: ClassVar[PropensityKind] = "logged"

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        self.predict(log)

    def predict(self, log: InteractionLog) -> Floats:
        if log.propensity is None:
            raise DataError(f"propensity=logged: {log.name} has no propensity column; choose another propensity")
        return check_propensity(log.propensity, "logged")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ()
