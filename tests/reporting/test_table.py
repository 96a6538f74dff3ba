"""Tables come from records alone: averages, intervals, and what they must not mix or keep silent about."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from handmade import make_run, replace_values, score

from causalrec.errors import RequestError
from causalrec.records.overlap_sections import LearnedPropensitySection, OverlapSection
from causalrec.records.run_folder import RunFolder
from causalrec.records.sections import CandidateRecord
from causalrec.reporting.compare import compare_rows
from causalrec.reporting.score_table import Cell, ScoreTable, format_cell, format_seeds, markdown
from causalrec.reporting.table import tables
from causalrec.reporting.table_text import text_table

AUC = "auc@randomised"


def only(score_tables: list[ScoreTable]) -> ScoreTable:
    assert len(score_tables) == 1
    return score_tables[0]


def test_a_cell_is_the_mean_over_seeds_with_their_standard_deviation() -> None:
    table = only(tables([make_run(seed=0, auc=0.6), make_run(seed=1, auc=0.8)]))
    cell = table.rows["mf-ips"][AUC]
    assert cell.mean == pytest.approx(0.7)
    assert cell.sd == pytest.approx(0.1 * 2**0.5)  # sqrt((0.1^2 + 0.1^2) / (2 - 1))
    assert (cell.seeds, cell.n) == (2, 100)
    assert format_seeds("mf-ips", table) == "2"
    assert format_seeds("constant", table) == ""


def test_one_seed_has_its_own_interval_and_no_sd() -> None:
    cell = only(tables([make_run(auc=0.7, interval=(0.61, 0.79), replicates=[0.0, 1.0])])).rows["mf-ips"][AUC]
    assert cell == Cell(0.7, 0.61, 0.79, None, 1, 100)


def test_the_interval_is_of_the_seed_average_resample_by_resample() -> None:
    first = np.linspace(0, 1, 101)
    apart = [make_run(seed=0, replicates=first), make_run(seed=1, replicates=first + 1)]
    cell = only(tables(apart)).rows["mf-ips"][AUC]
    assert (cell.low, cell.high) == pytest.approx((0.525, 1.475))  # the averages run evenly from 0.5 to 1.5
    opposed = [make_run(seed=0, replicates=first), make_run(seed=1, replicates=1 - first)]
    cell = only(tables(opposed)).rows["mf-ips"][AUC]
    assert (cell.low, cell.high) == pytest.approx((0.5, 0.5)), "paired resamples cancel; averaged ends would not"


def test_the_interval_of_an_average_of_absolute_values_is_cut_off_at_0_after_averaging() -> None:
    """Cut off before, the first seed's replicates would raise the lower end."""
    replicates = np.linspace(-1, 1, 101), np.linspace(0.5, 1.5, 101)  # averages run evenly from -0.25 to 1.25
    for absolute, lower_end in ((True, 0.0), (False, -0.2125)):
        error = replace(score("auc", "randomised", 0.5, "mf-ips"), absolute=absolute)
        apart = [make_run(seed=seed, scores=[error], replicates=values) for seed, values in enumerate(replicates)]
        cell = only(tables(apart)).rows["mf-ips"][AUC]
        assert (cell.low, cell.mean, cell.high) == pytest.approx((lower_end, 0.5, 1.2125))


