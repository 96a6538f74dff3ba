"""A propensity of texts alone: the logistic of their components, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from causalrec import cli
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.errors import RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.calibrated import Calibrated
from causalrec.propensity.logistic import Logistic
from causalrec.propensity.text import TextPropensity
from tests.encoders.tiny_models import write_bert
from tests.shop import CLICKS, QUICK, shop_tables, write_shop

USERS, ITEMS = 120, 90
SHOP = [*shop_tables(text=True), *CLICKS[:-2], "objective=naive", "encoder=mf"]


def exposure() -> tuple[InteractionLog, FeatureMatrix, np.ndarray]:
    """Pairs exposed with a probability that is logistic in two components of the items' texts, one of the users'."""
    rng = np.random.default_rng(0)
    users = rng.normal(size=(USERS, 1)).astype(np.float32)
    items = rng.normal(size=(ITEMS, 2)).astype(np.float32)
    p = expit(-1 + users @ [0.5] + (items @ [1.0, -0.7])[:, None]).T
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < p)
    exposed, outcome = np.ones(len(user), np.int64), np.zeros(len(user), np.float32)
    log = InteractionLog(item, exposed, outcome, ITEMS, user, USERS)
    return log, FeatureMatrix(("user_text[0]", "item_text[0]", "item_text[1]"), (), users, items), p


def test_it_is_the_logistic_of_the_components_and_recovers_true_propensities() -> None:
    log, features, p = exposure()
    text, plain = TextPropensity(model="unread"), Logistic()
    text.fit(log, features)
    plain.fit(log, features)
    codes = np.arange(USERS * ITEMS)
    pairs = pairs_log(codes // ITEMS, codes % ITEMS, log)
    predicted = text.predict(pairs)
    np.testing.assert_array_equal(predicted, plain.predict(pairs))
    assert np.abs(predicted - p.ravel()).mean() < 0.02 < np.abs(p.mean() - p).mean()
    assert text.columns_read(("popularity",)) == ("item_text", "user_text") and text.report is not None


def test_it_is_no_base_of_another_and_needs_texts() -> None:
    log, features, _ = exposure()
    plain = FeatureMatrix(("age", "x", "y"), (), features.user_block, features.item_block)
    with pytest.raises(RequestError, match="propensity=text: was handed no vectors of texts; it cannot be the base of"):
        Calibrated(base=TextPropensity(model="unread"), method="platt").fit(log, plain)


def run(*overrides: str) -> int:
    return cli.main(["train", *overrides, *QUICK, "name=text", "--json"])


def test_texts_are_those_of_the_outcome_view_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shop(tmp_path / "data" / "csv")
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    bert = write_bert(tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    overrides = [
        *SHOP,
        "propensity=text",
        f"propensity.model={bert}",
        "propensity.components=2",
        "graph.edges=['user, item, age, job, genres -> outcome','job, genres -> exposure','exposure -> outcome']",
    ]
    phrases = ["+dataset.item_text={genres: 'a film of {}'}", "+dataset.user_text={job: 'user: {}'}"]
    assert run(*overrides, *phrases) == 2
    assert "propensity.max_tokens=64: the model takes at most 40 tokens of a text" in capsys.readouterr().err
    overrides += ["propensity.max_tokens=30", "--rerun"]
    assert run(*overrides, *phrases) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["adjustment"]["propensity_reads"] == ["item_text", "user_text"]
    assert record["overlap"]["ece"] < 0.1
    assert run(*overrides, "+dataset.item_text={}", "+dataset.user_text={}") == 2
    said = capsys.readouterr().err
    assert "propensity=text: no text of" in said and "is left in the outcome view; add a column that" in said
