"""The probability of a pair to be a test row, given that it is a candidate of its user's ranking.

A ranking's candidates are all items but those of the user's training and validation rows. A pair that might have become
one of these and did not is therefore likelier to be in the test than in the log at large: P(test) is divided by
P(neither in training nor in validation).
"""

from __future__ import annotations

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.log import InteractionLog
from causalrec.data.pair_lists import is_among, sort_distinct
from causalrec.data.split.rules import unseen_rows
from causalrec.data.split.splits import Splits
from causalrec.evaluation.slice.base import SliceSource, UnfitData
from causalrec.types import Bools, Doubles, Ints


def check_sample(card: DatasetCard) -> None:
    """Raise UnfitData where the test rows of such data are no sample of a user's candidates; no file is read."""
    name = card.name
    if card.feedback == "positive_only" and card.randomised is None:
        raise UnfitData(
            f"dataset={name}: holds positives alone, and what was not chosen has no outcome to weigh; use "
            f"slice=[full_ranking]"
        )
    if card.arms:
        raise UnfitData(f"dataset={name}: its rows are of several treatments, and a ranking is of one; leave it out")
    if card.rounds:
        raise UnfitData(
            f"dataset={name}: its rows are rounds, whose propensity is that of an action; use task=policy_value"
        )


def inclusion_probabilities(source: SliceSource) -> Doubles:
    """Return P(in the test | in neither training nor validation) of the test rows, float64[N] in (0, 1].

    Of a row whose pair is in training or validation too, and so is no candidate, it is nan. With e the probability of
    being logged and shares s of the logged rows, a logged test drawn at random by row has

        `p = e s_test / (1 - e (s_train + s_validation))`.

    e is what the log says, else what the run's propensity, fitted on n of the logged rows, says of being among these,
    times logged / n. A randomised test has its logged probability, else the user's test rows over the user's items that
    were never logged; a pair that left the training rows for being in the test is a candidate for that alone, and has
    1. A block that is observed whole has 1.

    Assumption: every item of `eligible_items` could be a test row of every user, and what is logged does not depend on
    the outcome but by what e reads; the items of a randomised test without logged probabilities are drawn uniformly.
    Source: Horvitz & Thompson (JASA 1952); Schnabel et al. (ICML 2016) for logged ratings.

    Raises UnfitData where no such probability is known: no users, no outcomes of what was not chosen, pairs with
    several rows, a logged test that is no random draw of rows, a propensity that is no probability of being logged.
    """
    splits, card = source.splits, source.dataset.card
    check_sample(card)
    _check_rows(splits.test, card)
    met = met_codes(splits)
    if not splits.test_is_randomised:
        probability = _of_logged(source)
    elif card.unbiased == "fully_observed":
        probability = np.ones(len(splits.test))
    else:
        probability = _of_randomised(source, met)
    return np.where(is_among(splits.test.codes, met), np.nan, probability)


def pair_ratios(source: SliceSource, user: Ints, probability: Doubles) -> Doubles:
    """Return P(two rows of a user in the test) over the product of both probabilities, float64[N]; 1: independent.

    Of n of N items drawn without replacement, each with p = n / N, it is `(1 - 1 / n) / (1 - p / n)`, and 1 with a row
    that is sure to be there.

    Args:
        source: of the rows.
        user: int64[N], of candidates in the test.
        probability: float64[N], as `inclusion_probabilities` gives it.
    """
    splits, drawn_at_once = source.splits, probability < 1
    if not splits.test_is_randomised or splits.test.propensity is not None:
        return np.ones(len(user))
    count = np.maximum(np.bincount(user[drawn_at_once], minlength=splits.test.num_users), 2)[user]  # a pair takes two
    return np.where(drawn_at_once, (1 - 1 / count) / (1 - probability / count), 1.0)


def eligible_items(source: SliceSource) -> Bools:
    """Return which items can be in the test, bool[I]: those of a block that is observed whole, else all, but for items
    without a training row where such test rows were dropped.
    """
    splits = source.splits
    test, every = splits.test, np.ones(splits.test.num_items, bool)
    if splits.test_is_randomised and source.dataset.card.unbiased == "fully_observed":
        return np.bincount(test.item, minlength=len(every)) > 0
    return np.bincount(splits.train.item, minlength=len(every)) > 0 if _dropped_rows(splits) else every


def met_codes(splits: Splits) -> Ints:
    """Return the codes of the training and validation pairs, distinct and rising: no candidates of a ranking."""
    return sort_distinct(np.concatenate([splits.train.codes, splits.validation.codes]))


