"""Tables beside the interactions, as YAML declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from causalrec.data.tabular.entities import KIND

Separator = Annotated[str, Field(pattern=r"^[\x00-\x7f]$")]


@dataclass(frozen=True, kw_only=True)
class EntityTableConfig:
    """A table of users or items.

    Attributes:
        file: Its path, in the data set's folder.
        id: The column of ids.
        columns: Kind of each column that is read, by name: numeric, category, text, or multi_hot(|) with the separator
            of its values.
        separator: What stands between two fields; None: as for the interactions.
        encoding: Of the text; None: as for the interactions.
        names: Names of the columns, where the file has no header.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    id: str
    columns: dict[str, Annotated[str, Field(pattern=KIND)]] = field(default_factory=dict)
    separator: Separator | None = None
    encoding: str | None = None
    names: list[str] | None = None


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
