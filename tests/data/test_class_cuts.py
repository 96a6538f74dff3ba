"""Ratings cut into classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import FakeML100K

from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.delimited_text import classify
from causalrec.errors import RequestError


def test_a_class_is_how_many_cuts_a_rating_reaches() -> None:
    assert classify(np.array([1, 2, 3, 4, 5], np.float32), (3, 4)).tolist() == [0, 0, 1, 2, 2]
    assert classify(np.array([2.5, 3.5], np.float32), (2.5, 3.6)).tolist() == [1, 1]


@pytest.mark.parametrize("official", [False, True])
def test_classes_of_ml100k(fake_ml100k: FakeML100K, tmp_path: Path, official: bool) -> None:
    root = fake_ml100k(tmp_path, official=official)
    rated = ML100K(threshold=None).load(root).logged
    dataset = ML100K(threshold=None, classes=(3.0, 4.0)).load(root)
    expected = (rated.outcome >= 3).astype(np.float32) + (rated.outcome >= 4)
    assert dataset.logged.outcome.tolist() == expected.tolist() and set(expected.tolist()) == {0, 1, 2}
    assert (dataset.card.outcome, dataset.card.bin_edges, dataset.card.threshold) == ("class", (3.0, 4.0), None)
    assert dataset.card.scale == (1.0, 5.0)
    assert (ML100K(threshold=4.0).card.outcome, ML100K(threshold=None).card.outcome) == ("click", "rating")


@pytest.mark.parametrize(
    ("classes", "threshold", "message"),
    [
        ((), None, r"dataset\.classes=\[\]: name the ratings where a class begins, ascending, for example \[3,5\]"),
        ((4.0, 3.0), None, r"dataset\.classes=\[4\.0, 3\.0\]: name the ratings"),
        ((3.0, 3.0), None, r"dataset\.classes=\[3\.0, 3\.0\]: name the ratings"),
        ((float("nan"), 3.0), None, r"name the ratings"),
        ((1.0, 3.0), None, r"dataset\.classes=\[1\.0, 3\.0\]: 1 parts no ratings of 1\.\.5"),
        ((3.0, 6.0), None, r"dataset\.classes=\[3\.0, 6\.0\]: 6 parts no ratings of 1\.\.5"),
        ((float("nan"),), None, r"nan parts no ratings"),
        ((3.0,), 4.0, r"the threshold 4 makes two classes; set dataset\.threshold=null"),
    ],
)
def test_cuts_that_make_no_classes_are_refused(
    classes: tuple[float, ...], threshold: float | None, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ML100K(threshold=threshold, classes=classes)
