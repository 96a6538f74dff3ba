"""What is said of `optimizer=adamw_rows` before anything is trained: offers, refusals, and memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec import cli
from causalrec.learners import row_offer, weight_memory


@pytest.fixture
def train(
    tmp_path: Path, fake_coat: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    data = fake_coat(tmp_path / "data")

    def run(*overrides: str) -> tuple[int, str]:
        fixed = [f"paths.data={data}", f"paths.cache={tmp_path / 'cache'}", f"paths.runs={tmp_path / 'runs'}"]
        fixed += ["dataset=coat", "encoder=mf", "objective=naive", "logger=none", "split.unseen=keep"]
        fixed += ["evaluation.replicates=5", "selection.candidates=none", "selection.folds=1", "trainer.max_epochs=1"]
        given = {override.partition("=")[0] for override in overrides}
        remaining = [override for override in fixed if override.partition("=")[0] not in given]
        code = cli.main(["train", *remaining, *overrides])
        return code, capfd.readouterr().err

    return run


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("optimizer=adam optimizer.rows=true", "optimizer.rows=True: coupled L2 is part of every row's gradient"),
        ("optimizer=sgd optimizer.rows=true", "set optimizer=adamw_rows, whose decay is decoupled"),
        ("optimizer=adamw_rows trainer.precision=16-mixed", "set trainer.precision=bf16-mixed"),
        (
            "optimizer=adamw_rows optimizer.lr=20",
            "times lr=20 is more than 1, so that one step turns every weight round",
        ),
        (
            "optimizer=adamw_rows optimizer.lr=0.2 selection.candidates={optimizer.weight_decay:[1.0,10.0]}",
            "name selection.candidates={optimizer.weight_decay: [..]} of at most 5",
        ),
    ],
)
def test_wrong_requests_are_one_line(train: Callable[..., tuple[int, str]], request_: str, words: str) -> None:
    code, said = train(*request_.split())
    assert code == 2 and words in said and said.count("\n") == 1


def test_dense_steps_of_large_tables_are_offered_to_go_by_rows(
    train: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(row_offer, "LARGE_TABLES", 100)
    row_offer._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert train("optimizer=adamw", "sampler.batch_size=4", "selection.folds=2")[0] == 0
        assert train("optimizer=adamw_rows", "optimizer.lr=0.02")[0] == 0
        assert train("optimizer=sgd")[0] == 0
    (line,) = [record.getMessage() for record in caplog.records if "adamw_rows" in record.getMessage()]
    assert "optimizer=adamw_rows would step some 8 of their rows at a time, and not all 27" in line


def test_a_table_too_large_for_the_memory_is_one_line_with_the_arithmetic(
    train: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_memory, "free_memory", lambda: 40_000)
    for optimizer, copies in (
        ("adamw", "5 copies (weights, gradients, first moments, second moments, the best epoch's)"),
        ("adamw_rows", "4 copies (weights, first moments, second moments, the best epoch's)"),
    ):
        code, said = train(f"optimizer={optimizer}", "encoder.width=2000")
        line = said.splitlines()[-1]
        assert code == 2 and f" users x 2,000 numbers x 4 bytes x {copies} = " in line
        assert "encoder.width=2000: a table of ids takes " in line and line.endswith("set encoder.width lower")
