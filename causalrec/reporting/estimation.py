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
from causalrec.errors import RequestError, nearest
from causalrec.ids import job_folder
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.plain import Json
from causalrec.records.sections import Number, finite_or_none
from causalrec.records.versions import git_sha, versions
from causalrec.reporting.published_numbers import Strict
from causalrec.reporting.verdict import Obtained
from causalrec.types import Doubles

if TYPE_CHECKING:
    from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate

NAME = r"^[\w.+=-]+$"


class EstimatePaths(Strict):
    """`data`: raw files; `cache`: what we derive from them; `runs`: records."""

    data: Path
    cache: Path
    runs: Path


class EstimateRun(Strict):
    """The scalars of an estimation job."""

    name: Annotated[str, Field(pattern=NAME)]
    sweep: Annotated[str, Field(pattern=NAME)]
    seed: Annotated[int, Field(ge=0)]
    paths: EstimatePaths


@dataclass(frozen=True)
class EstimateSpec:
    """A validated request to estimate: the run and the checked component `estimation`."""

    run: EstimateRun
    estimation: ComponentConfig[AbstractEstimation]

    def to_dict(self) -> Json:
        """Return the whole configuration with every default, as JSON holds it."""
        return {**self.run.model_dump(mode="json"), "estimation": self.estimation.to_dict()}

    @property
    def folder(self) -> Path:
        """Where this job's record goes: its key is a hash of what determines the result."""
        parts = {"estimation": self.estimation.to_dict(), "seed": self.run.seed}
        key = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return job_folder(self.run.paths.runs / self.run.sweep, self.run.name, self.run.seed, key)


def estimate_spec(composed: Mapping[str, object], estimation: ComponentConfig[AbstractEstimation]) -> EstimateSpec:
    """Check the scalars of a composed `estimate.yaml`; raise RequestError in one line."""
    values = {key: value for key, value in composed.items() if key != "estimation"}
    try:
        return EstimateSpec(EstimateRun.model_validate(values), estimation)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = [*EstimateRun.model_fields, "estimation"]
            raise RequestError(f"{place}: unknown key; {nearest(place, known)}") from error
        raise RequestError(f"{place}={first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from error


def save_estimates(spec: EstimateSpec, estimates: Sequence[Estimate], seconds: float, error: str | None = None) -> Path:
    """Write `record.json` of a job, whole or not at all, and return its path."""
    record = EstimationRecord(
        name=spec.run.name,
        status="failed" if error else "done",
        error=error,
        estimates=tuple(map(_recorded, estimates)),
        seconds=seconds,
        versions=versions(),
        git_sha=git_sha(),
        config=spec.to_dict(),
    )
    return record.save(spec.folder)


def _recorded(one: Estimate) -> EstimateRecord:
    return EstimateRecord(
        row=one.row,
        column=one.column,
        truth=finite_or_none(one.truth),
        value=finite_or_none(one.value),
        sd=finite_or_none(one.sd),
        low=finite_or_none(one.low),
        high=finite_or_none(one.high),
        draws=one.draws,
    )


def pool_estimates(records: Iterable[EstimationRecord]) -> dict[tuple[str, str], Obtained]:
    """Return the cells of estimation records by row and column; records of one cell (seeds) are pooled.

    `sd` is the standard deviation over all draws; low and high are averaged over records.
    """
    groups: dict[tuple[str, str], list[EstimateRecord]] = {}
    for record in records:
        if record.done:
            for one in record.estimates:
                groups.setdefault((one.row, one.column), []).append(one)
    return {key: _pooled(group) for key, group in groups.items()}


def _pooled(group: Sequence[EstimateRecord]) -> Obtained:
    draws = [one.draws for one in group]
    values = _numbers(one.value for one in group)
    within = [one.sd for one in group if one.sd is not None]
    mean = float(np.average(values, weights=draws))
    low, high = float(_numbers(one.low for one in group).mean()), float(_numbers(one.high for one in group).mean())
    if len(within) < len(group):
        return Obtained(mean, None, low, high, sum(draws))
    squares = sum((n - 1) * s**2 + n * (v - mean) ** 2 for n, s, v in zip(draws, within, values, strict=True))
    return Obtained(mean, math.sqrt(squares / max(sum(draws) - 1, 1)), low, high, sum(draws))


def _numbers(values: Iterable[Number]) -> Doubles:
    return np.array([math.nan if value is None else value for value in values], np.float64)
