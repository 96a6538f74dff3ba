"""Rows of a slice beside what was predicted of them, and how well the two agree by bins."""

from __future__ import annotations

import numpy as np
import torch

from causalrec.evaluation.catalogue_predictions import of_arm
from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.base import Scored
from causalrec.records.sections import CalibrationBin, finite_or_none
from causalrec.types import Floats


def scored_rows(data: SliceData, prediction: Floats, constant: float) -> Scored:
    """Return a slice's rows beside what was predicted: float32[N] numbers, float32[N,C] chances of classes, or
    float32[N,A] effects, of which the slice's arm is taken.
    """
    values = of_arm(prediction, data.arm)
    likeliest = prediction.argmax(-1) if prediction.ndim == 2 and not data.arm else None
    of_effects = (data.treatment, data.propensity, data.drawn_effect, data.centred_label, data.weight)
    columns = (values, data.label, data.cluster, likeliest, *of_effects)
    writable = (None if column is None else np.require(column, requirements=["C", "W"]) for column in columns)
    tensors = [None if column is None else torch.from_numpy(column) for column in writable]
    predicted, label, cluster, *others = tensors
    assert predicted is not None and label is not None and cluster is not None
    return Scored(predicted, label, cluster, constant, *others)


def reliability(prediction: Floats, label: Floats, bins: int = 10) -> list[CalibrationBin]:
    """Return the mean prediction and mean label of equally filled bins of the prediction."""
    order = np.argsort(prediction, kind="stable")
    return [
        CalibrationBin(
            finite_or_none(float(prediction[rows].mean(dtype=np.float64))),
            finite_or_none(float(label[rows].mean(dtype=np.float64))),
            len(rows),
        )
        for rows in np.array_split(order, bins)
        if len(rows)
    ]
