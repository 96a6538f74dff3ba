"""The sections of a run's record: one field for each thing a table, a page or a dashboard may show.

A number that may be unknown or not finite is None, as JSON has no other word for it. A job that failed leaves the
defaults where it did not get.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from causalrec.ids import score_key

Number = float | None


def finite_or_none(value: float | None) -> Number:
    """Return a number as a record holds it: None where it is not finite.

    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True, kw_only=True)
class TaskSection:
    """The question the run answers, and what its tables must say of it.

    Attributes:
        name: the task's name.
        estimand: what is estimated; a table never mixes two.
        description: one sentence on the estimand.
        footnotes: lines that stand below every table of it.
        summary: what `overlap.mean_outcome` estimates, as words of a sentence.
    """

    name: str = ""
    estimand: str = ""
    description: str = ""
    footnotes: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """The data set: the sha256 of each raw file, its feedback, a caveat to be read with any result on it, and which
    slices that were asked for by name have no rows in it.
    """

    name: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    feedback: str = ""
    caveat: str | None = None
    slices_without_rows: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AuditSection:
    """What could make a number untrue, counted on the splits as they were used: the fields of `data.audit.Audit`."""

    rows: dict[str, int] = field(default_factory=dict)
    mean_outcome: dict[str, Number] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    threshold: Number = None
    bin_edges: tuple[float, ...] = ()
    test: str = ""
    duplicates: int = 0
    duplicate_rule: str = ""
    leaked_rows: int = 0
    unseen_rows: int = 0
    unseen_rule: str = ""
    candidates_per_user: Number = None
    positives_per_user: Number = None
    users_without_positive: int | None = None
    future_rows: int | None = None
    randomised_rows_used: int = 0
    with_duplicates: dict[str, Number] = field(default_factory=dict)
    without_duplicates: dict[str, Number] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    positives: dict[str, int] = field(default_factory=dict)
    cold_users: int = 0
    cold_items: int = 0
    context_rows: int = 0
    drawn_from: int | None = None
    augmented_rows: int | None = None
    resampled_by: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IdentificationSection:
    """How an estimand is identified: the fields of `graph.identify.Identification`."""

    strategy: str = ""
    columns: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    mediator: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdjustmentSection:
    """What identifies the estimand, and which columns were read.

    Attributes:
        training: identification on the training rows.
        evaluation: identification on the test.
        propensity_view: columns the propensity model was given.
        propensity_reads: those of them it reads.
        outcome_view: columns the outcome model was given.
        outcome_features: the features made of them.
        effect_modifiers: columns a learner from a table lets the effect vary with.
        effect_controls: columns it only adjusts for.
    """

    training: IdentificationSection = field(default_factory=IdentificationSection)
    evaluation: IdentificationSection = field(default_factory=IdentificationSection)
    propensity_view: tuple[str, ...] = ()
    propensity_reads: tuple[str, ...] = ()
    outcome_view: tuple[str, ...] = ()
    outcome_features: tuple[str, ...] = ()
    effect_modifiers: tuple[str, ...] = ()
    effect_controls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BalanceSection:
    """Standardised mean differences: the fields of `graph.overlap.Balance`."""

    before: Number
    after: Number
    worst: tuple[tuple[str, Number, Number], ...] = ()


@dataclass(frozen=True, kw_only=True)
class OverlapSection:
    """How well exposure covers the population: the fields of `graph.overlap.Overlap`."""

    clip: float = 0.0
    clipped: Number = None
    effective_rows: Number = None
    inverse_sum: Number = None
    ece: Number = None
    quantiles: tuple[Number, ...] = ()
    mean_outcome: dict[str, Number] = field(default_factory=dict)
    ece_width: Number = None
    balance: BalanceSection | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochRecord:
    """A point of a learning curve: mean training loss, criterion after the epoch, report of a class outcome."""

    epoch: int
    loss: Number
    criterion: Number
    report: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """A fit that was tried.

    Attributes:
        fit: its name, that of its folder below `checkpoints` and of its curves.
        settings: what it was tried with, by dotted key.
        criterion: its value on the validation rows.
        best_epoch: the epoch of that value (a mean over folds).
        epochs: epochs trained (a mean over folds).
        curve: its learning curve.
    """

    fit: str
    settings: dict[str, float]
    criterion: Number
    best_epoch: float
    epochs: float
    curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class RandomisedRows:
    """Randomised rows used outside the test, of how many declared."""

    budget: int = 0
    used: int = 0


@dataclass(frozen=True, kw_only=True)
class SelectionSection:
    """How the fit was chosen.

    Attributes:
        criterion: what it was chosen by.
        folds: 1 where rows were held out.
        chosen: the settings it was chosen with; empty where there was nothing to choose.
        fit: the name of the fit that was evaluated.
        candidates: every fit that was tried.
        randomised_rows: how many of them were used, of how many declared.
        randomised_rows_for: what read them.
    """

    criterion: str = ""
    folds: int = 1
    chosen: dict[str, float] = field(default_factory=dict)
    fit: str = ""
    candidates: tuple[CandidateRecord, ...] = ()
    randomised_rows: RandomisedRows = field(default_factory=RandomisedRows)
    randomised_rows_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreRecord:
    """A number of a table.

    Attributes:
        model: the row, or the baseline.
        slice: the part of the data it was computed on.
        metric: the metric's name.
        value: None where it is undefined.
        low: lower end of its interval; None where it has none.
        high: upper end.
        n: rows (or users) it rests on.
    """

    model: str
    slice: str
    metric: str
    value: Number
    low: Number
    high: Number
    n: int

    @property
    def key(self) -> str:
        """Its name beside the record."""
        return score_key(self.model, self.slice, self.metric)


@dataclass(frozen=True)
class CalibrationBin:
    """Mean prediction and mean outcome of the `n` rows of one bin."""

    predicted: Number
    true: Number
    n: int
