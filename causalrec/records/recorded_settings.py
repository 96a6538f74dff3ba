"""What is read of a record's configuration, checked once where the record is read, so that no table fails on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from causalrec.errors import DataError
from causalrec.records.field_types import Level, Whole
from causalrec.records.json_records import Json, validate_section


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """The `evaluation` section: the level of the intervals."""

    level: Level | None = None


@dataclass(frozen=True, kw_only=True)
class RecordedSettings:
    """The settings that tables, pages, dashboards and a reopened run read, beside what they show as it stands.

    Attributes:
        name: the row.
        sweep: the sweep it belongs to.
        seed: of the job.
        choices: the component chosen in each group.
        paths: folders of data, cache and records.
        evaluation: how it was scored.
        selection: how its fit was chosen.
        representation: how its texts were read.
    """

    name: str | None = None
    sweep: str | None = None
    seed: Whole | None = None
    choices: dict[str, str | None] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    selection: dict[str, object] = field(default_factory=dict)
    representation: dict[str, object] = field(default_factory=dict)


def check_settings(path: Path, config: Json, *, of_done_run: bool) -> None:
    """Raise DataError, which names file and setting, where a record's configuration is not as its readers need it."""
    settings = validate_section(path, RecordedSettings, config, "config.")
    needed = {"seed": settings.seed, "evaluation.level": settings.evaluation.level}
    for name in (name for name, value in needed.items() if value is None and of_done_run):
        raise DataError(f"{path}: no `config.{name}` in it; remove it and run the job again")
