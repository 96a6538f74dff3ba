"""A graph of ids is the run: every kind of encoder and head, histories and wide categories, pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractAnyEncoder, AbstractPairEncoder, EncoderInputs
from causalrec.encoders.gpt4rec import GPT4Rec
from causalrec.encoders.gru4rec import GRU4Rec
from causalrec.encoders.hybrid import Hybrid
from causalrec.encoders.mf import MF
from causalrec.encoders.mlp import VectorMLP
from causalrec.encoders.neumf import NeuMF
from causalrec.encoders.text_towers import TextTowers
from causalrec.errors import RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.cfr import CFR
from causalrec.estimators.objective.naive import Naive
from causalrec.evaluation.catalogue_predictions import means
from causalrec.evaluation.slice.base import SliceData
from causalrec.export import network
from causalrec.export.graph_file import write_graph
from causalrec.export.network import PairScores
from causalrec.export.scorer import load_graph
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.heads.classes import Classes
from causalrec.heads.dot import Dot
from causalrec.heads.tarnet import TARNet
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import CausalModel, vector_width
from causalrec.role_network import RoleNetwork
from causalrec.types import EFFECT, OUTCOME, Batch, Floats, Ints, Link
from tests.encoders.tiny_models import write_bert

USERS, ITEMS = 5, 7
RNG = np.random.default_rng(0)
EVERY_PAIR = np.repeat(np.arange(USERS), ITEMS), np.tile(np.arange(ITEMS), USERS)


def log_with_repeats() -> InteractionLog:
    """User 0 met six of seven items, one of them twice; user 4 met nothing."""
    user = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 3])
    item = np.array([1, 2, 3, 4, 5, 6, 2, 0, 6, 3, 5, 5])
    each = np.ones(len(user), np.int64)
    outcome = (np.arange(len(user)) % 2).astype(np.float32)
    return InteractionLog(item, each, outcome, ITEMS, user=user, num_users=USERS, time=np.arange(len(user)))


def inputs(folder: Path) -> EncoderInputs:
    return EncoderInputs(
        USERS,
        ITEMS,
        ("the film of war", "love", "", "the new films", "war", "a love story", "drama"),
        folder,
        folder / "cache",
        item_features=RNG.normal(size=(ITEMS, 2)).astype(np.float32),
        user_features=RNG.normal(size=(USERS, 3)).astype(np.float32),
        item_vectors={"poster": RNG.normal(size=(ITEMS, 4)).astype(np.float32)},
        user_vectors={"face": RNG.normal(size=(USERS, 4)).astype(np.float32)},
        history_log=log_with_repeats(),
    )


def columns(*, wide: bool = False) -> FeatureMatrix:
    """Three numbers of users, two of items, one of pairs; `wide`: a category of items held by its level, too."""
    numbers = RNG.normal(size=(USERS, 3)).astype(np.float32), RNG.normal(size=(ITEMS, 2)).astype(np.float32)
    table = RNG.normal(size=(USERS, ITEMS)).astype(np.float32)
    names = (*(f"x{k}" for k in range(5)), "met")
    if not wide:
        return FeatureMatrix(names, ("user", "item"), *numbers, pairs=(lambda user, item: table[user, item],))
    levels = np.array([[6], [7], [8], [-1], [6], [7], [8]])
    return FeatureMatrix(
        (*names, "brand=a", "brand=b", "brand=c"),
        ("user", "item"),
        *numbers,
        pairs=(lambda user, item: table[user, item],),
        dense=np.arange(6),
        item_levels=levels,
    )


def predictor(
    encoder: AbstractAnyEncoder,
    features: FeatureMatrix,
    head: Callable[[int, int], Any] = lambda count, width: Dot(count),
    link: Link = "logit",
    objective: AbstractObjective | None = None,
    unit: tuple[float, float] | None = None,
) -> NetworkPredictor:
    """Return a network of random weights, as it is after training."""
    torch.manual_seed(1)
    width = vector_width(encoder, features)  # type: ignore[arg-type]
    model = CausalModel({OUTCOME: RoleNetwork(encoder, head(len(features), width), features=features)}, link, unit)  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name != "unit":
            torch.nn.init.normal_(parameter, std=0.5)
    return NetworkPredictor(model, features, objective or Naive())


def run_scores(trained: NetworkPredictor, user: Ints, item: Ints) -> Floats:
    nothing = np.zeros(len(user), np.float32)
    return trained(SliceData(name="a", kind="rate", user=user, item=item, label=nothing, num_users=USERS))


def graph_scores(trained: NetworkPredictor, user: Ints, item: Ints) -> Floats:
    return PairScores(trained, ITEMS)(torch.from_numpy(user), torch.from_numpy(item)).numpy()


ENCODERS: dict[str, Callable[[EncoderInputs, str], AbstractAnyEncoder]] = {
    "mf": lambda given, model: MF(given, width=4),
    "neumf": lambda given, model: NeuMF(given, width=4),
    "mlp": lambda given, model: VectorMLP(given, hidden=(8,), width=4),
    "bert": lambda given, model: TextTowers(given, model=model, width=4, max_tokens=16),
    "bert-history": lambda given, model: TextTowers(
        given, model=model, width=4, max_tokens=16, user=("id", "history"), history_length=2
    ),
    "hybrid": lambda given, model: Hybrid(given, model=model, width=4, max_tokens=16),
    "gru4rec": lambda given, model: GRU4Rec(given, width=4, length=3),
    "gpt4rec": lambda given, model: GPT4Rec(given, width=4, heads=2, layers=1, length=20),
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bert(tmp_path_factory.mktemp("bert")))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_the_graph_of_ids_scores_every_pair_as_the_run(name: str, wide: bool, bert: str, tmp_path: Path) -> None:
    """Items that a history holds among them: it never holds the row's own item."""
    trained = predictor(ENCODERS[name](inputs(tmp_path), bert), columns(wide=wide))
    expected = run_scores(trained, *EVERY_PAIR)
    assert graph_scores(trained, *EVERY_PAIR) == pytest.approx(expected, abs=1e-6)
    assert np.ptp(expected) > 0.01


