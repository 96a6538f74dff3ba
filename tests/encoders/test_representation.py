"""Text and vectors as numbers for learners from a table: which columns, which components, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import last_of_each
from tiny_models import write_roberta

from causalrec import cli
from causalrec.encoders.representation import principal_components
from causalrec.errors import RequestError

ROWS = 40
TEXT = ["dataset=ml100k_uplift", "dataset.recommendations=10", "propensity=treatment", "split.unseen=keep"]
TEXT += ["learner=linear_dml", "metric=[qini]", "logger=none", "evaluation.replicates=20"]


def random_rows(seed: int = 0) -> np.ndarray:
    """Rows [N,4] that spread 3, 2, 1 and 0 along rotated axes, about a mean."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    return np.asarray((rng.normal(size=(ROWS, 4)) * [3, 2, 1, 0]) @ turned + 7, np.float32)


def test_components_are_uncorrelated_of_unit_variance_and_in_order() -> None:
    vectors, every = random_rows(), np.arange(ROWS)
    components = principal_components(vectors, np.ones(ROWS, bool), every, 2, "v")
    np.testing.assert_allclose(np.cov(components.T), np.eye(2), atol=1e-4)
    np.testing.assert_allclose(components.mean(0), 0, atol=1e-5)
    centred = vectors - vectors.mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[0][:, 0]
    assert abs(np.corrcoef(components[:, 0], first)[0, 1]) > 0.999


def test_rows_not_learnt_from_change_nothing_and_missing_ones_are_the_mean() -> None:
    vectors, present, used = random_rows(), np.ones(ROWS, bool), np.arange(30)
    plain = principal_components(vectors, present, used, 3, "v")
    changed, present = vectors.copy(), present.copy()
    changed[35:], changed[20], present[20] = 1000, np.nan, False
    other = principal_components(changed, present, np.delete(used, 20), 3, "v")
    again = principal_components(vectors, np.ones(ROWS, bool), np.delete(used, 20), 3, "v")
    np.testing.assert_array_equal(other[:20], again[:20])
    np.testing.assert_allclose(other[20], 0, atol=1e-6)
    assert np.abs(plain[:20] - other[:20]).max() > 1e-3, "row 20 was learnt from"


def test_more_components_than_dimensions_are_refused() -> None:
    same = np.repeat(random_rows()[:3], 10, axis=0)
    with pytest.raises(RequestError, match=r"components=3: title has 2 dimensions in the rows learnt from; set .*=2"):
        principal_components(same, np.ones(30, bool), np.arange(30), 3, "title")
    with pytest.raises(RequestError, match="v has 3 dimensions"):
        principal_components(random_rows(), np.ones(ROWS, bool), np.arange(ROWS), 4, "v")
    with pytest.raises(RequestError, match="title has 0 dimensions"):
        principal_components(same, np.zeros(30, bool), np.arange(30), 1, "title")


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_ml100k: Any
) -> Callable[..., Any]:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=40, items=50, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    reader = [
        "encoder=roberta",
        f"encoder.model={write_roberta(tmp_path / 'roberta')}",
        "encoder.max_tokens=32",
        "representation.components=3",
    ]

    def effect(*overrides: str, code: int = 0, read: bool = True) -> Any:
        capsys.readouterr()
        assert (
            cli.main(last_of_each("train", "task=effect", "--json", *TEXT, *(reader if read else []), *overrides))
            == code
        )
        out, err = capsys.readouterr()
        return err if code else json.loads(out)[0]

    return effect


def test_the_graph_says_where_a_text_goes_to_the_call_of_econml(
    call: Any, linear_dml_columns: list[dict[str, Any]]
) -> None:
    seen = linear_dml_columns
    edges = "'title -> outcome','year -> outcome','year -> exposure','exposure -> outcome'"
    call("graph.latent=[]", f"graph.edges=[{edges}]", "graph.modifiers=[title,year]", "name=modifier")
    call("graph.latent=[]", f"graph.edges=[{edges}]", "graph.modifiers=[title,year]", "name=unread", read=False)
    call("graph.latent=[]", f"graph.edges=[{edges},'title -> exposure']", "graph.modifiers=[year]", "name=control")
    assert [arguments["X"].shape[1] for arguments in seen] == [4, 1, 1]
    assert "W" not in seen[0] and "W" not in seen[1] and seen[2]["W"].shape[1] == 3
    np.testing.assert_array_equal(seen[0]["X"][:, :3], seen[2]["W"])
    np.testing.assert_array_equal(seen[0]["X"][:, 3:], seen[1]["X"])


@pytest.mark.parametrize(
    ("overrides", "said", "read"),
    [
        (
            ["finetuning=lora"],
            "finetuning=lora: learner=linear_dml reads text by a model that stays as it was pretrained",
            True,
        ),
        (["representation.components=500"], "dimensions in the rows learnt from; set representation.components=", True),
        (["representation.components=0"], "representation.components=0: ", True),
        (["graph.modifiers=[title]"], "have text read by encoder=bert", False),
        (
            ["graph.latent=[]", "graph.edges=['item -> outcome','item -> exposure','exposure -> outcome']"],
            "the graph adjusts for item; set learner=network",
            True,
        ),
        (
            [
                "graph.latent=[]",
                "graph.modifiers=null",
                "graph.edges=['title -> outcome','title -> exposure','exposure -> outcome','year -> outcome']",
            ],
            "the graph adjusts for title; have text read by encoder=bert, or set learner=network",
            False,
        ),
        (
            ["graph.latent=[]", "graph.edges=['title -> outcome','title -> exposure','exposure -> outcome']"],
            "the graph adjusts for title; have text read by encoder=bert, or set learner=network",
            False,
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(overrides: list[str], said: str, read: bool, call: Any) -> None:
    request = (
        overrides
        if any("modifiers" in override for override in overrides)
        else [*overrides, "graph.modifiers=[title,year]"]
    )
    if "adjusts for" in said:
        request = [*overrides, "graph.modifiers=[year]"]
    error = call(*request, code=2, read=read)
    *running, last = filter(None, error.splitlines())
    assert said in last and len(running) == ("dimensions" in last), "all but one are told before any file is read"
