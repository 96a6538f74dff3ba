"""The overlap report: what the weights rest on, computed before training and stored in the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.graph.column_balance import Balance
from causalrec.graph.one_armed import one_armed_line
from causalrec.graph.overlap_errors import LearnedPropensity
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Floats

MAX_CLIPPED = 0.05  # share of rows
SMD_LIMIT = 0.1  # Austin (Statistics in Medicine 2009)
NO_CHANCE = 0.02  # of the average chance of another arm, below which a row has none like it under another


@dataclass(frozen=True)
class Overlap:
    """How well exposure covers the population.

    Attributes:
        clip: the objective's clip of propensities.
        clipped: share of logged rows below it.
        effective_rows: (sum w)^2 / sum w^2 with w = 1/p.
        inverse_sum: sum of 1/p over logged rows, divided by the number of pairs (1 when calibrated).
        ece: expected calibration error of the propensity against exposure on uniformly drawn pairs (probability), over
            equally filled bins; None where it is not computed.
        quantiles: of the logged rows' propensity (0, 1, 10, 50, 90, 100 %).
        mean_outcome: naive, IPS and SNIPS estimates of the exposed mean from the logged rows, in the outcome's unit,
            and the truth where a simulation has it.
        ece_width: calibration error over 100 bins of equal width; None where it is not computed.
        balance: of the columns of the propensity view; None without columns.
        fit: how the propensity's fit ended; None where it has a formula.
        criterion_clip: what selection's criterion clips at; None where it divides by no propensity.
        criterion_clipped: share of its rows below it.
        clipped_by_arm: share of the rows of each arm below the clip, by `none`, `arm 1`, ..; empty where every logged
            row is exposed. A share of all rows would hide that most rows of a rare arm are clipped.
        near_certain: share of rows whose chance of another arm is below a fiftieth of the average one of rows of their
            arm; None without arms.
        one_armed: share of rows in strata that lack an arm, by column (`graph/one_armed.py`).
        bmse: squared imbalance of the view's columns over uniformly drawn pairs; this and the three below are defined
            in `graph/overlap_errors.py`. None where the propensity cannot tell unlogged pairs.
        variance: of a doubly robust estimate of the fitted loss; None where no errors are imputed.
        bias: of that estimate; None where the truth is not known, or no errors are imputed.
        learned: of the propensity that a network has learnt beside the outcome; None: none has.
        warnings: one line each.
    """

    clip: float
    clipped: float
    effective_rows: float
    inverse_sum: float
    ece: float | None
    quantiles: tuple[float, ...]
    mean_outcome: dict[str, float]
    ece_width: float | None = None
    balance: Balance | None = None
    fit: FitReport | None = None
    criterion_clip: float | None = None
    criterion_clipped: float | None = None
    clipped_by_arm: Mapping[str, float] = field(default_factory=dict)
    near_certain: float | None = None
    one_armed: Mapping[str, float] = field(default_factory=dict)
    bmse: float | None = None
    variance: float | None = None
    bias: float | None = None
    learned: LearnedPropensity | None = None
    warnings: tuple[str, ...] = ()


def overlap(
    propensity: Floats,
    outcome: Floats,
    num_pairs: float,
    *,
    clip: float,
    ece: float | None,
    truth: float | None,
    ece_width: float | None = None,
    bmse: float | None = None,
    balance: Balance | None = None,
    fit: FitReport | None = None,
    one_armed: Mapping[str, float] | None = None,
) -> Overlap:
    """Summarise the propensities of logged rows and the estimates they give of the exposed mean.

    Args:
        propensity: float32[N] of the logged rows.
        outcome: float32[N].
        num_pairs: number of pairs of the population.
        clip: the objective's clip of propensities.
        ece: expected calibration error, None where it is not computed.
        truth: the true mean, None where there is none.
        ece_width: calibration error over bins of equal width.
        bmse: squared imbalance of the columns.
        balance: of the columns.
        fit: how the propensity's fit ended.
        one_armed: share of rows in strata that lack an arm, by column.
    """
    weight = 1.0 / propensity.astype(np.float64)
    estimates = {
        "naive": float(outcome.mean(dtype=np.float64)),
        "ips": float((weight * outcome).sum() / num_pairs),
        "snips": float((weight * outcome).sum() / weight.sum()),
    }
    report = Overlap(
        clip=clip,
        clipped=float((propensity < clip).mean()),
        effective_rows=float(weight.sum() ** 2 / (weight**2).sum()),
        inverse_sum=float(weight.sum() / num_pairs),
        ece=ece,
        quantiles=tuple(float(q) for q in np.quantile(propensity, [0, 0.01, 0.1, 0.5, 0.9, 1])),
        mean_outcome=estimates if truth is None else {**estimates, "true": truth},
        ece_width=ece_width,
        bmse=bmse,
        balance=balance,
        fit=fit,
        one_armed=one_armed or {},
    )
    return replace(report, warnings=tuple(_warnings(report, len(propensity))))


def with_criterion(report: Overlap, rows: InteractionLog, clip: float) -> Overlap:
    """Return the report with the share of validation rows that selection's criterion clips.

    Args:
        report: of the training rows.
        rows: validation rows with propensities.
        clip: what the criterion clips at, a probability.
    """
    assert rows.propensity is not None
    clipped = float((rows.propensity < clip).mean()) if len(rows) else 0.0
    by_arm = _clipped_by_arm(rows, clip) if report.clipped_by_arm else {}
    lines = [f"selection: {line}: what it chooses by is biased" for line in _clipped_lines(clipped, by_arm, clip)]
    return replace(report, criterion_clip=clip, criterion_clipped=clipped, warnings=(*report.warnings, *lines))


def _clipped_by_arm(log: InteractionLog, clip: float) -> dict[str, float]:
    """Return the share of the rows of each arm whose propensity is below the clip, by `none`, `arm 1`, .."""
    assert log.propensity is not None
    below, arms = log.propensity < clip, np.flatnonzero(np.bincount(log.treatment)).tolist()
    return {f"arm {arm}" if arm else "none": float(below[log.treatment == arm].mean()) for arm in arms}


def _clipped_lines(share: float, by_arm: Mapping[str, float], clip: float) -> list[str]:
    """Say of the rows, or of each arm's where there are arms, that more are clipped than is harmless."""
    shares = {f"the rows of {arm}": of_arm for arm, of_arm in by_arm.items()} or {"the rows": share}
    return [
        f"{of:.1%} of {whose} are clipped at {clip:.2g}, above {MAX_CLIPPED:.0%}"
        for whose, of in shares.items()
        if of > MAX_CLIPPED
    ]


