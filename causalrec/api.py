"""The way in by Python: what the verbs of the command do, as functions of one line each."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.errors import CausalRecError, RequestError
from causalrec.redaction import redact_command
from causalrec.working_folder import check_working_folder

if TYPE_CHECKING:
    from causalrec.data.dataset import CausalDataset
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.records.run_record import RunRecord
    from causalrec.reporting.score_table import ScoreTable
    from causalrec.running.trained_run import TrainedRun

LOGGER = logging.getLogger(__name__)
Setting = str | float | bool | None | Sequence[object] | Mapping[str, object]
BARE = re.compile(r"[A-Za-z_][\w./~-]*")  # text that Hydra's grammar reads as it stands


def load_dataset(name: str, config_dirs: Sequence[Path | str] = (), **settings: Setting) -> CausalDataset:
    """Load a data set by the name of its YAML: `load_dataset("coat", threshold=3)`.

    Raw files are read below `CAUSALREC_DATA` (by default ~/.cache/causalrec/data), or fetched to there where the data
    set may be. Raises RequestError for an unknown data set or setting, DataError for files that are absent or damaged.

    Args:
        name: as in `dataset=NAME`.
        config_dirs: further folders of YAML components.
        settings: of the data set, as in `dataset.KEY=VALUE`.
    """
    check_working_folder()
    from causalrec.config.compose import compose_and_check, normalise_overrides, validate_group

    if not isinstance(name, str):
        raise RequestError(f"{name!r}: is no data set; give its name, as in dataset=NAME")
    overrides = [_override("dataset", name), *(_override(f"dataset.{key}", value) for key, value in settings.items())]
    plain = compose_and_check(normalise_overrides(overrides, _folders(config_dirs)))
    dataset: AbstractDataset = validate_group(plain, "dataset").build()
    return dataset.load(Path(plain["paths"]["data"]))


def train(
    *overrides: str, config_dirs: Sequence[Path | str] = (), rerun: bool = False, **settings: Setting
) -> RunRecord:
    """Train one job, unless it is finished, and return its record: `train(dataset="coat", encoder="mf", seed=0)`.

    Everything that `causalrec train` takes is taken: groups and top-level keys by keyword, any key as text
    (`train("dataset.threshold=3", dataset="coat")`) or by a mapping (`trainer={"max_epochs": 5}`). The record lies in
    `paths.runs`, by default `runs/` of the working directory, and `load` opens it. Raises RequestError for a wrong
    request, before any work; CausalRecError where the job failed or runs elsewhere.

    Args:
        overrides: as on the command line, `key=value`.
        config_dirs: further folders of YAML components.
        rerun: train what is finished too, from its start.
        settings: overrides by keyword; a mapping gives the settings of a group.
    """
    check_working_folder()
    from causalrec.config.compose import normalise_overrides
    from causalrec.records.run_record import RECORD, RunRecord
    from causalrec.sweeps.driver import run_one

    if wrong := [value for value in overrides if not isinstance(value, str)]:
        raise RequestError(f"{wrong[0]!r}: is no override; write 'key=value', or give keywords: train(dataset='coat')")
    all_overrides = [*(text for key, value in settings.items() for text in _overrides(key, value)), *overrides]
    normal = normalise_overrides(all_overrides, _folders(config_dirs))
    (result,) = run_one(normal, redact_command(["causalrec", "train", *all_overrides]), rerun, lambda text: None)
    path = result.folder / RECORD
    if result.status == "failed" or not path.exists():
        raise CausalRecError(f"{result.label}: {result.status}: {result.reason}".rstrip(": "))
    return RunRecord.load(path)


def load(folder: Path | str | RunRecord) -> TrainedRun:
    """Open a finished run: `load(RUN).predict(user, item)` and `.recommend(user, k)` take raw ids.

    The record holds the configuration: the run may have been moved, and no YAML and no working directory matters. Raw
    data are read where the record says, or below `CAUSALREC_DATA` where they are not there. Raises RequestError or
    DataError, in one line, where there is no finished run, its weights or data are gone, or another version made it.

    Args:
        folder: of one job, `runs/SWEEP/ROW/seedN-KEY`; or of a row that holds no other; or what `train` returned.
    """
    check_working_folder()
    from causalrec.records.run_record import RunRecord
    from causalrec.running.trained_run import TrainedRun

    return TrainedRun.load(folder.folder if isinstance(folder, RunRecord) else Path(folder))


def export_run(folder: Path | str | RunRecord, out: Path | str, *, to: str = "onnx", ids: str | None = None) -> Path:
    """Write a finished run as a folder that scores pairs without this package, and return it: `export_run(RUN, "out")`.

    What `causalrec export` takes is taken. Raises RequestError where the run holds no network of users and items, where
    `out` is there already, and where packages of ONNX are missing.

    Args:
        folder: of the run, as `load` takes it.
        out: a folder that is not there yet.
        to: `onnx`, or `pt2` of torch.
        ids: `plain`, `hashed` or `none`; None: hashed where the data's licence forbids redistribution, else plain.
    """
    check_working_folder()
    from causalrec.export.packages import check_request

    check_request(Path(out), to, ids)
    from causalrec.export.folder import export_folder

    return export_folder(load(folder), Path(out), to, ids).folder  # type: ignore[arg-type]


def table(
    folder: Path | str, columns: Sequence[str] = (), *, rows: Sequence[str] = (), show_submodels: bool = False
) -> list[ScoreTable]:
    """Return the tables of the finished runs below a folder, one for each data set and estimand, as markdown by `str`.

    A record that cannot be read is left out, with a warning. Raises RequestError where no record lies there, DataError
    where none of a finished run does.

    Args:
        folder: any folder above records.
        columns: `metric@slice` each; by default those that the records have.
        rows: their names, in order; by default all.
        show_submodels: special cases of rows (`evaluation.submodels`) stand in the tables, and do not only mark them.
    """
    check_working_folder()
    from causalrec.reporting.folder_tables import folder_tables

    names = (columns,) if isinstance(columns, str) else tuple(columns)
    score_tables, broken = folder_tables(Path(folder), names, tuple(rows), show_submodels)
    for record in broken:
        LOGGER.warning("not in the table: %s: %s", Path(folder) / record.path, record.reason)
    return score_tables


def _folders(config_dirs: Sequence[Path | str] | Path | str) -> list[Path]:
    """Return folders; one alone may be given as it is."""
    return [Path(config_dirs)] if isinstance(config_dirs, str | Path) else [Path(folder) for folder in config_dirs]


def _overrides(key: str, value: Setting) -> list[str]:
    """Return the overrides of a keyword; a mapping holds the settings of a group.

    >>> _overrides("trainer", {"max_epochs": 5})
    ['trainer.max_epochs=5']
    """
    if isinstance(value, Mapping):
        return [_override(f"{key}.{name}", setting) for name, setting in value.items()]
    return [_override(key, value)]


def _override(key: str, value: object) -> str:
    """Write one override in Hydra's grammar.

    >>> _override("seed", 0), _override("metric", ["auc", "mse"]), _override("paths.runs", "my runs, new")
    ('seed=0', 'metric=[auc,mse]', "paths.runs='my runs, new'")
    """
    return f"{key}={_format_value(value)}"


def _format_value(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        text = str(value)
        quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return text if BARE.fullmatch(text) and text.lower() not in ("null", "true", "false") else quoted
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_format_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_format_value, value)) + "]"
    raise RequestError(f"{value!r}: is no setting; give text, a number, true or false, None, a list or a mapping")
