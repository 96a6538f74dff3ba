"""Tables beside the interactions, as YAML declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from causalrec.data.tabular.entities import KIND

Separator = Annotated[str, Field(pattern=r"^[\x00-\x7f]$")]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of users or items. `columns`: name -> numeric, category, text, or multi_hot(|) with its separator.

    What is None is as for the interactions; `names` is for a file without a header.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    id: str
    columns: dict[str, Annotated[str, Field(pattern=KIND)]] = field(default_factory=dict)
    separator: Separator | None = None
    encoding: str | None = None
    names: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Edges:
    """A table of edges: `source` trusts `target`; `column` names the pair column made of them in the graph."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    source: str = "user"
    target: str = "trusted"
    weight: str | None = None
    column: str = "trusted_count"
    separator: Separator | None = None
    encoding: str | None = None
    names: list[str] | None = None