def arm_overlap(
    log: InteractionLog,
    *,
    clip: float,
    truth: float | None,
    balance: Balance | None = None,
    fit: FitReport | None = None,
    one_armed: Mapping[str, float] | None = None,
    **calibration: None,
) -> Overlap:
    """Summarise the propensities of the arms received, of rows that include unexposed ones, and the estimates they give
    of the first arm's average effect.

    Every row stands for itself under each treatment, so that the sum of 1/p is rows times treatments where p is
    calibrated.

    Args:
        log: rows with propensities.
        clip: the objective's clip of propensities.
        truth: the true effect, None where there is none.
        balance: of the columns.
        fit: how the propensity's fit ended.
        one_armed: share of rows in strata that lack an arm, by column.
        calibration: not read: calibration errors are of pairs.
    """
    assert log.propensity is not None
    arms = int(log.treatment.max()) + 1
    report = overlap(
        log.propensity, log.outcome, len(log) * arms, clip=clip, ece=None, truth=truth, balance=balance, fit=fit
    )
    weight, effects = 1.0 / log.propensity.astype(np.float64), {}
    under, none = (log.treatment == arm for arm in (1, 0))
    for name, w in (("naive", np.ones(len(log))), ("snips", weight)):
        means = [float((w * log.outcome)[rows].sum() / w[rows].sum()) for rows in (under, none)]
        effects[name] = means[0] - means[1]
    effects["ips"] = float((weight * log.outcome * (under.astype(float) - none)).sum() / len(log))
    report = replace(
        report,
        mean_outcome=effects if truth is None else {**effects, "true": truth},
        clipped_by_arm=_clipped_by_arm(log, clip),
        near_certain=_near_certain(log),
        one_armed=one_armed or {},
    )
    return replace(report, warnings=tuple(_warnings(report, len(log))))


def _near_certain(log: InteractionLog) -> float:
    """Return the share of rows that had next to no chance of another arm; a rare arm alone makes none."""
    assert log.propensity is not None
    share = np.bincount(log.treatment) / len(log)
    return float((1.0 - log.propensity.astype(np.float64) < NO_CHANCE * (1.0 - share[log.treatment])).mean())


def _warnings(report: Overlap, rows: int) -> Iterator[str]:
    if report.fit is not None:
        yield from report.fit.warnings()
    alone = _rows_alone(report)
    yield from alone
    # where rows have none like them under another arm, a true p sums up to less too
    if report.inverse_sum > 1.25 or (report.inverse_sum < 0.8 and not alone):
        yield f"sum of 1/p is {report.inverse_sum:.2f} of the pairs, outside 0.8 to 1.25: p is not calibrated"
    if report.effective_rows < 0.1 * rows:
        yield f"effective rows are {report.effective_rows:.0f} of {rows}, below 10 %: few rows carry the weight"
    for line in _clipped_lines(report.clipped, report.clipped_by_arm, report.clip):
        yield f"{line}: the estimate is biased"
    if report.ece is not None and report.ece > 0.05:
        yield f"calibration error of p is {report.ece:.3f}, above 0.05"
    if report.balance is not None and report.balance.after > SMD_LIMIT:
        name, _, after = report.balance.worst[0]
        yield f"column {name} is off by {after:.2f} standard deviations after weighting, above {SMD_LIMIT}"


def _rows_alone(report: Overlap) -> list[str]:
    """Say of which rows none like them received another arm, as columns tell, else as p does."""
    if report.one_armed:
        return [one_armed_line(report.one_armed)]
    if report.near_certain is None or report.near_certain <= MAX_CLIPPED:
        return []
    return [
        f"{report.near_certain:.0%} of the rows had, by p, next to no chance of another arm than theirs: none like "
        f"them received one, so that the effect on them is extrapolated"
    ]