def test_errors_of_a_propensity_are_columns_where_they_are_named_of_the_learnt_one_before_the_fitted() -> None:
    fitted = OverlapSection(ece=0.1, bmse=0.5, variance=2e-6, bias=0.25)
    learned = LearnedPropensitySection(ece=0.02, bmse=0.125, variance=1e-6, bias=None)
    runs = [
        replace_values(make_run("mf-dr_jl"), overlap=fitted),
        *(replace_values(make_run("mf-upo", seed=k), overlap=replace(fitted, learned=learned)) for k in range(2)),
        make_run("mf-naive"),
    ]
    columns = ("ece@propensity", "bmse@propensity", "variance@propensity", "bias@propensity", AUC)
    table = only(tables(runs, columns))
    values = {row: [cells[c].mean if c in cells else None for c in columns] for row, cells in table.rows.items()}
    assert values["mf-dr_jl"] == [0.1, 0.5, 2e-6, 0.25, 0.7]
    assert values["mf-upo"] == [0.02, 0.125, 1e-6, None, 0.7], "what the learnt one lacks is not filled by the fitted"
    assert values["mf-naive"] == [None, None, None, None, 0.7] and values["constant"][:4] == [None] * 4
    assert table.rows["mf-upo"][columns[0]].sd == 0 and np.isnan(table.rows["mf-upo"][columns[0]].low)
    (legend,) = [line for line in table.footnotes if line.startswith("ece@propensity")]
    assert legend.startswith("ece@propensity (lower is better): calibration error")
    usual = only(tables(runs))
    assert usual.columns == (AUC,) and not [line for line in usual.footnotes if "propensity (" in line]


def test_rows_of_data_drawn_anew_are_compared_in_errors_of_their_propensity() -> None:
    def run(name: str, seed: int, variance: float) -> RunFolder:
        record_run = make_run(name, seed=seed, config={"dataset": {"draw": seed}})
        record_run = replace_values(record_run, "audit", resampled_by=("dataset.draw",))
        return replace_values(record_run, "overlap", variance=variance)

    runs = [run("mf-dr_jl", 0, 2.0), run("mf-dr_jl", 1, 4.0), run("mf-upo", 0, 1.0), run("mf-upo", 1, 1.0)]
    (comparison,) = compare_rows(runs, "mf-dr_jl", "variance@propensity")
    assert (comparison.row, comparison.difference, comparison.se) == ("mf-upo", -2.0, 1.0)  # sd of 1 and 3 over root 2


def test_failed_jobs_are_left_out() -> None:
    table = only(tables([make_run(seed=0, auc=0.6), make_run(seed=1, auc=0.9, status="failed")]))
    assert table.rows["mf-ips"][AUC].mean == 0.6
    assert tables([make_run(status="failed")]) == []


def test_seeds_of_one_configuration_share_a_row() -> None:
    table = only(tables([make_run(seed=k) for k in range(3)]))
    assert list(table.rows) == ["constant", "mf-ips"]


def test_rows_of_one_name_with_another_configuration_are_told_apart() -> None:
    fast, slow = make_run(seed=0, auc=0.6, optimizer={"lr": 0.1}), make_run(seed=0, auc=0.8)
    table = only(tables([fast, slow, make_run("mf-naive")]))
    assert list(table.rows) == ["constant", "mf-ips optimizer.lr=0.1", "mf-ips optimizer.lr=0.01", "mf-naive"]
    assert table.rows["mf-ips optimizer.lr=0.1"][AUC].mean == 0.6
    assert table.rows["mf-ips optimizer.lr=0.01"][AUC].mean == 0.8


def test_a_setting_that_only_one_of_them_has_tells_them_apart_too() -> None:
    table = only(tables([make_run(optimizer={"momentum": 0.9}), make_run()]))
    assert list(table.rows)[1:] == ["mf-ips optimizer.momentum=0.9", "mf-ips optimizer.momentum=None"]


