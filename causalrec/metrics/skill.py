"""Skill over the constant: how much of the constant's squared error is removed."""

from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored
from causalrec.metrics.mse import squared_error


class Skill(AbstractRatio):
    """`1 - MSE / MSE of the training mean`: 0 for the constant, 1 for perfect, negative for worse than the constant.

    Source: the Brier skill score (Murphy, Monthly Weather Review 1988), with the training mean as reference.
    """

    labels = frozenset({"binary", "rate", "graded"})
    higher_is_better = True
    under_affine = "invariant"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        constant = scored.label.new_full((), scored.constant)
        return squared_error(scored.prediction, scored.label), squared_error(constant, scored.label), scored.cluster

    def finish(self, ratio: Tensor) -> Tensor:
        return 1 - ratio
