"""A hybrid fuses what is there: worked weights, missing modalities, and packed fits that are those made alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import WRITERS
from torch import Tensor, nn

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.finetuning.base import AbstractFinetuning
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.finetuning.full import Full
from causalrec.encoders.fusion import Fusion, FusionRule, RowProjection, moments, present_rows
from causalrec.encoders.hybrid import Hybrid
from causalrec.encoders.text_towers import TextTowers
from causalrec.errors import RequestError
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from tests.training import test_stacked

TEXTS = ("the film of war", "love", "", "the new films")
PEOPLE = ("drama", "", "user liked the comedy")
USERS, ITEMS, WIDTH = len(PEOPLE), len(TEXTS), 3
POSTERS = np.array([[1, 5], [np.nan, np.nan], [3, 1], [0, 0]], np.float32)
SOUNDS = np.array([[2.0], [4.0], [6.0], [8.0]], np.float16)
FULL: dict[str, Any] = {"item": ("id", "text", "features", "vectors"), "user": ("id", "profile", "features")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(WRITERS["bert"](tmp_path_factory.mktemp("bert")))


def events() -> InteractionLog:
    """User 0 liked item 3 at time 5; the others met nothing."""
    unit = np.array([1], np.int64)
    return InteractionLog(3 * unit, unit, np.ones(1, np.float32), ITEMS, user=0 * unit, num_users=USERS, time=5 * unit)


def inputs(where: Path, **changes: Any) -> EncoderInputs:
    rng = np.random.default_rng(0)
    defaults = EncoderInputs(
        USERS,
        ITEMS,
        TEXTS,
        where,
        where / "cache",
        user_text=PEOPLE,
        item_features=rng.normal(size=(ITEMS, 2)).astype(np.float32),
        user_features=rng.normal(size=(USERS, 4)).astype(np.float32),
        item_vectors={"poster": POSTERS, "sound.wave": SOUNDS},
        history_log=events(),
    )
    return replace(defaults, **changes)


def hybrid(where: Path, model: str, changes: dict[str, Any] | None = None, **settings: Any) -> Hybrid:
    torch.manual_seed(0)
    return Hybrid(inputs(where, **(changes or {})), model=model, **{"width": WIDTH, "max_tokens": 30, **settings})


# --- fusion


class Fixed(nn.Module):
    """Gives the same vector for every id."""

    def __init__(self, *vector: float) -> None:
        super().__init__()
        self.register_buffer("vector", torch.tensor(vector, dtype=torch.float32))

    def forward(self, ids: Tensor) -> Tensor:
        return self.get_buffer("vector").expand(*ids.shape, -1)


BOTH, LEFT, RIGHT, NONE = 0, 1, 2, 3
THERE = torch.tensor([[True, True], [True, False], [False, True], [False, False]])


@pytest.mark.parametrize(("how", "both"), [("sum", [4.0, 6.0]), ("mean", [2.0, 3.0]), ("gated", [2.0, 3.0])])
def test_what_is_missing_takes_no_part_and_of_nothing_a_learned_vector_is_made(
    how: FusionRule, both: list[float]
) -> None:
    fusion = Fusion({"a": Fixed(1, 2), "b": Fixed(3, 4)}, THERE, 2, how)
    assert fusion.default is not None
    with torch.no_grad():
        fusion.default.copy_(torch.tensor([7.0, 8.0]))
    ids = torch.tensor([[BOTH, LEFT], [RIGHT, NONE]])
    assert fusion(ids).tolist() == [[both, [1, 2]], [[3, 4], [7, 8]]]
    fusion(ids).sum().backward()
    assert fusion.default.grad is not None and fusion.default.grad.tolist() == [1, 1], "of the one row without any"


def test_the_gate_weighs_by_the_vectors_themselves() -> None:
    fusion = Fusion({"a": Fixed(1, 2), "b": Fixed(3, 4)}, THERE, 2, "gated")
    assert fusion.gate is not None
    with torch.no_grad():
        fusion.gate.weight.copy_(torch.tensor([[0.5, 0, 0, 0], [0, 0, 0, 0.25]]))
    scores = torch.tensor([0.5 * 1, 0.25 * 4])
    weight = torch.softmax(scores, 0)
    assert torch.allclose(
        fusion(torch.tensor([BOTH]))[0], weight[0] * torch.tensor([1.0, 2]) + weight[1] * torch.tensor([3.0, 4])
    )
    assert fusion(torch.tensor([RIGHT]))[0].tolist() == [3, 4], "the only one has all the weight"
    assert fusion(torch.tensor([LEFT]))[0].tolist() == [1, 2]


def test_no_missing_row_needs_no_learned_vector_and_no_part_is_one_for_all() -> None:
    assert Fusion({"a": Fixed(1, 2)}, torch.ones(4, 1, dtype=torch.bool), 2).default is None
    empty = Fusion({}, torch.ones(4, 0, dtype=torch.bool), 2)
    assert empty(torch.tensor([[0, 1, 3]])).shape == (1, 3, 2)


def test_moments_are_those_of_the_rows_present() -> None:
    assert present_rows(POSTERS).tolist() == [True, False, True, False]
    mean, scale = moments(POSTERS)
    assert mean.tolist() == [2, 3] and np.allclose(scale, [1 / np.sqrt(2), 1 / (2 * np.sqrt(2))])
    constant = np.full((3, 4), 9, np.float16)
    assert moments(constant)[1].tolist() == [0.5] * 4, "a constant column is not divided by zero"


def test_a_row_of_vectors_is_standardised_and_projected() -> None:
    rows = RowProjection(POSTERS, 2, standardise=True)
    with torch.no_grad():
        rows.project.weight.copy_(torch.eye(2))
        rows.project.bias.zero_()
    half = 1 / np.sqrt(2)
    assert np.allclose(rows(torch.tensor([[0, 2]])).detach().numpy(), [[[-half, half], [half, -half]]])
    assert rows(torch.tensor([1])).isfinite().all()


# --- the encoder


def test_a_sum_of_id_and_text_is_the_text_towers(model: str, tmp_path: Path) -> None:
    texts = {"item_text": ("love", "drama", "war", "the new films")}
    mine = hybrid(tmp_path, model, texts, fusion="sum", item=("id", "text"), user=("id",))
    theirs = TextTowers(inputs(tmp_path, **texts), model=model, width=WIDTH, max_tokens=30)
    names = {
        "item_side.modalities.id": "item_table",
        "item_side.modalities.text": "item_text",
        "user_side.modalities.id": "user_table",
    }
    state: dict[str, Tensor] = dict(mine.state_dict())
    for prefix, other in names.items():
        state = {
            (other + name.removeprefix(prefix) if name.startswith(prefix) else name): v for name, v in state.items()
        }
    theirs.load_state_dict(state)
    ids = torch.tensor([0, 3, 3])
    batch = inference_batch(np.array([0, 1, 2]), np.array([0, 1, 2]), test_stacked.view(0))
    assert torch.equal(mine.items(ids), theirs.items(ids)) and torch.equal(mine.users(batch), theirs.users(batch))


def test_by_itself_it_reads_all_the_view_gives(model: str, tmp_path: Path) -> None:
    encoder = hybrid(tmp_path, model)
    assert list(encoder.item_side.modalities) == ["id", "text", "features", "vectors0", "vectors1"]
    assert list(encoder.user_side.modalities) == ["id", "profile", "features"]
    assert not encoder.reads_time and encoder.vectorizable
    bare = {"item_text": (), "user_text": (), "item_features": None, "user_features": np.zeros((USERS, 0), np.float32)}
    least = hybrid(tmp_path, "no model is looked for", {**bare, "item_vectors": {}})
    assert (list(least.item_side.modalities), list(least.user_side.modalities)) == (["id"], ["id"])
    assert least.language_size == 0 < encoder.language_size


def test_an_empty_text_and_a_missing_vector_change_nothing(model: str, tmp_path: Path) -> None:
    encoder = hybrid(tmp_path, model)
    there = encoder.item_side.get_buffer("present")
    assert there[:, 1].tolist() == [True, True, False, True], "text"
    assert there[:, 3].tolist() == [True, False, True, False], "poster: NaN, zeros"
    assert there[:, 4].tolist() == [True] * 4
    assert encoder.user_side.get_buffer("present")[:, 1].tolist() == [True, False, True]
    assert find_moved_items(encoder, "text") == [True, True, False, True]
    assert find_moved_items(encoder, "vectors0") == [True, False, True, False]


def find_moved_items(encoder: Hybrid, modality: str) -> list[bool]:
    """Which items change with a part's bias."""
    before = encoder.items(torch.arange(ITEMS))
    with torch.no_grad():
        encoder.get_parameter(f"item_side.modalities.{modality}.project.bias").add_(1.0)
    is_moved: list[bool] = (encoder.items(torch.arange(ITEMS)) != before).any(1).tolist()
    return is_moved


