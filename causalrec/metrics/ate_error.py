"""Error of the average effect."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


def ate_error(prediction: Tensor, effect: Tensor) -> Tensor:
    """Return `|mean prediction - mean effect|`, a scalar in the outcome's unit; both `[N]`.

    Source: Shalit, Johansson & Sontag (ICML 2017), who average it over replications of the data.

    >>> float(ate_error(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0])))
    0.5
    """
    return (prediction.double().mean() - effect.double().mean()).abs()


class ATEError(AbstractRatio):
    """Absolute error of the mean predicted effect against the mean true effect of the same rows.

    With m the mean error, a replicate of |m| is `sign(m) m*`, and the interval is `[max(0, q_low), max(0, q_high)]` of
    their quantiles: it lies around |m| and covers true errors, 0 among them, as often as that of m covers. Assumption:
    of a seed average, that the seeds' errors are not all 0, for a mean of absolute values is above 0 by chance alone.
    """

    labels = frozenset({"effect"})
    higher_is_better = False
    absolute = True
    under_affine = "scales"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        error = scored.prediction.double() - scored.label.double()
        return error, torch.ones_like(error), scored.cluster

    def finish(self, ratio: Tensor) -> Tensor:
        return ratio.abs()

    def finish_resampled(self, ratio: Tensor, whole_ratio: Tensor) -> Tensor:
        return ratio * torch.ones_like(whole_ratio).copysign(whole_ratio)
