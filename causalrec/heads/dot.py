"""The dot product of two towers, a linear term of the view's numbers, and a global bias."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead


class Dot(AbstractHead):
    """`raw = user . item + coefficients . features + bias`; `features[B,F]` are standardised columns."""

    vectorizable: ClassVar[bool] = True
    scores_candidates: ClassVar[bool] = True

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(num_features))
        self.bias = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        self.bias.copy_(raw)

    def user_factors(self, user: Tensor, features: Tensor) -> Tensor:
        of_user = self.bias + features @ self.coefficients[: features.shape[1]]
        return torch.cat([user, of_user[:, None], torch.ones_like(of_user)[:, None]], 1)

    def item_factors(self, item: Tensor, features: Tensor) -> Tensor:
        of_item = features @ self.coefficients[len(self.coefficients) - features.shape[1] :]
        return torch.cat([item, torch.ones_like(of_item)[:, None], of_item[:, None]], 1)

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        raw = (user * item).sum(-1) + self.bias[..., None]
        return raw + (features @ self.coefficients[..., None])[..., 0] if features.shape[-1] else raw

    def candidate_outputs(self, user: Tensor, item: Tensor, user_features: Tensor, item_features: Tensor) -> Tensor:
        raw = user @ item.transpose(-1, -2) + self.bias[..., None, None]
        if not user_features.shape[-1]:
            return raw
        coefficients = self.coefficients[..., None]
        return raw + user_features @ coefficients + (item_features @ coefficients).transpose(-1, -2)
