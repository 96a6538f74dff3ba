"""Classified rows as rounds: digits by default, a user's table, and what is wrong with one in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.classification_bandit import ClassificationBandit
from causalrec.errors import DataError, RequestError
from causalrec.types import Doubles


@pytest.fixture(scope="module")
def digits() -> CausalDataset:
    return ClassificationBandit().load(Path("/nowhere"))


def truth(data: CausalDataset) -> tuple[Doubles, Doubles]:
    assert data.context_oracle is not None and data.logging_policy is not None
    contexts = Contexts.of_log(data.logged)
    return data.context_oracle(contexts), data.logging_policy(contexts)


def test_each_row_that_was_not_fitted_on_is_a_round(digits: CausalDataset) -> None:
    log = digits.logged
    assert (len(log), log.num_users, log.num_items) == (1797 - 539, 1797 - 539, 10)
    assert digits.user_table.shape == (1258, 64) and digits.item_table["class"].to_list() == list("0123456789")
    means, _ = truth(digits)
    assert (means.sum(1) == 1).all() and set(np.unique(means)) == {0, 1}
    np.testing.assert_array_equal(log.outcome, means[np.arange(len(log)), log.item])


def test_the_logging_policy_follows_its_classifier_and_is_uniform_else(digits: CausalDataset) -> None:
    means, probabilities = truth(digits)
    np.testing.assert_allclose(np.unique(probabilities), [0.06, 0.46])
    np.testing.assert_allclose(probabilities.sum(1), 1)
    right = (probabilities * means).sum(1)
    assert (right > 0.4).mean() > 0.85, "the logistic regression knows its digits"
    assert digits.logged.propensity is not None
    taken = np.take_along_axis(probabilities, digits.logged.item[:, None], 1)[:, 0]
    np.testing.assert_allclose(digits.logged.propensity, taken, rtol=1e-6)
    error = digits.logged.outcome.std() / np.sqrt(len(right))
    assert abs(digits.logged.outcome.mean() - right.mean()) < 4 * error


def test_inverse_propensities_recover_the_further_policy_s_value(digits: CausalDataset) -> None:
    means, probabilities = truth(digits)
    target = digits.policies["classifier"](Contexts.of_log(digits.logged))
    np.testing.assert_allclose(np.unique(target), [0.01, 0.91])
    rows, action = np.arange(len(means)), digits.logged.item
    terms = target[rows, action] / probabilities[rows, action] * digits.logged.outcome
    value = (target * means).sum(1).mean()
    assert abs(terms.mean() - value) < 4 * terms.std() / np.sqrt(len(terms))
    assert value > digits.logged.outcome.mean() + 0.2


def test_the_oracle_of_pairs_is_that_of_rounds(digits: CausalDataset) -> None:
    means, probabilities = truth(digits)
    user, item = np.array([[0], [7]]), np.arange(10)[None, :]
    assert digits.oracle is not None
    np.testing.assert_array_equal(digits.oracle.rate(user, item), means[[0, 7]])
    np.testing.assert_allclose(digits.oracle.propensity(user, item), probabilities[[0, 7]], rtol=1e-6)


def test_draws_share_rows_and_policy(digits: CausalDataset) -> None:
    other, split = (ClassificationBandit(**{key: 1}).load(Path("/nowhere")) for key in ("draw", "split_seed"))
    assert digits.user_table.equals(other.user_table) and not digits.user_table.equals(split.user_table)
    assert (digits.logged.item != other.logged.item).any()
    again = ClassificationBandit().load(Path("/nowhere"))
    np.testing.assert_array_equal(digits.logged.item, again.logged.item)


YOURS = {"file": "mine.csv", "label": "kind", "features": ["a", "b"]}


def write(root: Path, lines: list[str]) -> None:
    (root / "classification").mkdir()
    (root / "classification" / "mine.csv").write_text("\n".join(lines) + "\n")


def test_a_table_of_one_s_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = rng.choice(["cat", "dog", "owl"], 60)
    write(tmp_path, ["a,b,kind", *(f"{rng.normal():.3f},{len(kind)},{kind}" for kind in kinds)])
    world = ClassificationBandit(**YOURS, fit_share=0.5)  # type: ignore[arg-type]
    data = world.load(tmp_path)
    assert data.item_table["class"].to_list() == ["cat", "dog", "owl"] and len(data.logged) == 30
    assert [column.name for column in world.card.columns] == ["user", "item", "a", "b"]
    before = world.identity(tmp_path)
    (tmp_path / "classification" / "mine.csv").write_text("a,b,kind\n1,2,x\n")
    assert world.identity(tmp_path) != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b,kind", "1,nan,x", "2,3,y"], r"mine\.csv: line 2: b is nan; the row is truncated or corrupt"),
        (["a,b,kind", "1,2,x", "1,,y"], r"mine\.csv: line 3: b is None; the row is truncated or corrupt"),
        (["a,b,kind", "1,2,x", "1,two,y"], r"mine\.csv: line 3: b 'two' is not a Float64"),
        (["a,c,kind", "1,2,x"], r"has no column b"),
        (["a,b,kind", "1,2,x", "1,3,x"], r"mine\.csv: every label is x; a bandit has two actions at least"),
    ],
)
def test_a_bad_table_is_refused_in_a_line(tmp_path: Path, lines: list[str], message: str) -> None:
    write(tmp_path, lines)
    with pytest.raises(DataError, match=message):
        ClassificationBandit(**YOURS).load(tmp_path)  # type: ignore[arg-type]


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"classification/mine\.csv: there is no such file; set dataset\.folder"):
        ClassificationBandit(**YOURS).check_files(tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": "mine.csv"}, r"^dataset\.file: a table of your own has .* all three"),
        ({"folder": "mine"}, r"^dataset\.file: a table of your own"),
        ({**YOURS, "features": ["a", "a"]}, r"^dataset\.features: 'a' stands twice"),
        ({**YOURS, "features": ["a", "kind"]}, r"^dataset\.features: 'kind' stands twice, or is the label"),
    ],
)
def test_half_a_table_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ClassificationBandit(**settings)
