"""The contract of metrics of lists: means over users (`list_mean`), and numbers of a catalogue (`catalogue_metric`)."""

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
        reads_gains: whether it reads what places are worth, and so is left out where nothing tells.
        bounds: between which its values lie, where intervals are cut off.
    """

    labels = frozenset({"lists"})
    under_affine = "undefined"
    ranks_users = True
    streams = True
    of_catalogue: ClassVar[bool] = False
    reads_gains: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    @abstractmethod
    def update_lists(self, lists: Lists) -> None:
        """Add the lists of some users, none of whom comes again."""

    def update(self, scored: Scored) -> None:
        raise CausalRecError(f"{type(self).__name__}: is of lists, not of rows")

    def on_subsets(self, subsets: Subsets) -> Tensor:
        raise CausalRecError(f"{type(self).__name__}: is of lists, not of rows")