@pytest.mark.parametrize(
    "resampled_by", [("split.subsample_seed", "dataset.replication"), ("split.subsample_seed",)], ids=["data", "ids"]
)
def test_what_draws_rows_or_outcomes_anew_is_a_replicate_as_a_seed_is(resampled_by: tuple[str, ...]) -> None:
    settings = {"dataset": {"replication": 0}, "split": {"subsample_seed": 0}}
    key_of = {group: key for group, _, key in (name.partition(".") for name in resampled_by)}
    runs = [
        replace_values(
            make_run(
                seed=k,
                auc=0.6 + k / 10,
                config={
                    group: {**named, **({key_of[group]: k} if group in key_of else {})}
                    for group, named in settings.items()
                },
            ),
            "audit",
            hashes={"train": f"draw {k}"},
            rows={"train": 90 + k},
        )
        for k in (1, 2)
    ]
    assert len(tables(runs)) == 2, "other rows, another table"
    table = only(tables([replace_values(run, "audit", resampled_by=resampled_by) for run in runs]))
    assert list(table.rows) == ["constant", "mf-ips"]
    assert (table.rows["mf-ips"][AUC].seeds, table.rows["constant"][AUC].seeds) == (2, 2)
    assert table.rows["mf-ips"][AUC].mean == pytest.approx(0.75)


def test_two_estimands_are_never_in_one_table() -> None:
    score_tables = tables([make_run(), make_run("mf-effect", estimand="effect"), make_run("mf-naive")])
    assert [[row for row in table.rows if row not in table.baselines] for table in score_tables] == [
        ["mf-ips", "mf-naive"],
        ["mf-effect"],
    ]
    assert "Estimand: exposed_mean (a debiased outcome, not an effect)." in score_tables[0].footnotes
    assert "Estimand: effect." in score_tables[1].footnotes


def test_data_sets_and_thresholds_get_their_own_tables() -> None:
    score_tables = tables([make_run(), make_run(threshold=4.0), make_run(dataset="ml", threshold=None)])
    assert [table.dataset for table in score_tables] == ["coat (1 = rating >= 3)", "coat (1 = rating >= 4)", "ml"]


def test_tables_of_other_rows_of_one_data_set_have_titles_of_their_own() -> None:
    def split(run: RunFolder, *, train: str, words: str = "rows at random") -> RunFolder:
        return replace_values(run, "audit", hashes={"train": train}, split=words, test="logged (not unbiased)")

    random = [
        split(make_run(config={"split": {"seed": seed, "validation": 0.1}}), train=f"rows {seed}") for seed in (0, 1)
    ]
    latest = split(make_run(config={"split": {"cut": "user"}}), train="latest", words="each user's latest rows")
    again = split(make_run(config={"split": {"seed": 0, "validation": 0.1}}), train="other")
    coat = "coat (1 = rating >= 3), test: "
    assert [table.dataset for table in tables([*random, latest])] == [
        f"{coat}rows at random, split.seed=0",
        f"{coat}rows at random, split.seed=1",
        f"{coat}each user's latest rows",
    ]
    titles = [table.dataset for table in tables([random[0], again])]
    assert titles == [f"{coat}rows at random, training rows=rows 0", f"{coat}rows at random, training rows=other"]
    assert "Split: each user's latest rows." in only(tables([latest])).footnotes


def test_rows_fitted_on_validation_rows_too_are_told_from_those_that_are_not() -> None:
    rows = {"train": 600, "validation": 60}
    tried = (CandidateRecord(fit="f", settings={}, criterion=0.5, best_epoch=3, epochs=4),)
    by_folds = replace_values(replace_values(make_run(), "audit", rows=rows), "selection", folds=4, candidates=tried)
    held = replace_values(replace_values(make_run("bert4rec-ips"), "audit", rows=rows), "selection", candidates=tried)
    table = only(tables([by_folds, held]))
    assert table.baselines == ("constant-600", "constant-660")
    folds_note = "mf-ips: chosen by folds and fitted on 660 rows, training and validation"
    held_note = "bert4rec-ips: fitted on 600 training rows"
    assert f"{folds_note}; {held_note}. Baselines stand once for each." in table.footnotes
    assert only(tables([held])).baselines == ("constant",)
    of_a_table = replace_values(make_run("linear_dml"), "audit", rows=rows)  # it tries no candidates
    both = only(tables([held, of_a_table]))
    assert f"{held_note}; linear_dml: fitted on 660 rows, training and validation." in both.footnotes
    assert both.baselines == ("constant",), "baselines read the training rows of either"
    assert not [line for line in only(tables([of_a_table])).footnotes if "fitted on" in line]


