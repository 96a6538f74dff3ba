"""A finished run opened again from its folder alone: its record holds the request, its weights lie beside."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.config.compose import PlainConfig, compose_config, validate_config
from causalrec.config.folders import component_names
from causalrec.config.schema import OPTIONAL, ExperimentConfig
from causalrec.data.readable_paths import why_closed
from causalrec.errors import DataError, RequestError
from causalrec.records.json_records import read_json
from causalrec.records.run_folder import is_estimation
from causalrec.records.run_record import RECORD, RunRecord

if TYPE_CHECKING:
    from causalrec.data.audit import Audit
    from causalrec.data.dataset import CausalDataset

SECTIONS = ("selection", "evaluation", "representation", "paths")  # of the scalars


def read_record(folder: Path) -> RunRecord:
    """Return the record of a job's folder, or of the only job in a row's folder; RequestError where there is none."""
    return _load(_record_path(folder))


def reopen_run(folder: Path) -> tuple[ExperimentConfig, RunRecord]:
    """Return the request and the record of a finished run.

    `folder`: the job's, its record.json, or that of a row which holds no other run. Neither the YAML that the request
    came from nor the working directory matters, and the folder may have been moved.
    Raises RequestError where there is no run, where it did not finish, where its record is damaged, and where this
    version of the package reads its configuration as another request.
    """
    path = _record_path(folder)
    record = _load(path)
    if not record.done:
        raise RequestError(f"{path}: the run is {record.status}; run it again first{_again(record)}")
    config = config_of(path, record)
    if config.key != record.key:
        raise RequestError(f"{path}: {_made_otherwise(record)}")
    return config.replace(moved_to=path.resolve().parent), record


def check_same_files(record: RunRecord, dataset: CausalDataset) -> None:
    """Raise DataError where the raw files are not those that the run read: its rows and ids would be others."""
    recorded, present = dict(record.data.sha256), dict(dataset.raw_sha256)
    changed = sorted(name for name in recorded.keys() | present.keys() if recorded.get(name) != present.get(name))
    if changed:
        raise DataError(
            f"{dataset.card.name}: {', '.join(changed)}: not as the run read it (its record holds the SHA-256); set "
            f"CAUSALREC_DATA to the folder of those files, or run it again first{_again(record)}"
        )


def check_same_rows(record: RunRecord, audit: Audit) -> None:
    """Raise DataError where the split gives other rows than those that the run was trained and tested on."""
    recorded, present = dict(record.audit.hashes), audit.hashes
    changed = sorted(name for name in recorded.keys() & present.keys() if recorded[name] != present[name])
    if changed:
        raise DataError(
            f"{record.name}: its {', '.join(changed)} rows are not those of its record: this version holds out others "
            f"({audit.split}); run it again first{_again(record)}"
        )


def config_of(path: Path, record: RunRecord) -> ExperimentConfig:
    """Return the request that a record holds; groups that its learner does not read are those of the defaults.

    Of its folders, that of raw data is read where it is there (still) and not hidden; all others are those of this
    process's environment, whatever the record says.
    """
    recorded: PlainConfig = dict(record.config)
    defaults = compose_config([])
    absent = {group: None for group in OPTIONAL if group not in recorded}
    choices = {**defaults["choices"], **recorded.get("choices", {})}
    plain = {**defaults, **absent, **recorded, "choices": choices}
    plain["paths"] = _folders(recorded.get("paths", {}), defaults["paths"])
    if record.done and record.selection.folds == 1 and not plain["selection"]["candidates"]:
        plain["selection"] = {
            **plain["selection"],
            "candidates": "none",
        }  # else it would be folded: other training rows
    try:
        return validate_config(plain, _overrides(record.command))
    except RequestError as error:
        incomplete = any(set(defaults[name]) - set(recorded[name]) for name in SECTIONS if name in recorded)
        why = _made_otherwise(record) if incomplete else str(error)
        raise RequestError(f"{path}: {why}") from error


def _overrides(command: str) -> tuple[str, ...]:
    with suppress(ValueError):  # the command is for people: damaged, it costs no result
        return tuple(shlex.split(command)[2:])
    return ()


def _made_otherwise(record: RunRecord) -> str:
    maker = record.versions.get("causalrec", "another version")
    return (
        f"was made by causalrec {maker}, whose defaults or code were others, or its configuration was edited; run it "
        f"again first{_again(record)}"
    )


def _again(record: RunRecord) -> str:
    """Return the command that runs a job again, ready to end a message; empty where its record holds none."""
    return f": {record.command}{_folder_needed(record)}" if record.command else ""


def _folder_needed(record: RunRecord) -> str:
    """Say which components are none of the package's, for a record does not hold the folder that they lie in."""
    choices = record.config.get("choices")
    chosen = choices.items() if isinstance(choices, Mapping) else ()
    others = [f"{group}={name}" for group, name in chosen if name and name not in component_names(str(group))]
    return f" (with the --config-dir that holds {', '.join(others)})" if others else ""


def _folders(recorded: object, defaults: dict[str, str]) -> dict[str, str]:
    """Return the folders of a run that is opened again: nothing is written where a record says."""
    data = recorded.get("data") if isinstance(recorded, dict) else None
    is_read = isinstance(data, str) and _is_folder(data) and why_closed(Path(data), Path(defaults["data"])) is None
    return {**defaults, "data": str(data)} if is_read else defaults


def _is_folder(name: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(name).is_dir()
    return False


def _record_path(folder: Path) -> Path:
    """Return the path of the record of a job's folder, or of the only one in a row's folder."""
    path = folder if folder.name == RECORD else folder / RECORD
    of_row = [] if path.exists() else sorted(folder.glob(f"seed*-*/{RECORD}"))
    if len(of_row) > 1:
        names = ", ".join(record.parent.name for record in of_row)
        raise RequestError(f"{folder}: holds several runs; name one of {names}")
    return of_row[0] if of_row else path


def _load(path: Path) -> RunRecord:
    try:
        if is_estimation(values := read_json(path)):
            raise RequestError(f"{path}: the record of an estimation, which left nothing to ask; give that of a run")
        return RunRecord.from_json(path, values)
    except OSError as error:
        raise RequestError(
            f"{path}: no record of a run; give the folder of one job, runs/SWEEP/ROW/seedN-KEY"
        ) from error
    except DataError as error:
        raise RequestError(str(error)) from error
