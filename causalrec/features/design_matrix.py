"""A sparse design matrix for linear models over pairs: the view's numbers beside one-hot ids."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from causalrec.data.log import InteractionLog
from causalrec.features.views import FeatureMatrix
from causalrec.types import Floats, Ints


def one_hot(ids: Ints, count: int) -> sparse.csr_matrix:
    """Return ids int64[N] as a sparse float32 indicator matrix [N, count]."""
    shape = (len(ids), count)
    return sparse.csr_matrix((np.ones(len(ids), np.float32), ids, np.arange(len(ids) + 1)), shape=shape)


def design_matrix(log: InteractionLog, features: FeatureMatrix) -> sparse.csr_matrix | Floats:
    """Return float32[N, F + one-hot ids] for the log's rows, dense where no ids or wide categories are expanded."""
    numbers = features.matrix_of_log(log)
    ids = [one_hot(log.users, log.num_users)] if "user" in features.ids else []
    ids += [one_hot(log.item, log.num_items)] if "item" in features.ids else []
    return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(numbers), *ids])) if ids else numbers
