"""What an exported folder says of itself: the record of its run, its support, and the hash of each of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.files import write_text
from causalrec.data.sources import sha256_of
from causalrec.export.support import EXPECTED_ROWS, SupportTable
from causalrec.records.json_records import Json, json_text
from causalrec.records.run_record import RunRecord

SCHEMA = 1  # of `card.json`
CARD, CARD_SUM = "card.json", "card.sha256"
PRIVATE = ("paths", "logger")  # of the settings: where this machine keeps its files


def describe_run(record: RunRecord, card: DatasetCard) -> Json:
    """Return what a record and a data set's card say of a model, as `card.json` holds it."""
    return {
        "schema": SCHEMA,
        "run": record.name,
        "key": record.key,
        "task": asdict(record.task),
        "graph": record.setting("graph"),
        "adjustment": asdict(record.adjustment),
        "data": {
            "name": record.data.name,
            "domain": card.domain,
            "size": card.size,
            "rows": dict(record.audit.rows),
            "split": record.audit.split,
            "test": record.audit.test,
            "outcome": card.outcome,
            "threshold": card.threshold,
            "licence": card.licence,
            "redistribution": "forbidden" if forbids_redistribution(card) else "not forbidden by what is stated",
            "caveat": record.data.caveat,
            "sha256": dict(record.data.sha256),
        },
        "level": record.level,
        "scores": [asdict(score) for score in record.scores],
        "baselines": [asdict(score) for score in record.baselines],
        "warnings": [*record.warnings, *record.audit.warnings],
        "versions": dict(record.versions),
        "settings": {name: value for name, value in record.config.items() if name not in PRIVATE},
    }


def forbids_redistribution(card: DatasetCard) -> bool:
    """Whether the licence of a data set says so."""
    return "no redistribution" in card.licence.lower()


def describe_support(support: SupportTable) -> Json:
    """Return what was checked, by which rule, and what was not."""
    rare = Counter[str]()
    for u, i in np.argwhere(support.too_rare):
        names = (support.users.column_name(u), support.items.column_name(i))
        rare[" x ".join(filter(None, names))] += 1
    return {
        "rule": f"Outside: a level, or a cell of a user's and an item's level, without a training row; a cell only "
        f"where at least {EXPECTED_ROWS:g} rows would lie in it if users met items independently of their columns",
        "rows": support.rows,
        "pairs_of_columns": [f"{user} x {item}" for user, item in support.pairs],
        "cells_outside": int(support.outside.sum()),
        "cells_too_rare_to_judge": dict(rare),
        "not_checked": {**support.unchecked, "three columns or more": "a hole that no two columns show is not flagged"},
    }


def write_card(folder: Path, values: Mapping[str, object]) -> None:
    """Write `card.json`, with the SHA-256 of every other file, and `card.sha256`, its own.

    Args:
        folder: that holds every other file.
        values: of the card.
    """
    others = sorted(path for path in folder.iterdir() if path.name not in (CARD, CARD_SUM))
    files = {path.name: sha256_of(path) for path in others}
    write_text(folder / CARD, json_text({**values, "files": files}))
    write_text(folder / CARD_SUM, sha256_of(folder / CARD) + "\n")
