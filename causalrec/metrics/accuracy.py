"""Accuracy: how many rows are put into their class."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


class Accuracy(AbstractRatio):
    """Share of rows whose likeliest class is the true one. Where only a mean outcome was predicted, its nearest whole
    number stands for the class (1 from a probability of 0.5 on). Read it beside the baseline `majority`.
    """

    labels = frozenset({"binary", "graded"})
    higher_is_better = True
    under_affine = "undefined"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        chosen, true = scored.classes
        return (chosen == true).float(), torch.ones_like(scored.label), scored.cluster
