"""Open Bandit: rows, propensities and visitors of both policies as the raw files say, and bad rows refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.contexts import Contexts
from causalrec.data.datasets import openbandit
from causalrec.data.datasets.openbandit import Campaign, OpenBandit
from causalrec.errors import DataError, NotIdentified, RequestError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
HEADER = ",timestamp,item_id,position,click,propensity_score," + ",".join(
    [f"user_feature_{k}" for k in range(4)] + [f"user-item_affinity_{k}" for k in range(3)]
)
LOGGED = [
    "0,2019-11-24 00:00:17.004101+00:00,2,2,0,0.087125,u0,a,p,x,0.0,0.0,0.0",
    "1,2019-11-24 00:00:19.715857+00:00,0,1,1,0.5,u1,a,q,x,0.0,1.0,0.0",
    "2,2019-11-24 00:01:04.303227+00:00,2,3,0,1e-06,u0,b,p,x,0.0,0.0,0.0",
]
UNIFORM = [f"{k},2019-11-30 23:59:0{k}.5+00:00,{k},{k + 1},{k % 2},0.3333333,u0,a,r,x,0.0,0.0,0.0" for k in range(3)]
ITEMS = ["0,0,-0.5,h1,g1,f1", "1,1,0.25,h1,g2,f1", "2,2,0.75,h2,g2,f1"]
OTHER_ITEMS = ["0,0,-0.5,z9,y1,x1", "1,1,0.25,z9,y2,x1", "2,2,0.75,z1,y2,x1"]
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the four files of a campaign, optionally with one line replaced, and trust their checksums."""

    def write(campaign: Campaign = "all", name: str = "", line: int = 0, text: str = "") -> Path:
        item_header = ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3"
        files = {
            f"bts/{campaign}/{campaign}.csv": [HEADER, *LOGGED],
            f"random/{campaign}/{campaign}.csv": [HEADER, *UNIFORM],
            f"bts/{campaign}/item_context.csv": [item_header, *ITEMS],
            f"random/{campaign}/item_context.csv": [item_header, *OTHER_ITEMS],
        }
        sums = {}
        for path, lines in files.items():
            if path == name:
                lines[line - 1] = text
            target = tmp_path / "openbandit" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(lines) + "\n")
            sums[path] = hashlib.sha256(target.read_bytes()).hexdigest()
        monkeypatch.setattr(openbandit, "OBP", dataclasses.replace(openbandit.OBP, files=sums))
        return tmp_path

    return write


def test_both_logs_hold_the_rows_of_their_policy(fake: Fake) -> None:
    data = OpenBandit().load(fake())
    log, uniform = data.logged, data.randomised
    assert uniform is not None and log.position is not None and log.time is not None and log.propensity is not None
    assert log.user is None and (log.num_users, log.num_items) == (0, 3)
    assert log.item.tolist() == [2, 0, 2] and log.position.tolist() == [2, 1, 3]
    assert log.outcome.tolist() == [0, 1, 0] and uniform.outcome.tolist() == [0, 1, 0]
    assert log.time.tolist() == [1574553617, 1574553619, 1574553664]
    np.testing.assert_allclose(log.propensity, [0.087125, 0.5, 1e-6], rtol=1e-6)
    assert uniform.item.tolist() == [0, 1, 2]


def test_a_row_holds_the_visitor(fake: Fake) -> None:
    data = OpenBandit().load(fake())
    assert data.randomised is not None
    held = {name: values.tolist() for name, values in data.logged.columns.items()}
    assert held == {
        "user_feature_0": ["u0", "u1", "u0"],
        "user_feature_1": ["a", "a", "b"],
        "user_feature_2": ["p", "q", "p"],
        "user_feature_3": ["x", "x", "x"],
    }
    assert [data.randomised.columns[f"user_feature_{k}"][0] for k in range(4)] == ["u0", "a", "r", "x"]


def test_items_join_on_their_id_and_take_the_first_policy_s_names(fake: Fake) -> None:
    table = OpenBandit().load(fake()).item_table
    assert table["item_feature_0"].to_list() == [-0.5, 0.25, 0.75]
    assert table["item_feature_1"].to_list() == ["h1", "h1", "h2"]
    assert set(table.columns) == {c.name for c in OpenBandit().card.columns if c.entity == "item" and c.kind != "id"}


