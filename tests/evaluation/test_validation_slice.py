"""The slice of the validation rows: which they are, and that rows a model was fitted on are no held-out rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import OUTCOME_KINDS, select_all
from causalrec.evaluation.slice.validation import ValidationSlice
from tests.evaluation.slice_source import Source
from tests.evaluation.test_slices import HAND, dataset_of


def test_it_yields_the_validation_rows_with_their_outcomes_and_says_what_chose_by_them() -> None:
    (data,) = ValidationSlice().select(Source(dataset_of("explicit"), HAND))
    assert (data.name, data.kind, data.jackknife) == ("validation", "binary", True)
    np.testing.assert_array_equal(data.item, HAND.validation.item)
    np.testing.assert_array_equal(data.label, HAND.validation.outcome)
    assert "early stopping and the search chose by" in data.note


def test_rows_that_the_model_is_fitted_on_are_refused_or_left_out() -> None:
    fitted = dataclasses.replace(Source(dataset_of("explicit"), HAND), validation_is_fitted=True)
    with pytest.raises(RequestError, match=r"^slice.validation.skip_fitted=false: .* set selection.folds=1"):
        select_all({"validation": ValidationSlice()}, fitted, OUTCOME_KINDS)
    assert list(ValidationSlice(skip_fitted=True).select(fitted)) == []


def test_positives_alone_and_a_split_without_validation_rows_have_none() -> None:
    assert list(ValidationSlice().select(Source(dataset_of("positive_only"), HAND))) == []
    empty = dataclasses.replace(HAND, validation=HAND.validation.take(np.arange(0)))
    assert list(ValidationSlice().select(Source(dataset_of("explicit"), empty))) == []
