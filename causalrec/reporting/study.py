"""A study: rows (name -> overrides) x seeds, the columns of its table, as one YAML file in `experiments/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from causalrec.config.compose import package_folder
from causalrec.errors import RequestError, nearest
from causalrec.reporting.published_numbers import Compare, Missing, Published, Source, Strict, Tolerance

Level = dict[str, list[str]]  # name -> overrides


class Study(Strict):
    """`base` overrides hold for every row; a row named `a` runs as `name=a` in `sweep`; `smoke` is added by --smoke.

    `grid`: blocks whose every combination of levels is a further row: axis -> level -> overrides; the names of the
    levels make the row's (`{encoder: {mf: [...]}, objective: {ips: [...]}}` gives `mf-ips`). `smoke_of`: row or level
    -> what --smoke adds to it alone, for what would take long.
    `kind: estimate` runs `conf/estimate.yaml` and its jobs name the cells themselves. `published`: printed cells, each
    of a row and a column that are run or stand under `missing` with the reason. `compare`: paired differences to a row.
    """

    title: str
    sweep: str
    seeds: Annotated[list[int], Field(min_length=1)]
    base: list[str]
    grid: tuple[Annotated[dict[str, Annotated[Level, Field(min_length=1)]], Field(min_length=1)], ...] = ()
    rows: dict[str, list[str]] = Field(default={}, validate_default=True)
    columns: list[str]
    smoke: tuple[str, ...] = ("trainer=smoke",)
    smoke_of: Level = Field(default={})
    kind: Literal["train", "estimate"] = "train"
    source: Source | None = None
    published: tuple[Published, ...] = ()
    missing: tuple[Missing, ...] = ()
    tolerance: Tolerance = Tolerance()
    compare: Compare | None = None
    notes: tuple[str, ...] = ()

    @field_validator("rows")
    @classmethod
    def _with_grid(cls, rows: dict[str, list[str]], info: ValidationInfo) -> dict[str, list[str]]:
        """Add the rows of the grid."""
        whole = dict(rows)
        for name, levels in _combined(info.data.get("grid", ())):
            if name in whole:
                raise ValueError(f"{name} stands twice in rows and grid; name the levels apart")
            whole[name] = [text for _, overrides in levels for text in overrides]
        if not whole and "grid" in info.data:
            raise ValueError("there are none; give rows or a grid")
        return whole

    @property
    def absent(self) -> dict[str, str]:
        """Reason by name of each row and column that is not run."""
        return {str(one.row or one.column): one.reason for one in self.missing}

    @property
    def declares_cells(self) -> bool:
        """Whether the study names the rows and columns of its table; else its jobs do."""
        return self.kind == "train"

    def rows_of_table(self, computed: Iterable[str]) -> tuple[str, ...]:
        """Return the rows of its table: those it declares, else those that its jobs computed, in order."""
        return tuple(self.rows) if self.declares_cells else tuple(dict.fromkeys(computed))

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        seen: dict[tuple[str, str], int] = {}
        rows = [*self.rows, *(one.row for one in self.missing if one.row)]
        columns = [*self.columns, *(one.column for one in self.missing if one.column)]
        for k, one in enumerate(self.published):
            if self.declares_cells:
                _require(f"published.{k}.row", one.row, rows)
                _require(f"published.{k}.column", one.column, columns)
            if (first := seen.setdefault((one.row, one.column), k)) != k:
                raise ValueError(f"published.{k}: {one.row}, {one.column} stands already in published.{first}")
        for k, absent in enumerate(self.missing):
            if absent.row in self.rows or absent.column in self.columns:
                raise ValueError(f"missing.{k}: {absent.row or absent.column} is run here; drop it from missing")
        known = {*self.rows, *(level for _, levels in _combined(self.grid) for level, _ in levels)}
        for name in self.smoke_of:
            if name not in known:
                raise ValueError(f"smoke_of.{name}: is neither a row nor a level; {nearest(name, known)}")
        if self.compare:
            if not self.declares_cells:
                raise ValueError("compare: only rows of kind train are compared")
            _require("compare.to", self.compare.to, list(self.rows))
            for column in self.compare.columns:
                _require("compare.columns", column, self.columns)
        return self

    def jobs(self, smoke: bool) -> list[list[str]]:
        """Return the overrides of each job, row by row."""
        levels = {name: [level for level, _ in parts] for name, parts in _combined(self.grid)}
        sweep = self.sweep + ("_smoke" if smoke else "")
        seeds = self.seeds[:1] if smoke else self.seeds
        own = {
            name: [self.smoke_of.get(one, []) for one in dict.fromkeys([name, *levels.get(name, ())])]
            for name in self.rows
        }
        extra = {name: [*self.smoke, *chain(*found)] if smoke else [] for name, found in own.items()}
        return [
            [*self.base, *overrides, *extra[name], f"name={name}", f"sweep={sweep}", f"seed={seed}"]
            for name, overrides in self.rows.items()
            for seed in seeds
        ]


def _combined(grid: Sequence[dict[str, Level]]) -> Iterator[tuple[str, Sequence[tuple[str, list[str]]]]]:
    """Yield the name of each row of a grid and the levels it is made of, with their overrides."""
    for block in grid:
        for levels in product(*(axis.items() for axis in block.values())):
            yield "-".join(level for level, _ in levels), levels


def load_study(name: str) -> Study:
    """Read `experiments/NAME.yaml`, or a YAML file by path; raise RequestError on what is wrong in it."""
    folder = package_folder("experiments")
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = [str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml")]
        raise RequestError(f"study {name}: there is none; {nearest(name, known)}")
    try:
        return Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise RequestError(f"{path}: {_told(error)}") from error


def _told(error: yaml.YAMLError | ValidationError) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return (f"{place}: " if place else "") + first["msg"].removeprefix("Value error, ")


def _require(place: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"{place}: {name} is neither run nor under missing; {nearest(name, known)}")
