"""The contract of a head: from a user vector, an item vector and the view's numbers to raw outputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from causalrec.types import Link, Role


class AbstractHead(nn.Module, ABC):
    """A head: raw outputs from a user vector, an item vector and the view's numbers.

    The run builds it as `Head(num_features, **yaml)`; one that `reads_width` as `Head(num_features, width, **yaml)`,
    with the width D of the vectors it is handed; one whose `head_outputs` are outcomes under A + 1 treatments as
    `Head(num_features, width, A + 1, **yaml)`.

    Attributes:
        vectorizable: as for encoders.
        has_factors: its outputs of many users with many items are products of `user_factors` and `item_factors`.
        reads_width: its constructor takes the width of the vectors.
        links: the links whose raw outputs it gives; of `softmax` one for each class (`num_classes`).
        head_outputs: names of its outputs where they are more than one number: `arms` [B,A+1] raw outputs, `propensity`
            [B,A+1] log-probabilities of the treatments up to a constant, `representation` [B,D], `epsilon` [B],
            `effect` [B,A]. Of a numeric outcome `arms` are in standard deviations from the training mean, `effect` and
            `epsilon` in standard deviations: `CausalModel.predict` gives the outcome's unit.
    """

    vectorizable: ClassVar[bool] = False
    has_factors: ClassVar[bool] = False
    reads_width: ClassVar[bool] = False
    links: ClassVar[frozenset[Link]] = frozenset({"identity", "logit", "log"})
    head_outputs: ClassVar[frozenset[Role]] = frozenset()

    @classmethod
    def has_weights(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords any parameter of it is trained."""
        return True

    def start_at(self, raw: Tensor) -> None:
        """Set the constant of its outputs before training, so that the first step need not find the mean.

        Here nothing: a head without a constant starts where its weights say. `raw`: a scalar, of classes `[C]`.
        """
        return

    def user_factors(self, user: Tensor, features: Tensor) -> Tensor | None:
        """Return `[B,E]` of `user[B,D]` and `features[B,F]`, in which only the columns of users are not 0; the products
        with `item_factors` are the raw outputs of all pairs. None where they are no such product.
        """
        return None

    def item_factors(self, item: Tensor, features: Tensor) -> Tensor | None:
        """Return `[I,E]` of `item[I,D]` and `features[I,F]`, in which only the columns of items are not 0."""
        return None

    @abstractmethod
    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor | Mapping[Role, Tensor]:
        """Return raw outputs float32[B], [B,C] of C classes, or its `head_outputs`, from `user[B,D]`, `item[B,D]`,
        `features[B,F]`.
        """
