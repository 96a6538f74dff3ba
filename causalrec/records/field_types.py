"""Types of a record's fields, which nothing is turned into: a number as text, or true as a number, is damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

LARGEST_COUNT = 2**63 - 1

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Number = Real | None  # None: unknown or not finite
NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, le=1 + 1e-6)]  # a share, or a probability, of single precision
Level = Annotated[float, Field(strict=True, gt=0, lt=1)]
Whole = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
Positive = Annotated[int, Field(strict=True, ge=1, le=LARGEST_COUNT)]
Flag = Annotated[bool, Field(strict=True)]

ADDED: Mapping[str, bool] = {"added": True}  # metadata of a field that older records of the same schema lack
