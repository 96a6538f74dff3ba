"""Stacked tables of ids are joined for one lookup where they are small: the same numbers, and the same gradients."""

from __future__ import annotations

import pytest
import torch

from causalrec.encoders import base
from causalrec.encoders.base import IdTable, with_item_bias, with_user_bias

REPLICAS, COUNT, BATCH = 3, 7, 11


def stacked_table(width: int) -> IdTable:
    torch.manual_seed(0)
    table = IdTable("user", COUNT, width)
    for parameter in table.parameters():
        parameter.data = torch.randn(REPLICAS, *parameter.shape, dtype=torch.float64)
    return table


@pytest.mark.parametrize("width", [0, 4])
@pytest.mark.parametrize("side", ["users", "items"])
def test_a_joined_lookup_gives_the_bits_of_several(side: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table, ids = stacked_table(width), torch.randint(COUNT, (REPLICAS, BATCH))
    apart = (with_user_bias if side == "users" else with_item_bias)(table(ids))
    joined = getattr(table, side)(ids)
    weight = torch.randn_like(joined)
    gradients = [torch.autograd.grad((rows * weight).sum(), [*table.parameters()]) for rows in (joined, apart)]
    assert torch.equal(joined, apart)
    assert all(map(torch.equal, *gradients))
    monkeypatch.setattr(base, "MOST_JOINED", 0)
    assert torch.equal(getattr(table, side)(ids), apart)