def test_beside_a_null_stands_what_the_rows_could_have_shown() -> None:
    def run(low: float, high: float) -> RunFolder:
        averages = [score(name, "logged", (low + high) / 2, "dml", low, high) for name in ("average_effect", "qini")]
        return make_run("dml", scores=averages)

    (note,) = [line for line in only(tables([run(-0.1, 0.18)])).footnotes if "is no proof" in line]
    # half the interval over 1.96, times 1.96 + 0.84
    assert note.startswith("dml: an interval that holds 0 is no proof of no effect; ") and "Warning" not in note
    assert note.endswith("one of this size would have shown in 80 % of such samples: average_effect@logged 0.200.")
    assert not [line for line in only(tables([run(0.01, 0.3)])).footnotes if "is no proof" in line]
    assert not [line for line in only(tables([run(float("nan"), 0.3)])).footnotes if "is no proof" in line]


def test_a_table_of_another_split_is_named_by_the_splits_name() -> None:
    random = make_run(config={"split": {"_target_": "causalrec.data.split.random.Random", "validation": 0.1}})
    cold = make_run(config={"split": {"_target_": "causalrec.data.split.cold_users.ColdUsers", "test": 0.2}})
    cold = replace_values(cold, "audit", hashes={"train": "other"})
    titles = [table.dataset for table in tables([random, cold])]
    assert titles == ["coat (1 = rating >= 3), split=random", "coat (1 = rating >= 3), split=cold_users"]


def test_baselines_come_first_and_once() -> None:
    table = only(tables([make_run(seed=0), make_run("bert-ips", seed=0)]))
    assert list(table.rows) == ["constant", "mf-ips", "bert-ips"]
    assert table.baselines == ("constant",)
    assert table.rows["constant"][AUC].mean == 0.5


def test_a_row_that_trained_on_assumptions_says_so() -> None:
    notes = only(tables([make_run(assumed=["taste is negligible"]), make_run("mf-naive")])).footnotes
    assert "mf-ips: assumed, not identified: taste is negligible." in notes
    assert not [note for note in notes if note.startswith("mf-naive")]


def test_what_must_be_read_with_a_data_set_stands_once_in_its_tables_alone() -> None:
    runs = [make_run(seed=seed, dataset="shop", caveat="simulated data, no customers") for seed in (0, 1)]
    shop, coat = tables([*runs, make_run()])
    assert shop.footnotes.count("shop: simulated data, no customers.") == 1
    assert "shop: simulated data, no customers." in markdown(shop) and "simulated" not in markdown(coat)
    assert "shop: simulated data, no customers." in json.dumps(shop.as_json())


def test_a_propensity_that_does_not_read_the_adjustment_set_is_footnoted() -> None:
    notes = only(tables([make_run(reads=["item"]), make_run("mf-naive")])).footnotes
    row_notes = [note for note in notes if note.startswith("mf-ips")]
    assert row_notes == [
        "mf-ips: propensity=popularity reads ['item'], the adjustment set is ['activity', 'affinity']."
    ]
    assert not [note for note in notes if note.startswith("mf-naive")]


def test_a_logged_propensity_needs_no_such_footnote() -> None:
    notes = only(tables([make_run(reads=[], strategy="logged propensity")])).footnotes
    assert not [note for note in notes if note.startswith("mf-ips")]


def test_a_logged_test_is_footnoted() -> None:
    notes = only(tables([make_run(evaluation="none", test="logged (not unbiased)")])).footnotes
    assert "mf-ips: the test is logged, not randomised: scores describe logged exposure only." in notes
    assert "Test: logged (not unbiased); 366 pairs of it are also logged (drop_train)." in notes
    assert not [note for note in only(tables([make_run()])).footnotes if "logged exposure only" in note]


