"""Columns of contexts by name, for policies that are estimated by them."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import Contexts
from causalrec.data.log import RowValues
from causalrec.errors import DataError, RequestError, did_you_mean

OF_ROUNDS = ("user", "position")  # beside the columns of rows


def check_context_columns(columns: Sequence[str], card: DatasetCard) -> None:
    """Raise RequestError where a name is no column that rounds of these data have before an action is taken."""
    names = (*OF_ROUNDS, *(column.name for column in card.row_columns))
    for name in columns:
        if name not in names:
            raise RequestError(f"columns: the rounds of {card.name} have no {name}; {did_you_mean(name, names)}")


def context_column(contexts: Contexts, name: str) -> RowValues:
    """Return a column of contexts, [B]; DataError where they have none of that name."""
    values = {**contexts.columns, "user": contexts.user, "position": contexts.position}.get(name)
    if values is None:
        raise DataError(f"the rounds have no {name}, by which their policy is estimated; leave it out of columns")
    return values
