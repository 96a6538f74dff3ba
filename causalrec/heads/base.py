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
        scores_candidates: it gives the outputs of many users with many items by a product (`candidate_outputs`).
        reads_width: its constructor takes the width of the vectors.
        links: the links whose raw outputs it gives; of `softmax` one for each class (`num_classes`).
        head_outputs: names of its outputs where they are more than one number: `arms` [B,A+1] raw outputs, `propensity`
            [B,A+1] log-probabilities of the treatments up to a constant, `representation` [B,D], `epsilon` [B],
            `effect` [B,A]. Of a numeric outcome `arms` are in standard deviations from the training mean, `effect` and
            `epsilon` in standard deviations: `CausalModel.predict` gives the outcome's unit.
    """

    vectorizable: ClassVar[bool] = False
    scores_candidates: ClassVar[bool] = False
    reads_width: ClassVar[bool] = False
    links: ClassVar[frozenset[Link]] = frozenset({"identity", "logit", "log"})
    head_outputs: ClassVar[frozenset[Role]] = frozenset()

    def start_at(self, raw: Tensor) -> None:
        """Set the constant of its outputs before training, so that the first step need not find the mean.

        Here nothing: a head without a constant starts where its weights say. `raw`: a scalar, of classes `[C]`.
        """
        return

    def user_factors(self, user: Tensor, features: Tensor) -> Tensor | None:
        """Return `[B,E]` of `user[B,D]` and the numbers of users `features[B,Fu]`, of which the products with
        `item_factors` are the raw outputs of all pairs; None where they are no such product.
        """
        return None

    def item_factors(self, item: Tensor, features: Tensor) -> Tensor | None:
        """Return `[I,E]` of `item[I,D]` and the numbers of items `features[I,Fi]`, as `user_factors`."""
        return None

    @abstractmethod
    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor | Mapping[Role, Tensor]:
        """Return raw outputs float32[B], [B,C] of C classes, or its `head_outputs`, from `user[B,D]`, `item[B,D]`,
        `features[B,F]`.
        """

    def candidate_outputs(self, user: Tensor, item: Tensor, user_features: Tensor, item_features: Tensor) -> Tensor:
        """Return raw outputs float32[B,C] of each user with each item, of heads that give them by a product.

        Args:
            user: `[B,D]`.
            item: `[C,D]`.
            user_features: `[B,F]`, the view's columns of users, the others 0.
            item_features: `[C,F]`, its columns of items, the others 0.
        """
        raise NotImplementedError(f"{type(self).__name__} scores pairs alone")
