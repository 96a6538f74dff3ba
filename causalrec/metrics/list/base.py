"""The contracts of metrics of lists: a mean over users, or a number of the whole catalogue."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from causalrec.catalogue.lists import Lists
from causalrec.errors import CausalRecError
from causalrec.metrics.base import AbstractMetric, Scored, Subsets


class AbstractListMetric(AbstractMetric):
    """A metric of the lists that users are shown; of single rows it is undefined.

    Attributes:
        labels: `lists`.
        of_catalogue: whether it is a number of all lists together and no mean over users: the bootstrap over users is
            biased there, so that its interval is the jackknife's, and the bias stands beside it.
    """

    labels = frozenset({"lists"})
    under_affine = "undefined"
    ranks_users = True
    streams = True
    of_catalogue: ClassVar[bool] = False

    @abstractmethod
    def update_lists(self, lists: Lists) -> None:
        """Add the lists of some users, none of whom comes again."""

    def update(self, scored: Scored) -> None:
        raise CausalRecError(f"{type(self).__name__}: is of lists, not of rows")

    def on_subsets(self, subsets: Subsets) -> Tensor:
        raise CausalRecError(f"{type(self).__name__}: is of lists, not of rows")
