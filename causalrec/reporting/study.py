"""A study: rows (name -> overrides) x seeds, the columns of its table, as one YAML file in `experiments/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from causalrec.config.folders import package_folder
from causalrec.config.hydra_keys import refuse_folders
from causalrec.config.sweep_counts import refuse_too_many
from causalrec.config.yaml_errors import yaml_problem
from causalrec.config.yaml_reading import read_yaml, shorten
from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_JOBS, plural
from causalrec.reporting.published_numbers import Compare, Missing, PaperSource, Published, StrictModel, Tolerance
from causalrec.types import FolderName

Level = dict[str, list[str]]  # name -> overrides


@dataclass(frozen=True)
class JobLimit:
    """How many jobs a study may ask for.

    Attributes:
        study: its name in messages.
        max_jobs: the most.
        smoke: whether only the first seed is run.
    """

    study: str
    max_jobs: int
    smoke: bool

    def check(self, rows: int, seeds: int) -> None:
        """Raise RequestError where rows times seeds are more."""
        seeds = min(seeds, 1) if self.smoke else seeds
        refuse_too_many(rows * seeds, self.max_jobs, f"{self.study}: {plural(rows, 'row')} of {plural(seeds, 'seed')}")


class Study(StrictModel):
    """A table as data: its rows (name -> overrides), seeds and columns, and the numbers a paper printed for it.

    Attributes:
        title: title of the table.
        sweep: folder of its runs; `--smoke` appends `_smoke`.
        seeds: seeds of each row; `--smoke` takes the first.
        base: overrides of every row.
        grid: blocks of axis -> level -> overrides. Every combination of levels is a further row, named by its levels:
            `{encoder: {mf: [...]}, objective: {ips: [...]}}` gives `mf-ips`.
        rows: overrides by row; the row `a` runs as `name=a`.
        columns: columns of the table, `metric@slice`.
        smoke: overrides that `--smoke` adds to every row.
        smoke_of: row or level -> overrides that `--smoke` adds to it alone, for what would take long.
        kind: `train` runs `conf/train.yaml`; `estimate` runs `conf/estimate.yaml`, and its jobs name the cells.
        source: paper and table of the printed numbers.
        published: printed cells; their row and column are run, or stand under `missing`.
        missing: rows and columns that are published but not run, each with the reason.
        tolerance: how near an obtained number must come to the printed one.
        compare: row to which the others are compared, and the columns in which they are.
        notes: footnotes of the table.
    """

    title: str
    sweep: FolderName
    seeds: Annotated[list[int], Field(min_length=1)]
    base: list[str]
    grid: tuple[Annotated[dict[str, Annotated[Level, Field(min_length=1)]], Field(min_length=1)], ...] = ()
    rows: dict[str, list[str]] = Field(default={}, validate_default=True)
    columns: list[str]
    smoke: tuple[str, ...] = ("trainer=smoke",)
    smoke_of: Level = Field(default={})
    kind: Literal["train", "estimate"] = "train"
    source: PaperSource | None = None
    published: tuple[Published, ...] = ()
    missing: tuple[Missing, ...] = ()
    tolerance: Tolerance = Tolerance()
    compare: Compare | None = None
    notes: tuple[str, ...] = ()

    @field_validator("rows")
    @classmethod
    def _add_grid_rows(cls, rows: dict[str, list[str]], info: ValidationInfo) -> dict[str, list[str]]:
        """Add the rows of the grid."""
        all_rows, grid = dict(rows), info.data.get("grid", ())
        if isinstance(limit := info.context, JobLimit):
            row_count = len(rows) + sum(prod(map(len, block.values())) for block in grid)
            limit.check(row_count, len(info.data.get("seeds", ())))
        for name, levels in _combine_levels(grid):
            if name in all_rows:
                raise ValueError(f"{name} stands twice in rows and grid; name the levels apart")
            all_rows[name] = [text for _, overrides in levels for text in overrides]
        if not all_rows and "grid" in info.data:
            raise ValueError("there are none; give rows or a grid")
        return all_rows

    @cached_property
    def printed(self) -> dict[tuple[str, str], Published]:
        """The printed cells by row and column."""
        return {(cell.row, cell.column): cell for cell in self.published}

    @property
    def absent(self) -> dict[str, str]:
        """Reason by name of each row and column that is not run."""
        return {str(missing.row or missing.column): missing.reason for missing in self.missing}

    @property
    def seeds_draw_data(self) -> bool:
        """Whether a seed names a draw of the data, so that what runs differ by is mostly that."""
        return any(text.startswith("dataset.") and "${seed}" in text for text in self.base)

    @property
    def declares_cells(self) -> bool:
        """Whether the study names the rows and columns of its table; else its jobs do."""
        return self.kind == "train"

    def rows_of_table(self, computed: Iterable[str]) -> tuple[str, ...]:
        """Return the rows of its table: those it declares, else those that its jobs computed, in order."""
        return tuple(self.rows) if self.declares_cells else tuple(dict.fromkeys(computed))

    @model_validator(mode="after")
    def _check_consistency(self) -> Study:
        seen: dict[tuple[str, str], int] = {}
        rows = [*self.rows, *(missing.row for missing in self.missing if missing.row)]
        columns = [*self.columns, *(missing.column for missing in self.missing if missing.column)]
        for k, cell in enumerate(self.published):
            if self.declares_cells:
                _require(f"published.{k}.row", cell.row, rows)
                _require(f"published.{k}.column", cell.column, columns)
            if (first := seen.setdefault((cell.row, cell.column), k)) != k:
                raise ValueError(f"published.{k}: {cell.row}, {cell.column} stands already in published.{first}")
        for k, absent in enumerate(self.missing):
            if absent.row in self.rows or absent.column in self.columns:
                raise ValueError(f"missing.{k}: {absent.row or absent.column} is run here; drop it from missing")
        row_or_level_names = {*self.rows, *(level for _, levels in _combine_levels(self.grid) for level, _ in levels)}
        for name in self.smoke_of:
            if name not in row_or_level_names:
                nearest = did_you_mean(name, row_or_level_names)
                raise ValueError(f"smoke_of.{name}: is neither a row nor a level; {nearest}")
        if self.compare:
            if not self.declares_cells:
                raise ValueError("compare: only rows of kind train are compared")
            _require("compare.to", self.compare.to, list(self.rows))
            for column in self.compare.columns:
                _require("compare.columns", column, self.columns)
        return self

    @property
    def overrides(self) -> Iterator[str]:
        """Every override that the file holds."""
        return chain(self.base, self.smoke, *self.rows.values(), *self.smoke_of.values())

    def jobs(self, smoke: bool) -> list[list[str]]:
        """Return the overrides of each job, row by row."""
        first = ["selection.extend=false"] if self.kind == "train" else []  # as many fits for every row of a table
        if self.kind == "train":
            first += ["selection.folds=1"] if smoke else ["evaluation.submodels=true"]
        levels = {name: [level for level, _ in combination] for name, combination in _combine_levels(self.grid)}
        sweep = self.sweep + ("_smoke" if smoke else "")
        seeds = self.seeds[:1] if smoke else self.seeds
        smoke_overrides = {
            name: [self.smoke_of.get(row_or_level, []) for row_or_level in dict.fromkeys([name, *levels.get(name, ())])]
            for name in self.rows
        }
        overrides_to_add = {
            name: [*self.smoke, *chain(*overrides)] if smoke else [] for name, overrides in smoke_overrides.items()
        }
        return [
            [*first, *self.base, *overrides, *overrides_to_add[name], f"name={name}", f"sweep={sweep}", f"seed={seed}"]
            for name, overrides in self.rows.items()
            for seed in seeds
        ]


def _combine_levels(grid: Sequence[dict[str, Level]]) -> Iterator[tuple[str, Sequence[tuple[str, list[str]]]]]:
    """Yield the name of each row of a grid and the levels it is made of, with their overrides."""
    for block in grid:
        for levels in product(*(axis.items() for axis in block.values())):
            yield "-".join(level for level, _ in levels), levels


def load_study(name: str, max_jobs: int = MAX_JOBS, *, smoke: bool = False) -> Study:
    """Read `experiments/NAME.yaml`, or a YAML file by path; raise RequestError on what is wrong in it.

    Args:
        name: of the study, or the path of its file.
        max_jobs: how many it may ask for, rows times seeds; they are counted before a grid is expanded.
        smoke: whether only the first seed is run.
    """
    folder = package_folder("experiments")
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        study_names = [str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml")]
        raise RequestError(f"study {name}: there is none; {did_you_mean(name, study_names)}")
    if problem := yaml_problem(path):
        raise RequestError(problem)
    try:
        study = Study.model_validate(read_yaml(path), context=JobLimit(shorten(path), max_jobs, smoke))
    except ValidationError as error:
        raise RequestError(f"{path}: {_first_error(error)}") from error
    refuse_folders(study.overrides, shorten(path))
    return study


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    field_path = ".".join(map(str, first["loc"]))
    return (f"{field_path}: " if field_path else "") + first["msg"].removeprefix("Value error, ")


def _require(field_path: str, name: str, allowed_names: list[str]) -> None:
    if name not in allowed_names:
        raise ValueError(f"{field_path}: {name} is neither run nor under missing; {did_you_mean(name, allowed_names)}")