def _check_rows(test: InteractionLog, card: DatasetCard) -> None:
    if test.user is None:
        raise UnfitData(f"dataset={card.name}: has no users whose items could be ranked; leave it out")
    if test.of_rounds or test.has_arms:
        raise UnfitData(f"dataset={card.name}: its propensities are not those of a pair to be logged; leave it out")
    if card.feedback == "positive_only" and bool((test.outcome > 0).all()):
        raise UnfitData(
            f"dataset={card.name}: its test holds positives alone, and what was not chosen has no outcome to weigh; "
            f"use slice=[full_ranking]"
        )
    if test.has_repeats:
        raise UnfitData(
            f"dataset={card.name}: {len(test) - test.distinct_pairs:,} test rows repeat a pair, which then has no "
            f"single probability of being there; keep a row of each pair"
        )


def _dropped_rows(splits: Splits) -> int:
    """Return how many test rows left it because their user or item has no training row."""
    return 0 if bool(unseen_rows(splits.test, splits.train).any()) else splits.unseen


def _of_logged(source: SliceSource) -> Doubles:
    """Return the probabilities of rows of the log that a split drew at random."""
    splits, logged = source.splits, len(source.dataset.logged)
    if not splits.test_at_random:
        raise UnfitData(
            "split: its test is no random draw of the logged rows, so that nobody knows how probable a row there was; "
            "set split=random"
        )
    if source.dataset.logged.has_repeats:
        raise UnfitData("dataset: a pair has several logged rows and may be on both sides; keep a row of each")
    if splits.train.pool is not None:
        raise UnfitData(
            "split: trains on a draw of users and items, and the propensity is of these alone; set split=random"
        )
    tested = len(splits.test) + _dropped_rows(splits)
    exposure = np.minimum(_in_test(source, tested).astype(np.float64) * logged / tested, 1.0)
    test_share, met_share = tested / logged, (len(splits.train) + len(splits.validation)) / logged
    return np.minimum(exposure * test_share / (1 - exposure * met_share), 1.0)  # 1 but for rounding


def _in_test(source: SliceSource, tested: int) -> Doubles:
    """Return P(in the test) of the test rows, as logged, else by the run's propensity, float64[N]."""
    test = source.splits.test
    if test.propensity is not None:
        return test.propensity.astype(np.float64)  # a split has scaled it to its share
    if source.propensity.kind != "exposure":
        raise UnfitData(
            f"propensity: is one of {source.propensity.kind}, and no probability of being logged, which the weights "
            f"need; set propensity=logistic, mf or popularity"
        )
    return source.propensity.predict(test).astype(np.float64) * tested / len(source.train)


def _of_randomised(source: SliceSource, met: Ints) -> Doubles:
    """Return the probabilities of rows that were drawn apart from the log.

    Given the log, every item is drawn alike. One that was logged is a candidate if it left the log's rows for being in
    the test, or if the split took too few of these to take it: by Bayes q / (1 - (1 - q) s), with s the share of the
    log's other rows in training and validation. Where such rows stay in the log's too, it is q.
    """
    splits, dataset = source.splits, source.dataset
    test, logged = splits.test, sort_distinct(dataset.logged.codes)
    assert dataset.randomised is not None
    was_logged, is_met = is_among(test.codes, logged), is_among(test.codes, met)
    if splits.train.pool is not None and splits.duplicates:
        raise UnfitData(
            "split: trains on a draw of users and items, whose logged pairs may be tested; set split=random"
        )
    if splits.duplicates and not was_logged.any() and len(met) < len(logged):
        raise UnfitData(
            "split: logged pairs left the test and are not all trained on, so that candidates could not be in the "
            "test; set duplicates=drop_train (of few_shot, split.base.duplicates)"
        )
    if test.propensity is not None:
        aside = 0 if splits.randomised_sample is None else len(splits.randomised_sample)
        q = test.propensity.astype(np.float64) * (1 - aside / len(dataset.randomised))
    else:
        q = _share_drawn(test, was_logged, logged, eligible_items(source))
    others = len(logged) - int(np.count_nonzero(is_among(logged, np.sort(test.codes))))
    met_share = min(len(met) / others, 1.0) if others else 1.0
    of_logged = q if is_met.any() else np.minimum(q / (1 - (1 - q) * met_share), 1.0)
    return np.where(was_logged & ~is_met, of_logged, q)


def _share_drawn(test: InteractionLog, was_logged: Bools, logged: Ints, eligible: Bools) -> Doubles:
    """Return, for each test row, its user's test rows over the user's items: for one that was never logged, of those
    that never were; for another, of all, as a share of few logged rows would move with them.
    """
    user, item = np.divmod(logged, test.num_items)
    items = int(eligible.sum()) - np.bincount(user[eligible[item]], minlength=test.num_users)
    rows = np.bincount(test.users[~was_logged], minlength=test.num_users)
    of_unlogged: Doubles = np.maximum(rows, 1)[test.users] / np.maximum(items, 1)[test.users]
    of_all = np.bincount(test.users, minlength=test.num_users)[test.users] / max(int(eligible.sum()), 1)
    return np.where(was_logged, np.minimum(of_all, 1.0), of_unlogged)
