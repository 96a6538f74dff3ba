"""An estimation job: its run, its record, and its cells. It trains nothing: known truth, draws, estimates."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, ValidationError

from causalrec.config.component import ComponentConfig
from causalrec.errors import RequestError, did_you_mean
from causalrec.ids import job_folder
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.field_types import Number
from causalrec.records.json_records import Json
from causalrec.records.sections import finite_or_none
from causalrec.records.versions import git_sha, versions
from causalrec.reporting.published_numbers import StrictModel
from causalrec.reporting.verdict import Obtained
from causalrec.types import Doubles

if TYPE_CHECKING:
    from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate

NAME_PATTERN = r"^[\w.+=-]+$"


class EstimatePaths(StrictModel):
    """`data`: raw files; `cache`: what we derive from them; `runs`: records."""

    data: Path
    cache: Path
    runs: Path


class EstimateRun(StrictModel):
    """The scalars of an estimation job.

    Attributes:
        name: row of the study; also a folder's name.
        sweep: study to which the job belongs; also a folder's name.
        seed: seed of its random numbers, 0 or more.
        paths: folders of data, cache and records.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    sweep: Annotated[str, Field(pattern=NAME_PATTERN)]
    seed: Annotated[int, Field(ge=0)]
    paths: EstimatePaths


@dataclass(frozen=True)
class EstimationConfig:
    """A validated request to estimate: the run and the checked component `estimation`."""

    run: EstimateRun
    estimation: ComponentConfig[AbstractEstimation]

    def to_dict(self) -> Json:
        """Return the whole configuration with every default, as JSON holds it."""
        return {**self.run.model_dump(mode="json"), "estimation": self.estimation.to_dict()}

    @property
    def folder(self) -> Path:
        """Where this job's record goes: its key is a hash of what determines the result."""
        settings = {"estimation": self.estimation.to_dict(), "seed": self.run.seed}
        key = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return job_folder(self.run.paths.runs / self.run.sweep, self.run.name, self.run.seed, key)


def estimation_config(
    composed: Mapping[str, object], estimation: ComponentConfig[AbstractEstimation]
) -> EstimationConfig:
    """Check the scalars of a composed `estimate.yaml`; raise RequestError in one line."""
    values = {key: value for key, value in composed.items() if key != "estimation"}
    try:
        return EstimationConfig(EstimateRun.model_validate(values), estimation)
    except ValidationError as error:
        first = error.errors()[0]
        key_path = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            key_names = [*EstimateRun.model_fields, "estimation"]
            raise RequestError(f"{key_path}: unknown key; {did_you_mean(key_path, key_names)}") from error
        raise RequestError(f"{key_path}={first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from error


def save_estimates(
    config: EstimationConfig, estimates: Sequence[Estimate], seconds: float, error: str | None = None
) -> Path:
    """Write `record.json` of a job, whole or not at all, and return its path.

    Args:
        config: request of the job.
        estimates: estimates it computed; empty where it failed.
        seconds: duration of the job.
        error: message of what failed; None where it is done.
    """
    record = EstimationRecord(
        name=config.run.name,
        status="failed" if error else "done",
        error=error,
        estimates=tuple(map(_estimate_record, estimates)),
        seconds=seconds,
        versions=versions(),
        git_sha=git_sha(),
        config=config.to_dict(),
    )
    return record.save(config.folder)


def _estimate_record(estimate: Estimate) -> EstimateRecord:
    return EstimateRecord(
        row=estimate.row,
        column=estimate.column,
        truth=finite_or_none(estimate.truth),
        value=finite_or_none(estimate.value),
        sd=finite_or_none(estimate.sd),
        low=finite_or_none(estimate.low),
        high=finite_or_none(estimate.high),
        draws=estimate.draws,
    )


def pool_estimates(records: Iterable[EstimationRecord]) -> dict[tuple[str, str], Obtained]:
    """Return the cells of estimation records by row and column; records of one cell (seeds) are pooled.

    `sd` is the standard deviation over all draws; low and high are averaged over records.
    """
    groups: dict[tuple[str, str], list[EstimateRecord]] = {}
    for record in records:
        if record.done:
            for estimate in record.estimates:
                groups.setdefault((estimate.row, estimate.column), []).append(estimate)
    return {key: _pool(group) for key, group in groups.items()}


def _pool(group: Sequence[EstimateRecord]) -> Obtained:
    draws = [estimate.draws for estimate in group]
    values = _numbers(estimate.value for estimate in group)
    within = [estimate.sd for estimate in group if estimate.sd is not None]
    mean = float(np.average(values, weights=draws))
    low = float(_numbers(estimate.low for estimate in group).mean())
    high = float(_numbers(estimate.high for estimate in group).mean())
    if len(within) < len(group):
        return Obtained(mean, None, low, high, sum(draws))
    squares = sum((n - 1) * s * s + n * (v - mean) * (v - mean) for n, s, v in zip(draws, within, values, strict=True))
    return Obtained(mean, math.sqrt(squares / max(sum(draws) - 1, 1)), low, high, sum(draws))


def _numbers(values: Iterable[Number]) -> Doubles:
    return np.array([math.nan if value is None else value for value in values], np.float64)
