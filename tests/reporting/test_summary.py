"""The words follow the numbers."""

from __future__ import annotations

from handmade import make_run

from causalrec.reporting.summary import two_sentences
from causalrec.reporting.table import tables


def summarise(*saved: object) -> str:
    return two_sentences(saved, tables(saved))  # type: ignore[arg-type]


def test_overlapping_intervals_claim_no_order() -> None:
    text = summarise(
        make_run("mf-naive", auc=0.60, interval=(0.55, 0.65)), make_run("mf-ips", auc=0.62, interval=(0.57, 0.67))
    )
    assert "mf-ips ranks best (AUC 0.620 [0.570, 0.670]), against 0.600 [0.550, 0.650] for mf-naive" in text
    assert "their intervals overlap, so no order is claimed" in text
    assert "apart" not in text


def test_intervals_that_are_apart_are_said_to_be() -> None:
    text = summarise(
        make_run("mf-naive", auc=0.60, interval=(0.58, 0.62)), make_run("mf-ips", auc=0.70, interval=(0.68, 0.72))
    )
    assert "their intervals are apart" in text
    assert "overlap" not in text


def test_touching_intervals_claim_no_order() -> None:
    text = summarise(
        make_run("mf-naive", auc=0.6, interval=(0.5, 0.65)), make_run("mf-ips", auc=0.7, interval=(0.65, 0.75))
    )
    assert "no order is claimed" in text


def test_a_win_of_the_naive_row_is_told_as_one() -> None:
    text = summarise(make_run("mf-naive", auc=0.7), make_run("mf-ips", auc=0.6))
    assert "mf-naive ranks best" in text
    assert "mf-ips" not in text


def test_a_win_of_a_baseline_is_told_as_one() -> None:
    assert "On the randomised test constant ranks best" in summarise(make_run("mf-ips", auc=0.4))


def test_the_rival_is_the_best_naive_row() -> None:
    rows = [make_run("mf-naive", auc=0.5), make_run("bert-naive", auc=0.6), make_run("bert-ips", auc=0.7)]
    assert "for bert-naive" in summarise(*rows)


def test_the_estimates_of_the_mean_are_set_against_the_truth_for_each_adjustment_set() -> None:
    means = {"naive": 0.5, "ips": 0.3, "snips": 0.28, "true": 0.26}
    text = summarise(
        make_run("mf-ips", mean_outcome=means, columns=["activity", "popularity"]),
        make_run("mf-naive", mean_outcome={**means, "snips": 0.41}, columns=["activity"]),
    )
    assert "The true mean outcome over all pairs is 0.260; the logged rows say 0.500" in text
    assert "0.280 (error +0.020) given activity, popularity and 0.410 (error +0.150) given activity." in text


def test_without_a_known_truth_nothing_is_said_of_it() -> None:
    assert "true mean" not in summarise(make_run())


def test_the_bias_of_prediction_is_listed() -> None:
    assert summarise(make_run("mf-ips", bias=-0.0456)).endswith("mean bias of prediction: mf-ips -0.046.")


def test_failed_jobs_have_no_say() -> None:
    means = {"naive": 0.5, "ips": 0.3, "snips": 0.28, "true": 0.26}
    assert summarise(make_run(status="failed", mean_outcome=means)) == ""
