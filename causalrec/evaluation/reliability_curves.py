"""How far predictions are probabilities before and after a map: curves of the rows that calibrated slices read."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.evaluation.catalogue_predictions import Predict, means
from causalrec.evaluation.evaluator import predict_once
from causalrec.evaluation.scored_rows import reliability
from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.records.sections import ReliabilityCurve
from causalrec.types import Floats


def reliability_curves(slices: Sequence[AnySliceData], predict: Predict | None) -> tuple[ReliabilityCurve, ...]:
    """Return ten bins of each slice whose predictions pass a map, and of the larger slices of outcomes as they are.

    Empty where no slice passes a map.

    Args:
        slices: of a run.
        predict: its predictor; None where nothing was learnt.
    """
    outcomes = [data for data in slices if isinstance(data, SliceData) and data.kind == "binary"]
    if predict is None or not any(data.calibration for data in outcomes):
        return ()
    shown = [data for data in outcomes if data.calibration or data.subset_of is None]
    predictions: dict[str, Floats] = {}
    return tuple(
        ReliabilityCurve(
            data.name,
            data.calibration is not None,
            tuple(reliability(means(predict_once(predict, data, predictions)), data.label)),
        )
        for data in shown
    )