def test_an_own_item_left_out_of_a_history_changes_the_user(bert: str, tmp_path: Path) -> None:
    """Else the test above could not tell a vector of all events from that without the row's item."""
    trained = predictor(ENCODERS["gru4rec"](inputs(tmp_path), bert), columns())
    scores = PairScores(trained, ITEMS)
    vectors: Any = scores.model.network(OUTCOME).encoder
    right = scores(*map(torch.from_numpy, EVERY_PAIR))
    vectors.recent = torch.full_like(vectors.recent, -1)
    wrong = scores(*map(torch.from_numpy, EVERY_PAIR))
    changed = set(np.flatnonzero((right - wrong).abs() > 1e-5).tolist())
    assert {divmod(k, ITEMS)[0] for k in changed} == {0, 1, 2, 3}, "whoever met something"
    assert (1, 0) in {divmod(k, ITEMS) for k in changed} and (1, 2) not in {divmod(k, ITEMS) for k in changed}


def test_effects_are_in_the_outcome_s_unit_and_classes_are_their_mean(bert: str, tmp_path: Path) -> None:
    given, numbers = inputs(tmp_path), columns()
    for arms in (2, 3):

        def head(count: int, width: int, arms: int = arms) -> TARNet:
            return TARNet(count, width, arms, width=4, arm_width=4, layers=1)

        trained = predictor(MF(given, width=4), numbers, head, "identity", CFR(), (3.0, 50.0))
        expected = run_scores(trained, *EVERY_PAIR)
        got = graph_scores(trained, *EVERY_PAIR)
        assert expected.shape == (USERS * ITEMS, arms - 1) and np.ptp(expected) > 5
        assert got == pytest.approx(expected[:, 0] if arms == 2 else expected, rel=1e-5)
    trained = predictor(MF(given, width=4), numbers, lambda f, w: Classes(f, w, num_classes=4), "softmax")
    assert graph_scores(trained, *EVERY_PAIR) == pytest.approx(means(run_scores(trained, *EVERY_PAIR)), abs=1e-6)
    assert EFFECT not in trained.model.networks


@pytest.mark.parametrize(("form", "encoder"), [("pt2", "mf"), ("onnx", "gru4rec")])
def test_a_file_scores_batches_of_any_size(form: Any, encoder: str, bert: str, tmp_path: Path) -> None:
    trained = predictor(ENCODERS[encoder](inputs(tmp_path), bert), columns(wide=True))
    path = tmp_path / f"model.{form}"
    write_graph(PairScores(trained, ITEMS), form, path)
    content = path.read_bytes()
    assert str(Path(network.__file__).parents[1]).encode() not in content, "no path of this machine"
    graph = load_graph(path.name, content)
    for count in (1, 2, USERS * ITEMS):
        pairs = EVERY_PAIR[0][:count], EVERY_PAIR[1][:count]
        assert graph(*pairs) == pytest.approx(run_scores(trained, *pairs), abs=1e-5)


class PairOfTexts(AbstractPairEncoder):
    reads_pair_text = True

    def pairs(self, batch: Batch) -> torch.Tensor:
        return torch.ones(len(batch.item), 2)


class Untraceable(AbstractPairEncoder):
    def pairs(self, batch: Batch) -> torch.Tensor:
        return torch.ones(len(batch.item), 2) * len(batch.item.tolist())


def test_what_no_graph_can_hold_is_refused_in_one_line(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="reads the texts of each pair"):
        PairScores(predictor(PairOfTexts(), columns()), ITEMS)
    with pytest.raises(RequestError, match="torch cannot trace the run's network") as caught:
        write_graph(PairScores(predictor(Untraceable(), columns()), ITEMS), "pt2", tmp_path / "model.pt2")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(network, "MOST_BYTES", 100)
    with pytest.raises(RequestError, match=r"reads histories, and 5 users x 3 events x 6 numbers .* shorter"):
        PairScores(predictor(ENCODERS["gru4rec"](inputs(tmp_path), bert), columns()), ITEMS)
    monkeypatch.setattr(network, "DENSE", 10)
    with pytest.raises(RequestError, match="a column of pairs, and 5 x 7 numbers"):
        PairScores(predictor(MF(inputs(tmp_path), width=4), columns()), ITEMS)
