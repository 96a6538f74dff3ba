"""The sections of a record on exposure: how its propensity was fitted, and how well it covers the population."""

from __future__ import annotations

from dataclasses import dataclass, field

from causalrec.records.field_types import ADDED, Flag, NonNegative, Number, Share, Whole


@dataclass(frozen=True, kw_only=True)
class BalanceSection:
    """Standardised mean differences: the fields of `graph.overlap.Balance`."""

    before: Number
    after: Number
    worst: tuple[tuple[str, Number, Number], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConvergenceSection:
    """How an iterative fit ended: the fields of `solvers.convergence.Convergence`.

    Attributes:
        steps: number of steps.
        gradient: largest gradient of a coefficient over its scale.
        reason: why it stopped.
        tolerance: what `gradient` had to reach.
    """

    steps: Whole = 0
    gradient: NonNegative | None = None
    reason: str = ""
    tolerance: NonNegative | None = None


@dataclass(frozen=True, kw_only=True)
class SlopeSection:
    """A slope of held-out rows on predictions: the fields of `solvers.fit_report.Slope`."""

    value: Number
    error: NonNegative | None


@dataclass(frozen=True, kw_only=True)
class PropensityFitSection:
    """How the propensity was fitted: the fields of `solvers.fit_report.FitReport`.

    Attributes:
        convergence: how its fit ended.
        l2: the penalty that was taken; None where there is none.
        l2_at_edge: the penalty is the least of several.
        slope_users: of held-out rows on the summed probability, over users: 1 = calibrated, above 1 = over-shrunk.
        slope_items: the same over items.
        log_sd: standard deviation over the rows of log p.
        log_count_sd: the same of the log of their items' numbers of rows.
    """

    convergence: ConvergenceSection
    l2: NonNegative | None = None
    l2_at_edge: Flag = False
    slope_users: SlopeSection | None = None
    slope_items: SlopeSection | None = None
    log_sd: NonNegative | None = None
    log_count_sd: NonNegative | None = None


@dataclass(frozen=True, kw_only=True)
class LearnedPropensitySection:
    """Errors of a learnt propensity: the fields of `graph.overlap_errors.LearnedPropensity`.

    Attributes:
        ece: calibration error over equally filled bins (probability).
        ece_width: the same over bins of equal width.
        bmse: squared imbalance of columns over uniformly drawn pairs.
        variance: of a doubly robust estimate of the fitted loss; None where no errors are imputed.
        bias: of that estimate; None where the truth is not known, or no errors are imputed.
    """

    ece: Share | None = None
    ece_width: Share | None = None
    bmse: NonNegative | None = None
    variance: NonNegative | None = None
    bias: NonNegative | None = None


@dataclass(frozen=True, kw_only=True)
class OverlapSection:
    """How well exposure covers the population: the fields of `graph.overlap.Overlap`.

    Attributes:
        clip: the objective's clip of propensities.
        clipped: share of logged rows below it.
        effective_rows: (sum w)^2 / sum w^2 with w = 1/p.
        inverse_sum: sum of 1/p over logged rows, divided by the number of pairs (1 when calibrated).
        ece: calibration error of the propensity (probability), over equally filled bins; None where it is not computed.
        quantiles: of the logged rows' propensity (0, 1, 10, 50, 90, 100 %).
        mean_outcome: estimates of the exposed mean, in the outcome's unit, by name (`naive`, ...), and the truth where
            a simulation has it.
        ece_width: calibration error over 100 bins of equal width; None where it is not computed.
        balance: of the columns of the propensity view; None without columns.
        fit: how the propensity's fit ended; None where it has a formula.
        criterion_clip: what selection's criterion clips at; None where it divides by no propensity.
        criterion_clipped: share of its rows below it.
        clipped_by_arm: share of the rows of each arm below the clip, by `none`, `arm 1`, ..; empty where every logged
            row is exposed.
        near_certain: share of rows with next to no chance of another arm than theirs; None without arms.
        one_armed: share of rows in strata of a column that lack an arm, by column.
        bmse: squared imbalance of the view's columns over uniformly drawn pairs; None where it is not computed.
        variance: of a doubly robust estimate of the fitted loss; None where no errors are imputed.
        bias: of that estimate; None where the truth is not known, or no errors are imputed.
        learned: of the propensity that a network has learnt beside the outcome; None: none has.
        warnings: one line each.
    """

    clip: NonNegative = 0.0
    clipped: Share | None = None
    effective_rows: NonNegative | None = None
    inverse_sum: NonNegative | None = None
    ece: Share | None = None
    quantiles: tuple[Share | None, ...] = ()
    mean_outcome: dict[str, Number] = field(default_factory=dict)
    ece_width: Share | None = None
    balance: BalanceSection | None = None
    fit: PropensityFitSection | None = None
    criterion_clip: NonNegative | None = None
    criterion_clipped: Share | None = None
    clipped_by_arm: dict[str, Share] = field(default_factory=dict, metadata=ADDED)
    near_certain: Share | None = field(default=None, metadata=ADDED)
    one_armed: dict[str, Share] = field(default_factory=dict, metadata=ADDED)
    bmse: NonNegative | None = field(default=None, metadata=ADDED)
    variance: NonNegative | None = field(default=None, metadata=ADDED)
    bias: NonNegative | None = field(default=None, metadata=ADDED)
    learned: LearnedPropensitySection | None = field(default=None, metadata=ADDED)
    warnings: tuple[str, ...] = ()