@pytest.mark.parametrize("campaign", ["men", "women"])
def test_a_campaign_reads_its_own_files_only(fake: Fake, campaign: Campaign) -> None:
    root = fake(campaign)
    assert set(OpenBandit(campaign=campaign).load(root).raw_sha256) == set(openbandit.OBP.files)


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("bts/all/all.csv", 3, LOGGED[1].replace(",1,1,0.5", ",1,2,0.5"), r"line 3: click 2\.0 is not 0 or 1"),
        ("bts/all/all.csv", 3, LOGGED[1].replace(",0,1,1", ",3,1,1"), r"line 3: item_id 3 is not in 0\.\.2"),
        ("bts/all/all.csv", 3, LOGGED[1].replace(",0,1,1", ",0,4,1"), r"line 3: position 4 is not in 1\.\.3"),
        ("bts/all/all.csv", 3, LOGGED[1].replace("0.5", "0.0"), r"line 3: propensity_score 0\.0 is not in \(0, 1\]"),
        ("random/all/all.csv", 2, UNIFORM[0].replace("0.3333333", "1.5"), r"line 2: propensity_score 1\.5 is not in"),
        ("bts/all/all.csv", 3, LOGGED[1].replace("0.5", "half"), r"line 3: propensity_score 'half' is not a Float32"),
        ("bts/all/all.csv", 4, "2,2019-11-24 00:01:04.3+00:00,2,3", r"line 4: click is None; the row is truncated"),
        (
            "bts/all/all.csv",
            2,
            LOGGED[0].replace("2019-11-24", "yesterday"),
            r"line 2: timestamp yesterday .* not a time",
        ),
        ("bts/all/all.csv", 1, HEADER.replace("click", "tap"), r"has no column click"),
        ("random/all/item_context.csv", 3, "1,1,0.3,z9,y2,x1", r"item_feature_0 differs"),
        ("random/all/item_context.csv", 3, "1,1,0.25,z1,y2,x1", r"item_feature_1 groups the items otherwise"),
        ("random/all/item_context.csv", 3, "1,4,0.25,z9,y2,x1", r"item_id is not 0\.\.2, each once"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(fake: Fake, name: str, line: int, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        OpenBandit().load(fake("all", name, line, text))


def test_the_uniform_policy_s_log_has_a_known_policy_and_the_other_is_at_hand(fake: Fake) -> None:
    world = OpenBandit(logging="random")
    data, default = world.load(fake()), OpenBandit().load(fake())
    assert data.logged.item.tolist() == [0, 1, 2] and data.randomised is None
    assert world.card.randomised is None and world.card.randomised_training and world.card.rounds
    assert data.logging_policy is not None and default.logging_policy is None
    contexts = Contexts.of_log(data.logged)
    np.testing.assert_allclose(data.logging_policy(contexts), 1 / 3)
    assert data.logged.propensity is not None
    np.testing.assert_allclose(data.logged.propensity, 1 / 3, rtol=1e-6)
    for either in (data, default):
        assert set(either.policies) == {"bts", "random"}
        assert either.policy_logs["bts"].item.tolist() == [2, 0, 2]
        assert either.policy_logs["random"].outcome.mean() == pytest.approx(1 / 3)


def test_thompson_sampling_is_told_by_slot_from_its_priors(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """X ~ Beta(2, 1) and two uniform numbers: X is the largest with probability E[X^2] = 1/2, the second largest with
    E[2 X (1 - X)] = 1/3."""
    root = fake()
    (root / "priors").mkdir()
    prior = root / "priors" / "prior_bts.yaml"
    prior.write_text("all: {alpha: [1.0, 2.0, 1.0], beta: [1.0, 1.0, 1.0]}\n")
    sums = {prior.name: hashlib.sha256(prior.read_bytes()).hexdigest()}
    monkeypatch.setattr(openbandit, "PRIORS", dataclasses.replace(openbandit.PRIORS, folder="priors", files=sums))
    data = OpenBandit().load(root)
    assert data.logged.position is not None and data.logged.position.tolist() == [2, 1, 3]
    probabilities = data.policies["bts"](Contexts.of_log(data.logged))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(probabilities[:, 1], [1 / 3, 1 / 2, 1 / 6], atol=1e-3)
    np.testing.assert_allclose(probabilities[:, 0], probabilities[:, 2])


def test_the_full_set_is_read_from_where_it_was_unpacked(fake: Fake) -> None:
    root = fake()
    small, world = OpenBandit().load(root), OpenBandit(size="full")
    with pytest.raises(RequestError, match=r"put bts/all/all\.csv, .*open_bandit_dataset\.zip into .*openbandit_full"):
        world.check_files(root)
    (root / "openbandit").rename(root / "openbandit_full")
    data, before = world.load(root), world.identity(root)
    np.testing.assert_array_equal(data.logged.item, small.logged.item)
    np.testing.assert_array_equal(data.logged.outcome, small.logged.outcome)
    assert data.raw_sha256 == small.raw_sha256, "sums are taken where none is published"
    levels = [log.columns["user_feature_2"].tolist() for log in data.policy_logs.values()]
    assert levels == [[0, 1, 0], [2, 2, 2]], "p, q and r in both logs"
    path = root / "openbandit_full" / "bts" / "all" / "all.csv"
    path.write_text(path.read_text().replace("0.5,u1", "0.25,u1"))
    assert world.identity(root) != before


def test_only_the_logged_propensity_identifies_training() -> None:
    spec = validate_config(compose_config(["dataset=openbandit", "propensity=logged", "objective=ips"]))
    graph, card = spec.graph.build(), spec.dataset.build().card
    assert identify(graph, card, use_logged_propensity=True).training.strategy == "logged propensity"
    assert identify(graph, card, use_logged_propensity=True).evaluation.strategy == "randomised"
    with pytest.raises(NotIdentified, match="slot"):
        identify(graph, card)


@pytest.mark.network
@pytest.mark.parametrize(
    ("campaign", "arms", "clicks"), [("all", 80, (42, 38)), ("men", 34, (69, 46)), ("women", 46, (46, 46))]
)
def test_the_real_logs_are_whole(campaign: Campaign, arms: int, clicks: tuple[int, int]) -> None:
    data = OpenBandit(campaign=campaign).load(DATA)
    assert data.randomised is not None and data.randomised.propensity is not None
    assert (len(data.logged), len(data.randomised), data.logged.num_items) == (10_000, 10_000, arms)
    assert (data.logged.outcome.sum(), data.randomised.outcome.sum()) == clicks
    np.testing.assert_allclose(data.randomised.propensity, 1 / arms, rtol=1e-5)
