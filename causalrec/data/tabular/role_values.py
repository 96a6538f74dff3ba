"""The cells of a role's column as numbers: what polars computes while a file streams by."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from causalrec.data.tabular.ids import Dictionary
from causalrec.data.tabular.numbers import NumberFormat, is_missing
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.roles import FILL_WORDS, Roles
from causalrec.data.tabular.times import UNITS

ABSENT = -(1 << 62)  # an integer that the file lacks


def role_expressions(
    raw: RawFile, roles: Roles, schema: pl.Schema, ids: Mapping[str, Dictionary], usual: bool
) -> list[pl.Expr]:
    """Return one expression for each role, and one that says where a cell is missing for each role that is filled.

    Args:
        raw: The file.
        roles: Which column plays which role.
        schema: Types of its columns.
        ids: The dictionary of each role that holds ids or categories.
        usual: Only the usual forms of numbers are tried.
    """
    expressions = []
    for role, name in roles.columns.items():
        expressions.append(_role_expression(role, name, raw, roles, schema[name], ids, usual).alias(role))
        if role in roles.filled:
            expressions.append(is_missing(pl.col(name), schema[name]).alias(missing_mask(role)))
    return expressions


def missing_mask(role: str) -> str:
    """Name the mask of a role's missing cells."""
    return f"missing {role}"


def _role_expression(
    role: str, name: str, raw: RawFile, roles: Roles, dtype: pl.DataType, ids: Mapping[str, Dictionary], usual: bool
) -> pl.Expr:
    column = pl.col(name)
    if role in ids:
        return _id_numbers(column, dtype, ids[role], roles.filled.get(role))
    if usual and dtype == pl.String and role == "outcome":
        return column.str.strip_chars().cast(pl.Float64, strict=False)
    if usual and dtype == pl.String and role == "time" and not roles.time_format.is_text:
        seconds = column.str.strip_chars().cast(pl.Int64, strict=False) // UNITS[roles.time_format.unit]
        return seconds.fill_null(ABSENT)
    if role == "time":
        return roles.time_format.seconds(column, dtype).fill_null(ABSENT)
    if role == "treatment" and roles.exposure_levels:
        return _level_numbers(column, roles.exposure_levels).fill_null(ABSENT)
    if role in ("position", "treatment"):
        return _integer(column, dtype, raw.numbers, flag=role == "treatment").fill_null(ABSENT)
    return number_expression(column, dtype, raw.numbers, flag=role in ("randomised", "outcome"))


def _id_numbers(column: pl.Expr, dtype: pl.DataType, ids: Dictionary, fill: float | str | None) -> pl.Expr:
    words = column.cast(pl.String)
    if fill is None:
        words = pl.when(words != "").then(words)
    else:
        words = pl.when(~is_missing(column, dtype)).then(words).otherwise(pl.lit(None if fill == "drop" else str(fill)))
    return words.cast(pl.Categorical(ids.categories)).to_physical().cast(pl.Int64).fill_null(-1)


def _level_numbers(column: pl.Expr, levels: tuple[str, ...]) -> pl.Expr:
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    numbers = pl.Series(range(len(levels)), dtype=pl.Int64)
    return words.replace_strict(pl.Series([level.lower() for level in levels]), numbers, default=None)


def number_expression(column: pl.Expr, dtype: pl.DataType, numbers: NumberFormat, flag: bool = False) -> pl.Expr:
    """Parse numbers, null where there is none.

    Args:
        column: The cells.
        dtype: Their type.
        numbers: How numbers are written.
        flag: Whether true and false are 1 and 0.
    """
    if dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    words = column.str.strip_chars()
    parsed = numbers.parse(words)
    if not flag:
        return parsed
    lower = words.str.to_lowercase()
    return pl.when(lower == "true").then(1.0).when(lower == "false").then(0.0).otherwise(parsed)


def _integer(column: pl.Expr, dtype: pl.DataType, numbers: NumberFormat, flag: bool = False) -> pl.Expr:
    number = number_expression(column, dtype, numbers, flag)
    return pl.when((number == number.round()) & (number.abs() < 2.0**53)).then(number).cast(pl.Int64, strict=False)


def is_constant(fill: float | str | None) -> bool:
    """Whether a fill is a value rather than a word for one."""
    return fill is not None and fill not in FILL_WORDS