def test_gradients_reach_every_modality_and_no_language_model(model: str, tmp_path: Path) -> None:
    encoder = hybrid(tmp_path, model)
    batch = inference_batch(np.array([0, 1, 2, 0]), np.arange(4), test_stacked.view(0))
    (encoder.users(batch) * encoder.items(batch.item)).square().sum().backward()
    assert [name for name, value in encoder.named_parameters() if value.grad is None or not value.grad.any()] == []
    tuned = hybrid(tmp_path, model, {"finetuning": Full()})
    assert not tuned.vectorizable
    assert tuned.rates().keys() <= {name for name, _ in tuned.named_parameters(remove_duplicate=False)} != set()


def test_a_history_is_the_fused_items_met_and_absent_where_nothing_was_met(model: str, tmp_path: Path) -> None:
    encoder = hybrid(tmp_path, model, user=("id", "history"))
    assert encoder.reads_time and not encoder.vectorizable and encoder.history is not None
    batch = inference_batch(np.array([0, 1, 0]), np.array([1, 1, 3]), test_stacked.view(0))
    id_vectors = encoder.user_side.modalities["id"](torch.tensor([0, 1, 0]))
    met = encoder.item_side(torch.tensor([3]))[0]
    expected = torch.stack(
        [(id_vectors[0] + met) / 2, id_vectors[1], id_vectors[2]]
    )  # the last row is of the item met itself
    assert torch.allclose(encoder.users(batch)[:, : WIDTH + 1], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"item_text": ("",) * ITEMS}, {"item": ("id", "text")}, r"encoder\.item=\['id', 'text'\]: .* no text of"),
        ({"user_text": ()}, {"user": ("profile",)}, "no profile of the user; .*user_text"),
        ({"item_vectors": {}}, {"item": ("vectors",)}, "no vectors of the item; name a file under dataset.vec"),
        ({"user_features": None}, {"user": ("features",)}, "no features of the user"),
        ({"num_items": 0}, {"item": ("id",)}, "no id of the item; add item -> outcome"),
        ({"history_log": None}, {"user": ("history",)}, "histories need users"),
        ({"finetuning": Full()}, {"item": ("id",), "user": ("id",)}, "nothing to tune"),
    ],
)  # fmt: skip
def test_what_is_asked_for_must_be_in_the_view(
    model: str, tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        hybrid(tmp_path, model, changes, **settings)
    assert "\n" not in str(caught.value)


def test_a_log_without_users_has_one_vector_for_all(model: str, tmp_path: Path) -> None:
    nobody = {"num_users": 0, "user_text": (), "user_features": np.zeros((1, 0), np.float32), "history_log": None}
    encoder = hybrid(tmp_path, model, nobody)
    batch = replace(inference_batch(np.zeros(3, np.int64), np.arange(3), test_stacked.view(0)), user=None)
    assert encoder.users(batch).shape == encoder.items(batch.item).shape == (3, WIDTH + 2)


# --- packed fits


def fit_request(where: Path, model: str, finetuning: AbstractFinetuning | None = None, **settings: Any) -> FitRequest:
    """A small task of test_stacked with this encoder, some of whose texts and vectors are missing."""
    rng, counts = np.random.default_rng(1), (test_stacked.USERS, test_stacked.ITEMS)
    posters = rng.normal(size=(counts[1], 5)).astype(np.float32)
    posters[[2, 5]] = np.nan
    encoder_inputs = inputs(
        where,
        num_users=counts[0],
        num_items=counts[1],
        item_text=tuple(TEXTS[k % ITEMS] for k in range(counts[1])),
        user_text=tuple(PEOPLE[k % USERS] for k in range(counts[0])),
        item_features=rng.normal(size=(counts[1], 2)).astype(np.float32),
        user_features=rng.normal(size=(counts[0], 3)).astype(np.float32),
        item_vectors={"poster": posters},
        finetuning=finetuning or Frozen(),
    )

    def network() -> CausalModel:
        networks = {
            role: RoleNetwork(
                Hybrid(encoder_inputs, model=model, max_tokens=30, width=3, **settings),
                Dot(len(test_stacked.VIEW)),
                ROLE_INPUTS.get(role, "pair"),
            )
            for role in DRJL().roles
        }
        return CausalModel(networks, "logit")

    return test_stacked.task(where / "fit", DRJL(), model=network)


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [{"fusion": how} for how in ("gated", "mean", "sum")] + [{"item": ("text", "vectors"), "user": ("profile",)}],
    ids=["gated", "mean", "sum", "some rows have nothing"],
)
def test_packed_fits_are_those_made_alone(model: str, tmp_path: Path, settings: dict[str, Any]) -> None:
    request = fit_request(tmp_path, model, **settings)
    assert reason_to_fit_alone(request) is None
    requests = [replace(request, seed=seed, folder=tmp_path / str(seed)) for seed in (0, 1)]
    for mine, other in zip(fit_stacked(requests, lambda size: 9), [request.fit() for request in requests], strict=True):
        assert test_stacked.largest(mine.state, other.state) < 1e-8


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("tuned", [False, True], ids=["frozen", "full"])
def test_fits_run_in_every_precision(model: str, tmp_path: Path, precision: Any, tuned: bool) -> None:
    settings = TrainerSettings(progress=False, max_epochs=1, limit_batches=2, precision=precision)
    request = replace(fit_request(tmp_path, model, finetuning=Full(lr=1e-3) if tuned else Frozen()), trainer=settings)
    start, fit = request.fresh_model().state_dict(), request.fit()
    moved = {n for n, value in start.items() if not torch.equal(value, fit.state[f"model.{n}"].to(value.dtype))}
    assert any("tuned" in name for name in moved) == tuned and any("gate" in name for name in moved)
    assert np.isfinite(fit.criterion) and all(value.isfinite().all() for value in fit.state.values())
    assert (reason_to_fit_alone(replace(request, trainer=replace(settings, precision="32-true"))) is None) != tuned
