"""The sections of a run's record: one field for each thing a table, a page or a dashboard may show.

A number that may be unknown or not finite is None, as JSON has no other word for it. A job that failed leaves the
defaults where it did not get.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from causalrec.ids import score_key
from causalrec.records.field_types import Flag, NonNegative, Number, Real, Whole


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
    """The data set.

    Attributes:
        name: the data set's name.
        sha256: of each raw file, by name.
        feedback: which kind of feedback its outcomes are.
        caveat: is to be read with any result on it.
        slices_without_rows: slices that were asked for by name and have no rows in it.
    """

    name: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    feedback: str = ""
    caveat: str | None = None
    slices_without_rows: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AuditSection:
    """What could make a number untrue, counted on the splits as they were used: the fields of `data.audit.Audit`.

    Attributes:
        rows: number of rows, by split: train, validation, test, and randomised_sample where there is one.
        mean_outcome: mean outcome, by split.
        hashes: hash of the rows, by split.
        threshold: the card's: the outcome is 1 from this raw value on; None keeps it.
        bin_edges: the card's: raw outcomes where a class begins.
        split: which rows are held out, in words.
        test: how the test rows came about, in words.
        duplicates: test pairs that also stand in the logged part, before `duplicate_rule`.
        duplicate_rule: what the split does with them, in words.
        leaked_rows: test rows whose pair also stands in training or validation, after `duplicate_rule`.
        unseen_rows: test rows whose user or item has no training row, before `unseen_rule`.
        unseen_rule: what the split does with them.
        candidates_per_user: test rows of a test user, on average; None in a userless log.
        positives_per_user: test rows with outcome 1 of a test user, on average; None in a userless log, and where
            outcomes are not 0 and 1 alone.
        users_without_positive: test users without such a row; None as that.
        future_rows: test rows older than the newest training row; None without times that compare between users.
        randomised_rows_used: rows of the randomised part that anything but the test reads: those set aside for
            propensities or selection, and any that stand in training or validation.
        with_duplicates: rows and mean outcome of the randomised test and of the logged part.
        without_duplicates: the same without the pairs that stand in both.
        users: number of users with a row, by split; empty in a userless log.
        items: number of items with a row, by split.
        positives: rows of the outcome's upper class, by split; empty unless the outcome is a click.
        cold_users: test rows whose user has no training row.
        cold_items: test rows whose item has no training row.
        context_rows: rows that only histories read.
        drawn_from: rows that few-shot training rows were drawn from; None without few-shot.
        augmented_rows: rows that networks train on where an augmentation changed them; None without one.
        resampled_by: settings that only draw rows or outcomes anew, as `group.key`.
        assignment_unit: level within which treatment is constant: `user`, `item` or a column; `row` where none is.
        cluster_axes: along which rows of an effect depend; `row` where each is by itself.
        warnings: one line each.
    """

    rows: dict[str, Whole] = field(default_factory=dict)
    mean_outcome: dict[str, Number] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    threshold: Number = None
    bin_edges: tuple[Real, ...] = ()
    split: str = ""
    test: str = ""
    duplicates: Whole = 0
    duplicate_rule: str = ""
    leaked_rows: Whole = 0
    unseen_rows: Whole = 0
    unseen_rule: str = ""
    candidates_per_user: NonNegative | None = None
    positives_per_user: NonNegative | None = None
    users_without_positive: Whole | None = None
    future_rows: Whole | None = None
    randomised_rows_used: Whole = 0
    with_duplicates: dict[str, Number] = field(default_factory=dict)
    without_duplicates: dict[str, Number] = field(default_factory=dict)
    users: dict[str, Whole] = field(default_factory=dict)
    items: dict[str, Whole] = field(default_factory=dict)
    positives: dict[str, Whole] = field(default_factory=dict)
    cold_users: Whole = 0
    cold_items: Whole = 0
    context_rows: Whole = 0
    drawn_from: Whole | None = None
    augmented_rows: Whole | None = None
    resampled_by: tuple[str, ...] = ()
    assignment_unit: str = "row"
    cluster_axes: tuple[str, ...] = ("row",)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IdentificationSection:
    """How an estimand is identified: the fields of `graph.identify.Identification`.

    Attributes:
        strategy: by what.
        columns: given which columns, sorted.
        assumed: under which unproven assumptions.
        instruments: the columns that move the exposure, where they identify it; else empty.
        mediator: the column through which the effect goes, where it identifies it; else None.
    """

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


@dataclass(frozen=True)
class EpochRecord:
    """A point of a learning curve.

    Attributes:
        epoch: its number.
        loss: mean training loss.
        criterion: its value after the epoch.
        report: of a class outcome.
    """

    epoch: Whole
    loss: Number
    criterion: Number
    report: dict[str, Real | list[dict[str, Real]]] | None = None


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
    settings: dict[str, Real]
    criterion: Number
    best_epoch: NonNegative
    epochs: NonNegative
    curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class RandomisedRowsUse:
    """Randomised rows used outside the test, of how many declared."""

    budget: Whole = 0
    used: Whole = 0


@dataclass(frozen=True, kw_only=True)
class SelectionSection:
    """How the fit was chosen.

    Attributes:
        criterion: what it was chosen by.
        folds: 1 where rows were held out.
        folds_reason: why so many, in words.
        chosen: the settings it was chosen with; empty where there was nothing to choose.
        fit: the name of the fit that was evaluated.
        candidates: every fit that was tried.
        randomised_rows: how many of them were used, of how many declared.
        randomised_rows_for: what read them.
    """

    criterion: str = ""
    folds: Whole = 1
    folds_reason: str = ""
    chosen: dict[str, Real] = field(default_factory=dict)
    fit: str = ""
    candidates: tuple[CandidateRecord, ...] = ()
    randomised_rows: RandomisedRowsUse = field(default_factory=RandomisedRowsUse)
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
        absolute: it is never negative, but its replicates may be: its interval ends at 0.
        higher_is_better: None where neither more nor less is.
        note: what stands beside its interval, in a few words ("115 effective rounds"); empty where nothing does.
    """

    model: str
    slice: str
    metric: str
    value: Number
    low: Number
    high: Number
    n: Whole
    absolute: Flag = False
    higher_is_better: Flag | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """Its name beside the record."""
        return score_key(self.model, self.slice, self.metric)


@dataclass(frozen=True)
class CalibrationBin:
    """Mean prediction and mean outcome of the `n` rows of one bin."""

    predicted: Number
    true: Number
    n: Whole


@dataclass(frozen=True)
class ReliabilityCurve:
    """The bins of a slice's predictions, as they are or `mapped` to be probabilities of other rows."""

    slice: str
    mapped: bool
    bins: tuple[CalibrationBin, ...]
