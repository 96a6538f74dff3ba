"""Examination by slot is recovered under random placement, and not under a ranking policy."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.position import Position


def no_columns(users: int, items: int) -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32), ())


COLUMNS = no_columns(0, 0)


def slot_log(position: object, click: object, item: object = None, name: str = "log") -> InteractionLog:
    positions = np.asarray(position, np.int64)
    items = np.zeros(len(positions), np.int64) if item is None else np.asarray(item, np.int64)
    treatment = np.ones(len(positions), np.int64)
    return InteractionLog(items, treatment, np.asarray(click, np.float32), 10, position=positions, name=name)


LOG = slot_log([1, 1, 2, 2, 2, 2, 7, 7], [1, 1, 1, 0, 1, 0, 0, 0])


def test_the_examination_is_the_hand_worked_one() -> None:
    model = Position()
    model.fit(LOG, COLUMNS)
    np.testing.assert_allclose(model.predict(LOG), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25])  # slot 7: half a click of 2
    assert model.columns_read(("age",)) == ("position",) and not model.scores_unlogged_pairs


def test_the_randomised_rows_are_used_where_there_are_any() -> None:
    model = Position()
    model.fit(LOG, COLUMNS, slot_log([1, 1, 2, 7], [1, 0, 1, 1], name="sample"))
    np.testing.assert_allclose(model.predict(LOG)[:3], [0.5, 0.5, 1.0])


def click_log(ranked: bool) -> tuple[InteractionLog, np.ndarray]:
    """Clicks = examination (1, .5, .25) times relevance of ten items, placed at random or the best on top."""
    rng = np.random.default_rng(0)
    rows, theta, relevance = 60_000, np.array([1, 0.5, 0.25]), np.linspace(0.1, 0.9, 10)
    item = rng.integers(10, size=rows)
    slot = np.where(item > 6, 0, np.where(item > 3, 1, 2)) if ranked else rng.integers(3, size=rows)
    click = rng.random(rows) < theta[slot] * relevance[item]
    return slot_log(slot, click, item), relevance


@pytest.mark.parametrize(("ranked", "holds"), [(False, True), (True, False)])
def test_examination_is_recovered_and_unbiases_the_relevance_where_placement_is_random(
    ranked: bool, holds: bool
) -> None:
    log, relevance = click_log(ranked)
    model = Position()
    model.fit(log, COLUMNS)
    examination = model.predict(log).astype(float)
    assert log.position is not None
    theta = [examination[log.position == k][0] for k in range(3)]
    assert np.allclose(theta, [1, 0.5, 0.25], atol=0.02) == holds
    mean = float((log.outcome / examination).mean())
    assert (abs(mean - relevance.mean()) < 0.02) == holds


def test_bad_rows_are_refused_in_one_line() -> None:
    with pytest.raises(
        DataError, match=r"^propensity=position: log has no positions; use openbandit, or csv with a position$"
    ):
        Position().fit(InteractionLog(LOG.item, LOG.treatment, LOG.outcome, 10), COLUMNS)
    with pytest.raises(DataError, match="sample has no positions"):
        Position().fit(LOG, COLUMNS, InteractionLog(LOG.item, LOG.treatment, LOG.outcome, 10, name="sample"))
    with pytest.raises(DataError, match=r"row 1: outcome 3 is no click"):
        Position().fit(slot_log([1, 2], [1, 3]), COLUMNS)
    model = Position()
    model.fit(LOG, COLUMNS)
    with pytest.raises(DataError, match="row 1: position 3 is in no fitted row"):
        model.predict(slot_log([1, 3], [0, 0]))
