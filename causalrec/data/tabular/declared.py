"""What the keys of a data set of tables ask for: its columns, its request, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.data.card import Column
from causalrec.data.knowledge_files import KNOWLEDGE_COLUMN
from causalrec.data.readable_paths import require_readable
from causalrec.data.tabular.action_propensities import check_rounds
from causalrec.data.tabular.cells import kind_of
from causalrec.data.tabular.encodings import check_encoding
from causalrec.data.tabular.entities import EntityFile
from causalrec.data.tabular.numbers import NumberFormat
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.request import Request
from causalrec.data.tabular.roles import FILL_WORDS, Roles, indicator_name
from causalrec.data.tabular.social_edges import EdgeFile
from causalrec.data.tabular.table_config import EdgeTableConfig, EntityTableConfig
from causalrec.data.tabular.times import TimeFormat
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import OutcomeKind

if TYPE_CHECKING:
    from causalrec.data.datasets.csv import CsvTables

SCALES: dict[OutcomeKind, tuple[float, float]] = {
    "rating": (1.0, 5.0),
    "click": (0.0, 1.0),
    "watch_ratio": (0.0, 10.0),  # ten times the length: what is above is a broken counter
    "count": (0.0, 1e6),
    "reward": (float("-inf"), float("inf")),
}


def columns_of(tables: CsvTables) -> tuple[Column, ...]:
    """Return the columns of the card."""
    columns = [] if tables.user is None else [Column("user", "user", "id")]
    columns += [] if tables.item is None else [Column("item", "item", "id")]
    for entity, table in (("user", tables.users), ("item", tables.items)):
        for name, kind in table.columns.items() if table else ():
            columns.append(Column(name, entity, kind_of(kind)[0]))  # type: ignore[arg-type]
    columns += [Column(name, "item", "vector") for name in tables.vectors]
    columns += [Column(name, "user", "vector") for name in tables.user_vectors]
    columns += [] if tables.knowledge is None else [KNOWLEDGE_COLUMN]
    columns += [Column(name, "row", kind) for name, kind in tables.row_columns.items()]
    for column in tuple(columns):
        if column.kind == "numeric" and tables.fill.get(column.name) == "indicator":
            columns.append(Column(indicator_name(column.name), column.entity, "numeric"))
    return (*columns, *([Column(tables.edges.column, "pair", "numeric")] if tables.edges else []))


def fewest_rows(tables: CsvTables) -> tuple[int, int]:
    """Return the fewest rows of a user and of an item, 0 where no filter is asked for."""
    fewest = tables.k_core
    if isinstance(fewest, dict):
        return fewest.get("user", 1), fewest.get("item", 1)
    return (fewest or 0, fewest or 0)


def request_of(tables: CsvTables, folder: Path, root: Path) -> Request:
    """Return what to read from the folder; raise RequestError where a file is not one of data (`readable_paths`).

    Args:
        tables: the data set.
        folder: where its files lie.
        root: `paths.data`.
    """
    interactions = _file_names(tables)
    for vectors in (*tables.vectors.values(), *tables.user_vectors.values()):
        vectors.path(folder, root)

    def raw(file: str, table: EntityTableConfig | EdgeTableConfig | None = None) -> RawFile:
        config = table or tables
        is_alike = Path(file).suffix == Path(interactions[0]).suffix
        decimal, thousands = getattr(config, "decimal", None), getattr(config, "thousands", None)
        return RawFile(
            path=require_readable(folder, file, root),
            separator=config.separator or (tables.separator if is_alike else None),
            encoding=config.encoding or tables.encoding,
            quote=tables.quote,
            escape=tables.escape,
            names=config.names,
            numbers=NumberFormat(decimal=decimal or tables.decimal, thousands=thousands or tables.thousands),
        )

    def entity(table: EntityTableConfig | None, id_column: str | None) -> EntityFile | None:
        if table is None:
            return None
        fill = {name: value for name, value in tables.fill.items() if name in table.columns}
        if table.file is None:
            return EntityFile(raw=None, id=id_column, columns=table.columns, fill=fill)
        return EntityFile(raw=raw(table.file, table), id=table.id, columns=table.columns, fill=fill)

    edge, random = tables.edges, tables.randomised_interactions
    return Request(
        interactions=[raw(file) for file in interactions],
        randomised=raw(random) if random else None,
        roles=_roles_of(tables),
        users=entity(tables.users, tables.user),
        items=entity(tables.items, tables.item),
        edges=EdgeFile(raw=raw(edge.file, edge), source=edge.source, target=edge.target, weight=edge.weight)
        if edge
        else None,
        repeats=tables.repeats,
        arms=len(tables.arms) if tables.arms else None,
        k_core=fewest_rows(tables),
    )


def _file_names(tables: CsvTables) -> list[str]:
    return [tables.interactions] if isinstance(tables.interactions, str) else tables.interactions


def _roles_of(tables: CsvTables) -> Roles:
    sides = [*(tables.users.columns if tables.users else ()), *(tables.items.columns if tables.items else ())]
    return Roles(
        user=tables.user,
        item=tables.item,
        outcome=tables.outcome,
        time=tables.time,
        position=tables.position,
        treatment=tables.exposure,
        propensity=tables.propensity if isinstance(tables.propensity, str) else None,
        arm_propensities=tuple(tables.propensity) if isinstance(tables.propensity, list) else (),
        randomised=tables.randomised_flag,
        scale=tables.scale or SCALES[tables.kind],
        binary=tables.kind == "click" and tables.threshold is None,
        time_format=TimeFormat(unit=tables.time_unit, form=tables.time_format),
        exposure_levels=tuple(str(level).strip() for level in tables.exposure_levels),
        row_columns={**tables.row_columns, **dict.fromkeys(tables.action_columns.values(), "numeric")},
        potential=tuple(tables.potential[arm] for arm in sorted(tables.potential)),
        fill={name: value for name, value in tables.fill.items() if name not in sides},
    )


def check_keys(tables: CsvTables) -> None:
    """Raise RequestError at the first keys that contradict each other."""
    names = [column.name for column in columns_of(tables)]
    for name in names:
        if names.count(name) > 1 or name in ("exposure", "outcome"):
            raise RequestError(f"dataset: the column name {name!r} is taken twice; rename the column in its file")
    for check in (
        _check_encodings,
        _check_people,
        _check_tables,
        _check_arms,
        _check_propensity,
        check_rounds,
        _check_strata,
        _check_fill,
        _check_truth,
    ):
        check(tables)
    if not _file_names(tables):
        raise RequestError("dataset.interactions: is empty; name a file, or several in a list")
    if tables.randomised_flag and tables.randomised_interactions:
        raise RequestError("dataset.randomised_flag: give the flag or randomised_interactions, not both")
    if tables.time_format is not None and tables.time_unit != "s":
        raise RequestError(
            f"dataset.time_format: is a form of text, and time_unit={tables.time_unit} says another; give one of both"
        )
    if tables.escape is not None and tables.quote is None:
        raise RequestError("dataset.escape: stands before quotes, which dataset.quote=null makes ordinary characters")
    if tables.decimal == tables.thousands:
        raise RequestError(f"dataset.thousands={tables.thousands!r}: is dataset.decimal too; give one of both another")
    if tables.outcome is None and tables.feedback != "positive_only":
        raise RequestError("dataset.outcome: is null; name the column, or set dataset.feedback=positive_only")


def _check_encodings(tables: CsvTables) -> None:
    check_encoding("dataset.encoding", tables.encoding)
    for name, table in (("users", tables.users), ("items", tables.items), ("edges", tables.edges)):
        if table is not None and table.encoding is not None:
            check_encoding(f"dataset.{name}.encoding", table.encoding)


def _check_people(tables: CsvTables) -> None:
    rows_are_people = tables.user is None and tables.item is None
    if tables.user is None and (tables.edges or tables.user_vectors or (tables.users and not rows_are_people)):
        raise RequestError("dataset.user: is null, so users and edges have no one to belong to; name the column")
    if rows_are_people and tables.users and tables.users.file is not None:
        raise RequestError(
            "dataset.users.file: each row is a person, and no id names it; give dataset.user, or no file"
        )
    if tables.item is None and (tables.items or tables.vectors or tables.item_text or tables.edges):
        raise RequestError("dataset.item: is null, so items and edges say nothing; name the column, or leave them out")
    if tables.time_unit == "place" and tables.user is None:
        raise RequestError("dataset.time_unit=place: is a place in a user's sequence; name the users, dataset.user")
    if tables.k_core is not None and (tables.user is None or tables.item is None):
        raise RequestError("dataset.k_core: counts rows of users and of items; name both columns, or leave it out")


def _check_tables(tables: CsvTables) -> None:
    for name, table, key in (("users", tables.users, "user"), ("items", tables.items, "item")):
        if table is not None and (table.file is None) != (table.id is None):
            missing = "id: is mandatory" if table.id is None else "file: is mandatory"
            raise RequestError(
                f"dataset.{name}.{missing} where the other stands; leave out both where the columns are those of the "
                f"interactions (the id is dataset.{key} then)"
            )


def _check_arms(tables: CsvTables) -> None:
    if tables.arms and (tables.exposure is None or tables.feedback != "exposure_logged"):
        raise RequestError(
            "dataset.arms: effects need rows of exposure 0 too; name the column with dataset.exposure and set "
            "dataset.feedback=exposure_logged"
        )
    if len(set(tables.arms)) < len(tables.arms):
        raise RequestError(f"dataset.arms={tables.arms}: a name is given twice; name each arm once")
    if tables.exposure_levels and tables.exposure is None:
        raise RequestError("dataset.exposure_levels: say what a column holds; name it with dataset.exposure")
    if tables.exposure_levels and tables.arms and len(tables.exposure_levels) != len(tables.arms) + 1:
        raise RequestError(
            f"dataset.exposure_levels: has {len(tables.exposure_levels)}, dataset.arms {len(tables.arms)}; give one "
            f"level more than arms: the first is not exposed"
        )
    if tables.randomised_log and (not tables.arms or tables.self_selected):
        raise RequestError(
            "dataset.randomised_log: says that treatment was drawn at random, which needs dataset.arms and "
            "dataset.self_selected=false"
        )


def _check_propensity(tables: CsvTables) -> None:
    names, arms = tables.propensity, ["not exposed", *tables.arms]
    if isinstance(names, list) and (len(names) != len(arms) or not tables.arms):
        raise RequestError(
            f"dataset.propensity: names {len(names)} columns, one for each exposure; {tables.name} has {len(arms)}: "
            f"{', '.join(arms)} (dataset.arms)"
        )
    if isinstance(names, list) and len(set(names)) < len(names):
        raise RequestError(f"dataset.propensity={names}: a column is named twice; name one for each exposure")


def _check_strata(tables: CsvTables) -> None:
    if not tables.strata:
        return
    if not tables.arms or not (tables.randomised_flag or tables.randomised_interactions):
        raise RequestError(
            "dataset.strata: say how the arms of random rows were drawn, which needs dataset.arms and "
            "dataset.randomised_flag or dataset.randomised_interactions"
        )
    kinds = {column.name: column.kind for column in columns_of(tables) if column.entity != "pair"}
    fitting = [name for name, kind in kinds.items() if kind in ("id", "category", "numeric")]
    for name in tables.strata:
        if name not in fitting:
            raise RequestError(
                f"dataset.strata={name}: no category or number of users, items or rows; {did_you_mean(name, fitting)}"
            )


def _check_fill(tables: CsvTables) -> None:
    sides = {**(tables.users.columns if tables.users else {}), **(tables.items.columns if tables.items else {})}
    roles = _roles_of(tables)
    for name, value in tables.fill.items():
        kind = sides.get(name) or tables.row_columns.get(name)
        if name not in sides and name not in roles.columns.values():
            raise RequestError(
                f"dataset.fill.{name}: no such column; {did_you_mean(name, [*sides, *roles.columns.values()])}"
            )
        if name in sides and value == "drop":
            raise RequestError(
                f"dataset.fill.{name}=drop: rows of a table of users or items stay; fill it with a value"
            )
        is_number = isinstance(value, float | int) and not isinstance(value, bool)
        if kind == "numeric" and not is_number and value not in FILL_WORDS:
            raise RequestError(f"dataset.fill.{name}={value!r}: give a number, or one of {', '.join(FILL_WORDS)}")
        if kind is not None and kind != "numeric" and value in ("mean", "median", "indicator"):
            raise RequestError(
                f"dataset.fill.{name}={value}: is for numbers; name a level that stands for missing ones"
            )
        if kind is None and value != "drop" and not (name == tables.outcome and is_number):
            raise RequestError(f"dataset.fill.{name}={value!r}: give drop, which leaves out the rows that lack it")
        if kind is not None and kind.startswith("multi_hot"):
            raise RequestError(f"dataset.fill.{name}: a missing list is an empty one; leave it out")


def _check_truth(tables: CsvTables) -> None:
    if not tables.potential:
        return
    if sorted(tables.potential) != list(range(len(tables.arms) + 1)):
        raise RequestError(
            f"dataset.potential: name a column for each exposure, 0 to {len(tables.arms)} (the last of dataset.arms)"
        )
    if tables.item is not None or tables.repeats == "allowed":
        raise RequestError("dataset.potential: is the truth of people; set dataset.item=null, with one row of each")
    if tables.threshold is not None:
        raise RequestError("dataset.potential: holds means of the raw outcome; set dataset.threshold=null")
