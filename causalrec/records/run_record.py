"""The record of a run: everything a table may be made from, written once and whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from causalrec.data.files import write_text
from causalrec.errors import DataError
from causalrec.ids import job_folder
from causalrec.plain_text import paste_safe_command
from causalrec.records.cost_section import CostSection
from causalrec.records.field_types import ADDED, NonNegative, Whole
from causalrec.records.json_records import Json, from_plain, json_text, read_json, require_schema
from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.recorded_settings import check_settings
from causalrec.records.sections import (
    AdjustmentSection,
    AuditSection,
    CalibrationBin,
    DataSection,
    ReliabilityCurve,
    ScoreRecord,
    SelectionSection,
    TaskSection,
)
from causalrec.records.sidecars import write_sidecars
from causalrec.types import Doubles, Floats

SCHEMA = 6  # of `record.json`; raise it where a field gets another name or meaning
RECORD = "record.json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One job's result, as `record.json` holds it.

    Attributes:
        schema: the form of the file.
        name: the row of a table.
        key: hash of what determines its result, as its folder is named.
        status: whether the job finished.
        error: why it failed.
        command: runs it again, safe to paste; empty where the file holds no command of causalrec.
        execution: how it was trained, `alone` or together with others.
        task: the question it answers.
        data: the data set.
        audit: what could make its numbers untrue.
        adjustment: what identifies the estimand, and what was read.
        overlap: what the weights rest on.
        selection: how the fit was chosen.
        submodels: keys of the jobs of its special cases, by name; empty where they were not asked for.
        warnings: what must be read beside every number of the run, a line each.
        scores: of the model.
        baselines: scores of the mandatory baselines.
        descriptions: what each metric is, a sentence, by name.
        calibration: bins of predictions on the last slice.
        reliability: where slices pass a map, bins of predictions by slice, before it and after.
        parameters: how many each role owns.
        trainable: how many of those are trained, by role.
        language_model: how many belong to a pretrained language model, by role.
        seconds: what it took.
        cost: how much of that was training and scoring, and how fast.
        peak_bytes: most memory used.
        versions: of the packages the result depends on.
        git_sha: the commit, with `+` where files were changed.
        config: what was asked for, every default included.
    """

    schema: Whole = SCHEMA
    name: str
    key: str = ""
    status: Literal["done", "failed"]
    error: str | None = None
    command: str = ""
    execution: str = "alone"
    task: TaskSection = field(default_factory=TaskSection)
    data: DataSection = field(default_factory=DataSection)
    audit: AuditSection = field(default_factory=AuditSection)
    adjustment: AdjustmentSection = field(default_factory=AdjustmentSection)
    overlap: OverlapSection = field(default_factory=OverlapSection)
    selection: SelectionSection = field(default_factory=SelectionSection)
    submodels: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    scores: tuple[ScoreRecord, ...] = ()
    baselines: tuple[ScoreRecord, ...] = ()
    descriptions: dict[str, str] = field(default_factory=dict)
    calibration: tuple[CalibrationBin, ...] = ()
    reliability: tuple[ReliabilityCurve, ...] = field(default=(), metadata=ADDED)
    parameters: dict[str, Whole] = field(default_factory=dict)
    trainable: dict[str, Whole] = field(default_factory=dict)
    language_model: dict[str, Whole] = field(default_factory=dict)
    seconds: NonNegative = 0.0
    cost: CostSection = field(default_factory=CostSection)
    peak_bytes: Whole = 0
    versions: dict[str, str] = field(default_factory=dict)
    git_sha: str | None = None
    config: Json = field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> RunRecord:
        """Read a record; raise DataError, in one line, on a damaged one and on one of another schema."""
        return RunRecord.from_json(path, read_json(path))

    @staticmethod
    def from_json(path: Path, values: Json) -> RunRecord:
        """Build a record from what its file holds; raise DataError as `load` does."""
        require_schema(path, values, SCHEMA)
        record = from_plain(path, RunRecord, values)
        check_settings(path, record.config, of_done_run=record.done)
        _check_scores(path, record)
        return replace(record, command=paste_safe_command(record.command) or "")

    def save(
        self,
        folder: Path,
        replicates: Mapping[str, Doubles] | None = None,
        jackknife: Mapping[str, Doubles] | None = None,
        by_user: Mapping[str, Floats] | None = None,
    ) -> Path:
        """Write `replicates.npz`, `jackknife.npz`, of rankings `by_user.npz`, then `record.json`, each atomically: a
        record is whole or absent.

        Args:
            folder: of the job.
            replicates: bootstrap replicates, by score key.
            jackknife: leave-groups-out values, by score key.
            by_user: the value of each user, by score key.
        """
        write_sidecars(folder, replicates=replicates, jackknife=jackknife, by_user=by_user or None)
        path = folder / RECORD
        write_text(path, self.json_text())
        return path

    def json_text(self) -> str:
        """Return what `record.json` holds."""
        return json_text(self)

    @property
    def folder(self) -> Path:
        """Where the run was recorded; relative to the working directory then, where its paths were."""
        runs = Path(str(self.setting("paths.runs")))
        return job_folder(runs / self.sweep, self.name, self.seed, self.key)

    @property
    def done(self) -> bool:
        """Whether the job finished."""
        return self.status == "done"

    @property
    def all_scores(self) -> tuple[ScoreRecord, ...]:
        """The model's scores, then those of the baselines."""
        return self.scores + self.baselines

    @property
    def seed(self) -> int:
        """The seed of the job."""
        return int(_number(self, "seed"))

    @property
    def sweep(self) -> str:
        """The sweep it belongs to."""
        return str(self.setting("sweep"))

    @property
    def baseline_rows(self) -> int:
        """How many rows the baselines read: validation rows too, where folds chose the fit."""
        rows = self.audit.rows
        return rows.get("train", 0) + (rows.get("validation", 0) if self.selection.folds > 1 else 0)

    @property
    def fitted_rows(self) -> int:
        """How many rows the evaluated fit read: validation rows too where it was not chosen by them alone, as a learner
        from a table, which tries no candidates.
        """
        held_out = bool(self.selection.candidates) and self.selection.folds == 1
        return self.audit.rows.get("train", 0) + (0 if held_out else self.audit.rows.get("validation", 0))

    @property
    def level(self) -> float:
        """The level of its intervals."""
        return float(_number(self, "evaluation.level"))

    def choice(self, group: str) -> str | None:
        """Return the name of the component chosen in a group; None where there is none."""
        name = self.setting(f"choices.{group}")
        return None if name is None else str(name)

    def setting(self, path: str) -> object:
        """Return a setting by its dotted key, None where there is none.

        >>> RunRecord(name="x", status="done", config={"optimizer": {"lr": 0.1}}).setting("optimizer.lr")
        0.1
        """
        value: object = self.config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def target(self, group: str, name: str) -> str | None:
        """Return the path of the class of a named member of a group (a metric, a baseline)."""
        member = members.get(name) if isinstance(members := self.setting(group), Mapping) else None
        path = member.get("_target_") if isinstance(member, Mapping) else None
        return None if path is None else str(path)


def _check_scores(path: Path, record: RunRecord) -> None:
    """Raise DataError at a score that stands twice, which a table would average, and at an interval of wrong ends."""
    scores = record.all_scores
    if len({(score.model, score.slice, score.metric) for score in scores}) < len(scores):
        key, _ = Counter(score.key for score in scores).most_common(1)[0]
        raise DataError(f"{path}: the score {key!r} stands twice in it; remove it and run the job again")
    for score in scores:
        if score.low is not None and score.high is not None and score.low > score.high:
            ends = f"low={score.low:g} is above high={score.high:g}"
            raise DataError(f"{path}: {score.key!r}: {ends}; remove it and run the job again")


def _number(record: RunRecord, path: str) -> int | float:
    value = record.setting(path)
    if not isinstance(value, int | float):
        raise DataError(f"record of {record.name}: config.{path}={value!r} is no number; run the job again")
    return value
