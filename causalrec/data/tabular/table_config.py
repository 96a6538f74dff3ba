"""Tables of users, items and edges, as YAML declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from causalrec.data.tabular.cells import KIND
from causalrec.data.tabular.numbers import Thousands

Separator = Annotated[str, Field(pattern=r"^[\x00-\x7f]{1,3}$")]
Decimal = Literal[".", ","]


@dataclass(frozen=True, kw_only=True)
class EntityTableConfig:
    """A table of users or items.

    Attributes:
        file: Its path, in the data set's folder; None where its columns stand in the interactions themselves.
        id: The column of ids, of a file.
        columns: Kind of each column that is read, by name: numeric, category, text, text(html) of which tags are left
            out, or multi_hot(|) with the separator of its values (lists of JSON and of Python are taken as they are).
        separator: What stands between two fields; None: as for the interactions.
        encoding: Of the text; None: as for the interactions.
        names: Names of the columns, where the file has no header.
        decimal: What stands before a fraction; None: as for the interactions.
        thousands: What stands between thousands; None: as for the interactions.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str | None = None
    id: str | None = None
    columns: dict[str, Annotated[str, Field(pattern=KIND)]] = field(default_factory=dict)
    separator: Separator | None = None
    encoding: str | None = None
    names: list[str] | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None


@dataclass(frozen=True, kw_only=True)
class EdgeTableConfig:
    """A table of edges between users: the source trusts the target.

    Attributes:
        file: Its path, in the data set's folder.
        source: The column of users who trust.
        target: The column of users who are trusted.
        weight: The column of weights; None to count edges.
        column: Name in the graph of the pair column that is derived from the edges.
        separator: What stands between two fields; None: as for the interactions.
        encoding: Of the text; None: as for the interactions.
        names: Names of the columns, where the file has no header.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    source: str = "user"
    target: str = "trusted"
    weight: str | None = None
    column: str = "trusted_count"
    separator: Separator | None = None
    encoding: str | None = None
    names: list[str] | None = None
