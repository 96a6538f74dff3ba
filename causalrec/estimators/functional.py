"""The estimators as pure functions of torch, for whoever trains without this package's learners.

Tensors in, one value per row out; each function's docstring holds its formula, assumption and source.

>>> import torch
>>> from causalrec.estimators import functional
>>> error, seen = torch.tensor([2.0, 9.0]), torch.tensor([1.0, 0.0])
>>> functional.ips(error, seen, torch.tensor([0.5, 0.5])).mean()
tensor(2.)
"""

from causalrec.estimators.doubly_robust import bias_weight, doubly_robust, variance_weight
from causalrec.estimators.learned_propensity import imbalance
from causalrec.estimators.objective.bpr import bpr
from causalrec.estimators.objective.eib import imputed_mean
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.objective.naive import naive
from causalrec.estimators.objective.position_ips import debiased_click
from causalrec.estimators.objective.rel_mf import unbiased_relevance
from causalrec.estimators.objective.snips import snips
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.estimators.representation_distance import mmd, wasserstein

__all__ = [
    "bias_weight",
    "bpr",
    "debiased_click",
    "doubly_robust",
    "imbalance",
    "imputed_mean",
    "inverse_propensity",
    "ips",
    "mmd",
    "naive",
    "pointwise_error",
    "snips",
    "unbiased_relevance",
    "variance_weight",
    "wasserstein",
]
