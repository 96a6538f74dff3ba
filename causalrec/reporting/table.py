"""Tables, from records alone: rows x columns, user-bootstrap intervals of seed averages, seed spread, and n."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from causalrec.errors import RequestError, nearest
from causalrec.estimators.interval import percentile_interval
from causalrec.reporting.record import Saved

UNTOLD = ("seed", "paths", "logger", "sweep", "name", "choices")  # settings that never tell two rows apart
DEFAULT = ("auc", "ndcg@5", "mse", "skill", "bias")
PARTS = ("_head", "_torso", "_tail", "_cold")  # of a slice, shown where a column asks for them


@dataclass(frozen=True)
class Cell:
    """Mean over seeds; `low`, `high`: user bootstrap of that mean; `spread`: standard deviation over seeds."""

    mean: float
    low: float
    high: float
    spread: float | None
    seeds: int
    n: int


@dataclass(frozen=True)
class Table:
    """Cells by row and column (`metric@slice`); baselines first; footnotes say what the numbers rest on."""

    dataset: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Cell]]
    baselines: tuple[str, ...]
    footnotes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain values."""
        cells = {row: {column: vars(cell) for column, cell in of.items()} for row, of in self.rows.items()}
        return {**vars(self), "rows": cells}


def tables(saved: Iterable[Saved], columns: tuple[str, ...] = ()) -> list[Table]:
    """Make one table per data set, split and estimand (a table never mixes two estimands)."""
    groups: dict[tuple[str, str, str], list[Saved]] = {}
    for one in saved:
        if one.record["status"] == "done" and "scores" in one.record:  # estimation records have none
            record = one.record
            key = (_dataset(record), record["adjustment"]["estimand"], split_of(record))
            groups.setdefault(key, []).append(one)
    _require(columns, [one for group in groups.values() for one in group])
    return [_table(label, estimand, group, columns) for (label, estimand, _), group in groups.items()]


def split_of(record: dict[str, Any]) -> str:
    """Return what names the rows that training saw: few-shot draws from the same rows stand in one table, and so do
    rows or outcomes drawn anew of the same users and items.
    """
    hashes, anew = record["audit"]["hashes"], drawn_anew(record)
    if _redraws(record):  # the draws need not have as many rows
        rooms = {room: record["config"].get(room) or {} for room in ("dataset", "split")}
        asked = {f"{room}.{key}": value for room, keys in rooms.items() for key, value in keys.items()}
        return repr(sorted((key, repr(value)) for key, value in asked.items() if key not in anew))
    return str(hashes.get("drawn_from", hashes["train"]))


def drawn_anew(record: dict[str, Any]) -> tuple[str, ...]:
    """Return the settings that only draw rows or outcomes anew, as seeds do."""
    return tuple(record["audit"].get("drawn_anew", ("split.draw",)))


def _redraws(record: dict[str, Any]) -> bool:
    return any(key.startswith("dataset.") for key in drawn_anew(record))


def _require(columns: tuple[str, ...], saved: list[Saved]) -> None:
    known = {_column(score) for one in saved for score in one.record["scores"] + one.record["baselines"]}
    for column in columns if saved else ():
        if column not in known:
            raise RequestError(f"column {column}: no record has it; {nearest(column, known)}")


def _dataset(record: dict[str, Any]) -> str:
    threshold = record["audit"]["threshold"]
    return str(record["data"]["name"]) + ("" if threshold is None else f" (1 = rating >= {threshold:g})")


def _table(label: str, estimand: str, saved: list[Saved], wanted: tuple[str, ...]) -> Table:
    names = row_names(saved)
    groups: dict[str, list[Saved]] = {}
    for one, name in zip(saved, names, strict=True):
        groups.setdefault(name, []).append(one)
    trivial = tuple(dict.fromkeys(score["model"] for one in saved for score in one.record["baselines"]))
    available = list(dict.fromkeys(_column(s) for one in saved for s in one.record["scores"] + one.record["baselines"]))
    columns = _columns(available, wanted)
    drawn = _drawn(saved)
    rows = {name + mark: _cells(on, name, "baselines", columns) for mark, on in drawn.items() for name in trivial}
    shown = tuple(rows)
    rows |= {name: _cells(group, None, "scores", columns) for name, group in groups.items()}
    return Table(label, columns, rows, shown, tuple(_footnotes(estimand, groups)))


def _drawn(saved: list[Saved]) -> dict[str, list[Saved]]:
    """Return one record of each training split, by what its baselines' names end with: the rows, where they differ."""
    once = {one.record["audit"]["hashes"]["train"]: one for one in reversed(saved)}
    sizes: dict[int, list[Saved]] = {}
    for one in reversed(once.values()):
        rows = {} if _redraws(one.record) else one.record["audit"].get("rows") or {}
        sizes.setdefault(int(rows.get("train", 0)), []).append(one)
    return {f"-{size}" if len(sizes) > 1 else "": group for size, group in sorted(sizes.items())}


def _column(score: dict[str, Any]) -> str:
    return f"{score['metric']}@{score['slice']}"


def _columns(available: list[str], wanted: tuple[str, ...]) -> tuple[str, ...]:
    whole = tuple(c for c in available if not c.endswith(PARTS))
    usual = tuple(c for c in whole if c.rpartition("@")[0] in DEFAULT or c == "snips_mean@logged")
    return tuple(c for c in wanted if c in available) if wanted else usual or whole


