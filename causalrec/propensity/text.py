"""Logistic regression of exposure on vectors of texts alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.errors import RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.propensity.logistic import Logistic
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Count, Depth, Floats

TEXTS = ("item_text", "user_text")


@dataclass(kw_only=True)
class TextPropensity(AbstractPropensity):
    """`logit p(u, i) = intercept + a . z(text of u) + b . z(text of i)`: no ids and no columns.

    A text is what the data set's phrases make of the columns of the outcome view (`dataset.item_text`,
    `dataset.user_text`); z are the principal components of a frozen language model's vectors, of unit variance over
    the users and items of the training rows. Fitted as `propensity=logistic`.

    Attributes:
        model: source, local folder, `.gguf` file or hub name of the language model.
        pooling: how the states of the tokens become one vector.
        max_tokens: at which texts are cut.
        layers: first layers of the model that are used; None: all.
        precision: number type of the model.
        components: most principal components of the texts of a side; fewer where these vary in fewer dimensions.
        l2: ridge penalties to try, as of `logistic`.
        max_pairs: most pairs without exposure in the fit, as of `logistic`.

    Assumption: exposure is logistic in the texts, which tell all that drives it and the outcome; where the adjustment
    set names columns that they do not tell, it is wrong, and the record says what it reads. Source: Rosenbaum & Rubin
    (Biometrika 1983) for the regression.
    """

    reads_texts: ClassVar[bool] = True

    model: str | Source
    pooling: Literal["cls", "mean", "last"] = "mean"
    max_tokens: Count = 64
    layers: Depth | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    components: Count = 16
    l2: tuple[Annotated[float, Field(gt=0)], ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    max_pairs: Count = 1_000_000
    _logistic: Logistic = field(init=False, repr=False)
    _texts: tuple[str, ...] = field(init=False, repr=False, default=TEXTS)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        self._texts = tuple(name for name in TEXTS if f"{name}[0]" in features.names)
        if not self._texts:
            raise RequestError(
                "propensity=text: was handed no vectors of texts; it cannot be the base of another propensity"
            )
        self._logistic = Logistic(l2=self.l2, max_pairs=self.max_pairs)
        self._logistic.fit(log, features, randomised_sample)

    def predict(self, log: InteractionLog) -> Floats:
        return check_propensity(self._logistic.predict(log), "text")

    @property
    def report(self) -> FitReport | None:
        return self._logistic.report

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return self._texts