def test_the_usual_columns_are_shown_and_others_on_request() -> None:
    assert only(tables([make_run(bias=0.1)])).columns == (AUC, "bias@all_pairs")
    requested = only(tables([make_run(bias=0.1)], ("recall@5@randomised", AUC)))
    assert requested.columns == ("recall@5@randomised", AUC)
    assert requested.rows["mf-ips"]["recall@5@randomised"].mean == 0.3


def test_all_columns_are_shown_where_none_of_the_usual_is_there() -> None:
    names = [("ece", "randomised"), ("brier", "validation"), ("ece", "randomised_tail"), ("snips_mean", "logged")]
    scores = [score(metric, where, 0.1, "mf-ips") for metric, where in names]
    table = only(tables([make_run(scores=scores, baselines=())]))
    assert table.columns == ("ece@randomised", "brier@validation", "snips_mean@logged")


def test_rows_are_chosen_by_name_in_order_with_the_notes_that_are_theirs() -> None:
    saved = [make_run(), make_run("mf-dr", assumed=["a is negligible"])]
    chosen = only(tables(saved, (AUC,), rows=("mf-ips", "constant")))
    assert tuple(chosen.rows) == ("mf-ips", "constant") and chosen.baselines == ("constant",)
    assert not [note for note in chosen.footnotes if "negligible" in note]
    with pytest.raises(RequestError, match=r"^row mf-ipp: no table has it; did you mean 'mf-ips'"):
        tables(saved, rows=("constant", "mf-ipp"))


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"^column auk@randomised: no record has it; did you mean 'auc@randomised'"):
        tables([make_run()], ("auk@randomised",))
    with pytest.raises(RequestError, match=r"^column auc: no record has it; did you mean auc@randomised\?$"):
        tables([make_run()], ("auc",))


def test_an_undefined_score_is_a_dash() -> None:
    undefined = make_run(scores=[score("auc", "randomised", None, "mf-ips")])
    table = only(tables([undefined, make_run("mf-naive")]))
    assert AUC not in table.rows["mf-ips"]
    assert "| mf-ips | - | 0 |" in markdown(table)


def test_a_cell_is_written_with_mean_sd_and_interval() -> None:
    assert format_cell(Cell(0.5, 0.4, 0.6, None, 1, 9)) == "0.500 [0.400, 0.600]"
    assert format_cell(Cell(-0.12345, -0.2, 0.0, 0.01, 2, 9), "<br>") == "-0.123 ± 0.010<br>[-0.200, 0.000]"
    assert format_cell(None) == "-"


def test_markdown_is_a_table_with_footnotes() -> None:
    text = markdown(only(tables([make_run(auc=0.7, interval=(0.6, 0.8), assumed=["a is negligible"])])))
    lines = text.splitlines()
    assert lines[0] == "**coat (1 = rating >= 3)**"
    assert lines[2:4] == ["| row | auc@randomised | seeds |", "|---|---|---|"]
    assert lines[4:6] == ["| constant | 0.500<br>[0.500, 0.500] |  |", "| mf-ips | 0.700<br>[0.600, 0.800] | 1 |"]
    assert "- mf-ips: assumed, not identified: a is negligible." in lines


def test_the_terminal_shows_every_row_number_and_footnote() -> None:
    shown = text_table(only(tables([make_run(auc=0.7123, assumed=["a is negligible"])]))).render(200)
    for text in ("coat (1 = rating >= 3)", "constant", "mf-ips", "0.712", "[0.600, 0.800]", "a is negligible"):
        assert text in " ".join(shown.split())


def test_as_json_is_json() -> None:
    document: dict[str, Any] = json.loads(json.dumps(only(tables([make_run(auc=0.7)])).as_json()))
    assert document["rows"]["mf-ips"][AUC]["mean"] == 0.7
    assert document["columns"] == [AUC]
    assert document["footnotes"]
