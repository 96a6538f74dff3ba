"""Figures from records alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import pytest
from handmade import make_saved

from causalrec.reporting.figure import predicted_against_true


def test_a_png_is_written_with_one_panel_per_encoder(tmp_path: Path) -> None:
    one, two = tmp_path / "new" / "one.png", tmp_path / "two.png"
    predicted_against_true([make_saved("mf-ips"), make_saved("mf-ips", seed=1), make_saved("mf-naive")], one)
    predicted_against_true([make_saved("mf-ips"), make_saved("bert-ips")], two)
    assert one.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    narrow, wide = (matplotlib.image.imread(path).shape[1] for path in (one, two))
    assert wide == pytest.approx(2 * narrow, rel=0.02)
    assert [path.name for path in one.parent.iterdir()] == ["one.png"]


def test_failed_jobs_and_jobs_without_bins_are_not_drawn(tmp_path: Path) -> None:
    path, alone = tmp_path / "f.png", tmp_path / "alone.png"
    predicted_against_true(
        [make_saved("mf-ips"), make_saved("bert-ips", status="failed"), make_saved("gpt-ips", calibration=[])], path
    )
    predicted_against_true([make_saved("mf-ips")], alone)
    assert matplotlib.image.imread(path).shape == matplotlib.image.imread(alone).shape
