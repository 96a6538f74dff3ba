"""The validation rows: logged outcomes that no fit read, to stand beside those of a randomised test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource, outcome_kind, slice_of_log

NOTE = (
    "validation: logged rows that the model was not fitted on, but that early stopping and the search chose by, so "
    "that their scores flatter it a little; they are of pairs that users or the system chose."
)


@dataclass(frozen=True, kw_only=True)
class ValidationSlice(AbstractSlice):
    """`validation`: the logged rows of the validation, unweighted, with their outcomes.

    Beside the test it shows what selection does to a score: where the test is randomised, a model that is calibrated on
    the rows it was fitted to may be far too high or low elsewhere. A log of positives alone has none.

    Attributes:
        skip_fitted: yield nothing where the model is fitted on these rows too (chosen by folds and refitted on all, or
            a learner that chooses nothing by them), in place of refusing to run.
    """

    skip_fitted: bool = False

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        card, rows = source.dataset.card, source.splits.validation
        if card.feedback == "positive_only" or not len(rows):
            return
        if source.validation_is_fitted:
            if self.skip_fitted:
                return
            raise RequestError(
                f"skip_fitted=false: the model is fitted on all {len(rows):,} validation rows too; where folds choose "
                f"it, set selection.folds=1, else skip_fitted=true to leave the slice out"
            )
        yield replace(slice_of_log(rows, "validation", outcome_kind(card)), jackknife=True, note=NOTE)
