"""Counterfactual variational information bottleneck (Wang et al., NeurIPS 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.estimators.reduction import batch_mean
from causalrec.types import OUTCOME, Batch, Link, Outputs, Space, Term


@dataclass(frozen=True, kw_only=True)
class CVIB(AbstractObjective):
    """Naive, with the mean predictions of exposed and other pairs held alike, and overconfidence penalised.

    `loss = naive + contrast * [-a log b - (1-a) log(1-b)] + confidence * mean(r log r)`, where a and b are the mean
    predictions of observed and of unobserved pairs and r those of observed ones. The contrast depends on batch means:
    its terms are linear in the predictions, with the exact value and gradient. Outcomes must be probabilities. Biased
    by design: the error is the naive one.
    """

    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    reads_whole_batch: ClassVar[bool] = True
    contrast: Annotated[float, Field(ge=0)] = 0.1
    confidence: Annotated[float, Field(ge=0)] = 0.01

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        seen, unseen = batch.observed, (1 - batch.observed).clamp_min(1e-8)  # a short batch may lack one of them
        predicted = mean_of(outputs[OUTCOME], outputs.link).clamp(1e-6, 1 - 1e-6)
        means = (batch_mean(predicted.detach(), batch.weight * rows) for rows in (seen, unseen))
        a, b = (mean.clamp(1e-6, 1 - 1e-6) for mean in means)
        slopes = contrast_slopes(a, b)
        contrast = -a * b.log() - (1 - a) * (1 - b).log()
        rest = self.contrast * (contrast - slopes[0] * a - slopes[1] * b)  # so that the value is the loss
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        seen_error = error + self.contrast * slopes[0] * predicted + self.confidence * predicted * predicted.log()
        seen_error = seen_error + rest
        return {
            "outcome": Term(seen * seen_error, OUTCOME, normaliser=seen),
            "contrast": Term(self.contrast * slopes[1] * unseen * predicted, OUTCOME, normaliser=unseen),
        }


def contrast_slopes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of `-a log b - (1-a) log(1-b)` by a and by b.

    >>> [round(float(slope), 4) for slope in contrast_slopes(torch.tensor(0.5), torch.tensor(0.25))]
    [1.0986, -1.3333]
    """
    return torch.log((1 - b) / b), (1 - a) / (1 - b) - a / b
