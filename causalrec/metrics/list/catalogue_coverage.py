"""Coverage of the catalogue by lists."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.list.catalogue_metric import AbstractCatalogueMetric


class CatalogueCoverage(AbstractCatalogueMetric):
    """Share of the items that stand in some user's list.

    `|union over users of the list| / I`, a share. It rises with the number of users. Source: Ge et al. (RecSys 2010).
    """

    higher_is_better = True

    def of_exposure(self, exposure: Tensor) -> Tensor:
        return (exposure > 0).double().mean(1)