def row_names(saved: list[Saved]) -> list[str]:
    """Name each row; rows of one name that differ in configuration get the differing settings appended."""
    flat = [_flat(one.record["config"], drawn_anew(one.record)) for one in saved]
    peers: dict[str, list[dict[str, Any]]] = {}
    for one, mine in zip(saved, flat, strict=True):
        peers.setdefault(one.record["name"], []).append(mine)
    apart = {name: _differing(group) for name, group in peers.items()}
    told = [
        [f"{key}={mine.get(key)}" for key in apart[one.record["name"]]] for one, mine in zip(saved, flat, strict=True)
    ]
    return [" ".join([one.record["name"], *settings]) for one, settings in zip(saved, told, strict=True)]


def _differing(group: list[dict[str, Any]]) -> list[str]:
    keys = {key for one in group for key in one}
    return sorted(key for key in keys if any(one.get(key) != group[0].get(key) for one in group[1:]))


def _flat(config: dict[str, Any], anew: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if prefix + key not in ("trainer.progress", *anew) and (prefix or key not in UNTOLD):
            flat |= _flat(value, anew, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _cells(group: list[Saved], model: str | None, part: str, columns: tuple[str, ...]) -> dict[str, Cell]:
    cells = {}
    for column in columns:
        found = [
            (score, one.replicates.get(f"{score['model']}|{score['slice']}|{score['metric']}"))
            for one in group
            for score in one.record[part]
            if _column(score) == column and (model is None or score["model"] == model)
        ]
        if found and all(score["value"] is not None for score, _ in found):
            cells[column] = _cell(found, group[0].record["config"]["evaluation"]["level"])
    return cells


def _cell(found: list[tuple[dict[str, Any], Any]], level: float) -> Cell:
    values = [score["value"] for score, _ in found]
    first = found[0][0]
    low, high = (float("nan") if end is None else end for end in (first["low"], first["high"]))  # it has none
    if len(found) > 1:
        kept = [replicates for _, replicates in found if replicates is not None]
        whole = len(kept) == len(found)  # without every seed's replicates there is no interval of their average
        low, high = percentile_interval(np.mean(kept, axis=0), level) if whole else (float("nan"), float("nan"))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Cell(float(np.mean(values)), low, high, spread, len(values), first["n"])


def notices(saved: Iterable[Saved]) -> list[str]:
    """Return what the data sets of records want read with any result on them, once each, as footnotes."""
    about = (one.record.get("data") or {} for one in saved)
    return list(dict.fromkeys(f"{data['name']}: {data['notice']}." for data in about if data.get("notice")))


def _footnotes(estimand: str, groups: dict[str, list[Saved]]) -> Iterable[str]:
    yield from notices(one for group in groups.values() for one in group)
    level = next(iter(groups.values()))[0].record["config"]["evaluation"]["level"]
    yield f"[low, high]: {level:.0%} interval of the seed average, users resampled; ± standard deviation over seeds."
    yield f"Estimand: {estimand}" + (" (a debiased outcome, not an effect)." if estimand == "exposed_mean" else ".")
    for name, group in groups.items():
        adjustment, choices = group[0].record["adjustment"], group[0].record["config"]["choices"]
        for assumption in adjustment["training"]["assumed"]:
            yield f"{name}: assumed, not identified: {assumption}."
        if adjustment["propensity_reads"] != adjustment["training"]["columns"]:
            read, needed = adjustment["propensity_reads"], adjustment["training"]["columns"]
            if adjustment["training"]["strategy"] == "backdoor":
                yield f"{name}: propensity={choices['propensity']} reads {read}, the adjustment set is {needed}."
        if adjustment["evaluation"]["strategy"] == "none":
            yield f"{name}: the test is logged, not randomised: scores describe logged exposure only."
    audits = [one.record["audit"] for group in groups.values() for one in group]
    for warning in dict.fromkeys(line for audit in audits for line in audit.get("warnings", ())):
        yield f"{warning[0].upper()}{warning[1:]}."
    audit = audits[0]
    yield f"Test: {audit['test']}; {audit['duplicates']} pairs of it are also logged ({audit['duplicate_rule']})."


def show(table: Table, console: Console) -> None:
    """Print a table to a terminal."""
    drawn = RichTable(
        title=table.dataset, caption=Text("\n".join(dict.fromkeys(table.footnotes))), caption_justify="left"
    )
    drawn.add_column("row", no_wrap=True)
    for column in table.columns:
        drawn.add_column(column, justify="right", no_wrap=True)
    drawn.add_column("seeds", justify="right")
    for name, cells in table.rows.items():
        shown = (written(cells.get(column), "\n") for column in table.columns)
        drawn.add_row(name, *shown, seeds_of(name, table), end_section=name == table.baselines[-1])
    console.print(drawn)


def seeds_of(name: str, table: Table) -> str:
    """Return how many seeds a row averages; baselines have none to draw."""
    cells = table.rows[name].values()
    return "" if name in table.baselines else str(max((cell.seeds for cell in cells), default=0))


def written(cell: Cell | None, gap: str = " ") -> str:
    """Write one cell: mean ± spread, then the interval where it has one.

    >>> written(Cell(0.5, 0.4, 0.6, 0.01, 2, 100))
    '0.500 ± 0.010 [0.400, 0.600]'
    """
    if cell is None:
        return "-"
    spread = "" if cell.spread is None else f" ± {cell.spread:.3f}"
    ends = f"{gap}[{cell.low:.3f}, {cell.high:.3f}]" if math.isfinite(cell.low) else ""
    return f"{cell.mean:.3f}{spread}{ends}"


def markdown(table: Table) -> str:
    """Write a table as GitHub markdown, with its footnotes."""
    head = ["row", *table.columns, "seeds"]
    lines = [f"**{table.dataset}**", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, cells in table.rows.items():
        shown = [written(cells.get(column), "<br>") for column in table.columns]
        lines.append("| " + " | ".join([name, *shown, seeds_of(name, table)]) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in dict.fromkeys(table.footnotes))])
