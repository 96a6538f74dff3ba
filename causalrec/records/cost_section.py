"""What a run cost."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.records.field_types import NonNegative, Number, Whole


@dataclass(frozen=True, kw_only=True)
class CostSection:
    """What a run cost; a part of a run that was not made (a fit found finished) costs what it did then.

    Attributes:
        training_seconds: in training steps of all its fits, or in the one fit of a learner from a table; of fits that
            were stacked, their share.
        scoring_seconds: to score the model and its baselines.
        trained_rows: logged rows that all its fits met, again in each epoch; 0 where nothing is trained by epochs.
        rows_per_second: of these; None where there are none.
    """

    training_seconds: NonNegative = 0.0
    scoring_seconds: NonNegative = 0.0
    trained_rows: Whole = 0
    rows_per_second: Number = None

    @staticmethod
    def of(training: float, scoring: float, rows: int) -> CostSection:
        """Return the cost in seconds and logged rows.

        Args:
            training: seconds in training steps.
            scoring: seconds of scoring.
            rows: logged rows met in training.
        """
        speed = rows / training if rows and training > 0 else None
        return CostSection(training_seconds=training, scoring_seconds=scoring, trained_rows=rows, rows_per_second=speed)
