"""Errors of a run's propensity, from its overlap report, as scores that a table can show."""

from __future__ import annotations

from typing import Final

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord

PROPENSITY_SLICE: Final = "propensity"  # stands for the pairs and rows that a propensity is judged on
PROPENSITY_ERRORS: Final = {  # fields of `overlap` and of `overlap.learned`, and what they are
    "ece": "calibration error over equally filled bins of the propensity, of the learnt one where there is one",
    "ece_width": "the same over bins of equal width",
    "bmse": "squared imbalance by that propensity, of columns in standard deviations, mean over columns",
    "variance": "variance, over who is exposed, of a doubly robust estimate of the fitted loss by that propensity",
    "bias": "bias of that estimate, where the truth is known",
}


def propensity_scores(record: RunRecord) -> tuple[ScoreRecord, ...]:
    """Return what `overlap` says of the propensity that the network learnt, else of the fitted one, as scores of the
    slice `propensity`; what it lacks does not come. Such scores have no interval.
    """
    errors, rows = record.overlap.learned or record.overlap, record.audit.rows.get("train", 0)
    values = {name: getattr(errors, name) for name in PROPENSITY_ERRORS}
    return tuple(
        ScoreRecord(record.name, PROPENSITY_SLICE, name, value, None, None, rows, higher_is_better=False)
        for name, value in values.items()
        if value is not None
    )
