"""Figures from records alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from handmade import make_run, score

from causalrec.records.overlap_sections import BalanceSection, OverlapSection
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CalibrationBin, ReliabilityCurve
from causalrec.reporting.figure import (
    calibration_figure,
    overlap_figure,
    pictures,
    ranking_figure,
)
from causalrec.reporting.predicted_figure import draw_predicted_against_true
from causalrec.reporting.reliability_figure import reliability_figure


def test_a_png_is_written_with_one_panel_per_encoder(tmp_path: Path) -> None:
    narrow_path, wide_path = tmp_path / "new" / "one.png", tmp_path / "two.png"
    draw_predicted_against_true([make_run("mf-ips"), make_run("mf-ips", seed=1), make_run("mf-naive")], narrow_path)
    draw_predicted_against_true([make_run("mf-ips"), make_run("bert-ips")], wide_path)
    assert narrow_path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    narrow, wide = (matplotlib.image.imread(path).shape[1] for path in (narrow_path, wide_path))
    assert wide == pytest.approx(2 * narrow, rel=0.06)
    assert [path.name for path in narrow_path.parent.iterdir()] == ["one.png"]


def test_failed_jobs_and_jobs_without_bins_are_not_drawn(tmp_path: Path) -> None:
    path, alone = tmp_path / "f.png", tmp_path / "alone.png"
    draw_predicted_against_true(
        [make_run("mf-ips"), make_run("bert-ips", status="failed"), make_run("gpt-ips", calibration=[])], path
    )
    draw_predicted_against_true([make_run("mf-ips")], alone)
    assert matplotlib.image.imread(path).shape == matplotlib.image.imread(alone).shape


OVERLAP = OverlapSection(
    clip=0.05,
    clipped=0.25,
    effective_rows=5200.0,
    quantiles=(0.02, 0.04, 0.1, 0.2, 0.5, 0.9),
    mean_outcome={"naive": 0.52, "ips": 0.5, "snips": None},
    balance=BalanceSection(before=0.4, after=0.1, worst=(("age", 0.4, 0.1), ("gender", -0.2, 0.05))),
)


def record(name: str = "x", **sections: Any) -> RunRecord:
    return RunRecord(name=name, status="done", **sections)


def texts(figure: Any) -> list[str]:
    """All that is written on a figure, its titles and legends too."""
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text)]


def line_points(panel: Any) -> list[tuple[list[float], list[float]]]:
    return [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in panel.lines]


def test_overlap_shows_propensities_estimates_and_balance() -> None:
    figure = overlap_figure(record("mf-ips", overlap=OVERLAP))
    assert figure is not None
    propensities, means, balance = figure.axes
    assert ([0.1, 0.5], [0, 0]) in line_points(propensities) and ([0.05, 0.05], [0, 0.6]) in line_points(propensities)
    assert line_points(means) == [([0.52, 0.5], [0, 1])]  # what is unknown is left out
    assert ([0.4, 0.1], [0, 0]) in line_points(balance) and ([0.1, 0.05], [0, 1]) in line_points(balance)
    assert {"mf-ips: 5200 effective rows, 25.0% clipped", "naive", "ips", "age", "gender"} <= set(texts(figure))


def test_overlap_of_arms_tells_the_arm_that_is_clipped_most() -> None:
    by_arm = {"none": 0.0, "arm 1": 0.5}
    title = "dml: 5200 effective rows, of arm 1 50.0% clipped"
    assert title in texts(overlap_figure(record("dml", overlap=replace(OVERLAP, clipped_by_arm=by_arm))))


def test_overlap_without_balance_or_clip_has_two_panels_and_none_without_propensities() -> None:
    figure = overlap_figure(record(overlap=replace(OVERLAP, clip=0.0, balance=None)))
    assert figure is not None and len(figure.axes) == 2 and "clip" not in texts(figure)
    for quantiles in ((), (0.1,), (0.1, 0.1, None, 0.1, 0.1, 0.1)):
        assert overlap_figure(record(overlap=replace(OVERLAP, quantiles=quantiles))) is None
    assert overlap_figure(record()) is None


def test_calibration_shows_every_bin_and_the_error_weighted_by_rows() -> None:
    bins = (CalibrationBin(0.2, 0.3, 30), CalibrationBin(0.6, 1.4, 10), CalibrationBin(None, 0.1, 9))
    figure = calibration_figure(record("mf-ips", calibration=bins))
    assert figure is not None
    (panel,) = figure.axes
    assert ([0.2, 0.6], [0.3, 1.4]) in line_points(panel)
    assert panel.get_title() == "mf-ips: expected calibration error 0.275"  # (30 x 0.1 + 10 x 0.8) / 40
    assert panel.get_xlim() == panel.get_ylim() == (0.0, 1.4)
    assert calibration_figure(record()) is None


def test_reliability_shows_curves_before_and_after_each_map() -> None:
    curves = (
        ReliabilityCurve("randomised", False, (CalibrationBin(0.5, 0.3, 30), CalibrationBin(0.7, 0.5, 10))),
        ReliabilityCurve("validation", False, (CalibrationBin(0.5, 0.5, 5), CalibrationBin(None, 0.1, 9))),
        ReliabilityCurve("platt_weighted", True, (CalibrationBin(0.3, 0.3, 30), CalibrationBin(0.6, 0.5, 10))),
    )
    figure = reliability_figure(record("mf-ips", reliability=curves))
    assert figure is not None
    before, after = figure.axes
    assert [line.get_label() for line in before.lines[1:]] == ["randomised: 0.200", "validation: 0.000"]
    assert [line.get_label() for line in after.lines[1:]] == ["platt_weighted: 0.025"]
    assert ([0.3, 0.6], [0.3, 0.5]) in line_points(after)
    assert reliability_figure(record(reliability=curves[:2])) is None
    assert "reliability" in pictures(record("mf-ips", reliability=curves))


def test_ranking_shows_the_model_beside_its_baselines() -> None:
    scores = [score("auc", "randomised", 0.7, "mf-ips", 0.6, 0.8), score("ndcg@5", "randomised", 0.4, "mf-ips")]
    scores += [score("mse", "randomised", 0.2, "mf-ips"), score("recall@5", "logged", None, "mf-ips")]
    baselines = [score("auc", "randomised", 0.5, "constant", 0.5, 0.5)]
    figure = ranking_figure(record("mf-ips", scores=tuple(scores), baselines=tuple(baselines)))
    assert figure is not None
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["auc, randomised", "ndcg@5, randomised"]
    marks = {line.get_label(): line for line in panel.lines if not line.get_label().startswith("_")}
    assert list(marks) == ["mf-ips", "constant"]
    assert list(marks["mf-ips"].get_xdata()) == [0.7, 0.4] and list(marks["constant"].get_xdata()) == [0.5]
    (height,) = {y for x, (y, _) in line_points(panel)[:1] if x == [0.6, 0.8]}
    assert height == pytest.approx(marks["mf-ips"].get_ydata()[0])
    assert ranking_figure(record(scores=tuple(scores[2:]))) is None


def test_pictures_are_png_and_only_what_the_record_holds() -> None:
    handmade = make_run("mf-ips").record
    assert list(pictures(handmade)) == ["calibration", "ranking"]  # it has no propensities
    both = pictures(replace(handmade, overlap=OVERLAP))
    assert list(both) == ["overlap", "calibration", "ranking"]
    assert all(png.startswith(b"\x89PNG\r\n\x1a\n") for png in both.values())
    assert pictures(record("failed")) == {}
