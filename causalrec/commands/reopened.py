"""A finished run as the request it was, so that it can be asked further questions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.errors import DataError, RequestError

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.records.run_record import RunRecord


def reopened(folder: Path, config_dirs: Sequence[Path]) -> tuple[ExperimentConfig, RunRecord]:
    """Return the request and the record of a finished run, from its folder (or its record.json).

    Raises RequestError where there is none, where it did not finish, or where it would be another request today.
    """
    from causalrec.config.compose import compose_config, normalise_overrides, validate_config
    from causalrec.ids import parse_folder_name
    from causalrec.records.run_record import RECORD

    path = folder if folder.name == RECORD else folder / RECORD
    record = _load(path)
    if not record.done:
        raise RequestError(f"{path}: the run is {record.status}; run it again first: {record.command}")
    asked = [*shlex.split(record.command)[2:], f"name={record.name}", f"seed={record.seed}"]
    config = validate_config(compose_config(normalise_overrides(asked, config_dirs)), tuple(asked))
    if config.key != parse_folder_name(path.parent.name)[1]:
        raise RequestError(f"{path}: its configuration has changed since; run it again first: {record.command}")
    return config, record


def _load(path: Path) -> RunRecord:
    from causalrec.records.plain import read_json
    from causalrec.records.run_folder import is_estimation
    from causalrec.records.run_record import RunRecord

    try:
        if is_estimation(values := read_json(path)):
            raise RequestError(f"{path}: the record of an estimation, which left nothing to ask; give that of a run")
        return RunRecord.from_json(path, values)
    except OSError as error:
        told = f"{path}: no record of a run; give the folder of one job, runs/SWEEP/ROW/seedN-KEY"
        raise RequestError(told) from error
    except DataError as error:
        raise RequestError(str(error)) from error
