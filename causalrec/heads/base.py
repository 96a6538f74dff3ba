"""The contract of a head: from a user vector, an item vector and the view's numbers to one raw output."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class AbstractHead(nn.Module, ABC):
    """Built by the run as `Head(num_features, **yaml)`; `packable` as for encoders."""

    packable: ClassVar[bool] = False

    @abstractmethod
    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        """Return raw outputs float32[B] from `user[B,D]`, `item[B,D]`, `features[B,F]`."""
