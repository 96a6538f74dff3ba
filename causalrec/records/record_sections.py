"""Sections of a record from what the rooms below compute: their fields are the same, so that a renamed one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from causalrec.records.overlap_sections import (
    BalanceSection,
    ConvergenceSection,
    LearnedPropensitySection,
    OverlapSection,
    PropensityFitSection,
    SlopeSection,
)
from causalrec.records.sections import AdjustmentSection, AuditSection, IdentificationSection, finite_or_none

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from causalrec.data.audit import Audit
    from causalrec.graph.column_balance import Balance
    from causalrec.graph.identify import Adjustment, Identification
    from causalrec.graph.overlap import Overlap
    from causalrec.solvers.fit_report import FitReport, Slope


def audit_section(audit: Audit) -> AuditSection:
    """Return what an audit counted, as the record holds it."""
    return AuditSection(**_fields(audit))  # type: ignore[arg-type]


def adjustment_section(adjustment: Adjustment) -> AdjustmentSection:
    """Return what identifies the estimand, before anything is read."""
    return AdjustmentSection(
        training=_identification(adjustment.training), evaluation=_identification(adjustment.evaluation)
    )


def _identification(identification: Identification) -> IdentificationSection:
    return IdentificationSection(**_fields(identification))  # type: ignore[arg-type]


def overlap_section(overlap: Overlap) -> OverlapSection:
    """Return the overlap report, as the record holds it."""
    fields = _fields(overlap)
    fields["balance"] = None if overlap.balance is None else _balance(overlap.balance)
    fields["fit"] = None if overlap.fit is None else _propensity_fit(overlap.fit)
    learned = None if overlap.learned is None else LearnedPropensitySection(**_fields(overlap.learned))  # type: ignore[arg-type]
    fields["learned"] = learned
    return OverlapSection(**fields)  # type: ignore[arg-type]


def _propensity_fit(report: FitReport) -> PropensityFitSection:
    convergence = ConvergenceSection(**_fields(report.convergence))  # type: ignore[arg-type]
    slopes = {name: _slope(getattr(report, name)) for name in ("slope_users", "slope_items")}
    return PropensityFitSection(**{**_fields(report), **slopes, "convergence": convergence})  # type: ignore[arg-type]


def _slope(slope: Slope | None) -> SlopeSection | None:
    return None if slope is None else SlopeSection(**_fields(slope))  # type: ignore[arg-type]


def _balance(balance: Balance) -> BalanceSection:
    return BalanceSection(**_fields(balance))  # type: ignore[arg-type]


def _fields(source: DataclassInstance) -> dict[str, object]:
    return {field.name: _finite(getattr(source, field.name)) for field in dataclasses.fields(source)}


def _finite(value: object) -> object:
    """Return a value without numbers that are not finite."""
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    return tuple(map(_finite, value)) if isinstance(value, tuple | list) else value
