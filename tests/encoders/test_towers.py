"""Towers that read text: what their vectors are made of, and that each distinct text of a step is read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusal import assert_refused
from tiny_models import LAYERS, WRITERS
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.finetuning.adalora import AdaLoRA
from causalrec.encoders.finetuning.base import AbstractFinetuning
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.finetuning.full import Full
from causalrec.encoders.finetuning.last_layers import LastLayers
from causalrec.encoders.finetuning.lora import LoRA
from causalrec.encoders.language.batching import batches
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.text_projection import TextProjection, size_of
from causalrec.encoders.text_towers import HistoryPooling, TextTowers
from causalrec.encoders.trainable_text import TrainableText
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Batch
from tests.training import test_stacked

TEXTS = (
    "the film of war",
    "love",
    "a comedy about the old city and the new city and the old film of love",
    "drama",
    "the new films",
    "love",  # two items with one text
    "",
)
PEOPLE = ("user liked the comedy", "drama", "user liked the comedy", "")
USERS, ITEMS, WIDTH = len(PEOPLE), len(TEXTS), 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def inputs_of(cache: Path, finetuning: AbstractFinetuning | None = None, **changes: Any) -> EncoderInputs:
    defaults = EncoderInputs(
        USERS, ITEMS, TEXTS, cache / "data", cache, user_text=PEOPLE, finetuning=finetuning or Frozen()
    )
    return replace(defaults, history_log=history_log(), **changes)


def history_log() -> InteractionLog:
    """User 0 liked item 0 and then disliked item 3; user 1 liked item 2; the others met nothing."""
    columns = [np.array(column, np.int64) for column in ([0, 3, 2], [1, 1, 1], [0, 0, 1], [5, 6, 5])]
    item, treatment, user, time = columns
    outcome = np.array([1, 0, 1], np.float32)
    return InteractionLog(
        item=item, treatment=treatment, outcome=outcome, num_items=ITEMS, user=user, num_users=USERS, time=time
    )


def text_towers(folder: Path, cache: Path, finetuning: AbstractFinetuning | None = None, **settings: Any) -> TextTowers:
    torch.manual_seed(0)
    return TextTowers(inputs_of(cache, finetuning), model=str(folder), **{"max_tokens": 30, "width": WIDTH, **settings})


def text_projection(
    folder: Path, cache: Path, finetuning: AbstractFinetuning | None = None, **settings: Any
) -> TextProjection:
    defaults = {"model": str(folder), "pooling": "mean", "max_tokens": 30, "layers": None, "precision": "float32"}
    torch.manual_seed(0)
    return TextProjection(TEXTS, inputs_of(cache, finetuning), **{**defaults, "width_out": 4, **settings})


def view() -> FeatureMatrix:
    none = [np.zeros((count, 0), np.float32) for count in (USERS, ITEMS)]
    return FeatureMatrix((), ("user", "item"), *none, ())


def batch(user: list[int], item: list[int]) -> Batch:
    return inference_batch(np.array(user), np.array(item), view())


def randomise(module: Any) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and not any(parameter is p for p in language_parameters(module)):
                parameter.normal_()
    return module


def language_parameters(module: Any) -> list[torch.nn.Parameter]:
    tuned = [model for model in module.modules() if type(model).__name__ == "FineTunedModel"]
    return [parameter for model in tuned for parameter in model.model.parameters()]


def project_text(projection: TextProjection, vectors: Tensor) -> Tensor:
    return vectors @ projection.project.weight.T + projection.project.bias


# --- one tower


@pytest.mark.parametrize(
    ("model", "pooling"), [(m, p) for m in WRITERS for p in ("mean", "last", "cls") if p != "cls" or "bert" in m]
)
def test_read_live_the_vectors_are_the_cached_ones(
    folders: dict[str, Path], tmp_path: Path, model: str, pooling: str
) -> None:
    cached = text_projection(folders[model], tmp_path, pooling=pooling)
    live = text_projection(folders[model], tmp_path, Full(), pooling=pooling).eval()
    assert cached.is_fixed and not live.is_fixed and not list(language_parameters(cached))
    ids = torch.tensor([[6, 0, 2], [1, 5, 3]])
    live.project.load_state_dict(cached.project.state_dict())
    expected = project_text(cached, torch.from_numpy(np.array(embeddings_of(folders[model], tmp_path, pooling)))[ids])
    torch.testing.assert_close(cached(ids), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(live(ids), expected, atol=1e-5, rtol=0)  # with gradients
    with torch.inference_mode():
        torch.testing.assert_close(live(ids), expected, atol=1e-5, rtol=0)


def embeddings_of(folder: Path, cache: Path, pooling: Any) -> np.ndarray:
    return embeddings(TEXTS, folder, pooling=pooling, max_tokens=30, cache=cache)


def record_token_ids(encoder: Any) -> list[Tensor]:
    """Token ids of each pass through the language model."""
    seen: list[Tensor] = []
    for module in encoder.modules():
        if type(module).__name__ == "FineTunedModel":
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    return seen


def texts_read(seen: list[Tensor]) -> int:
    return sum(len(ids) for ids in seen)


def test_each_distinct_text_of_a_call_is_read_once_and_trimmed(folders: dict[str, Path], tmp_path: Path) -> None:
    projection = text_projection(folders["bert"], tmp_path, LoRA())
    seen = record_token_ids(projection)
    projection(torch.tensor([1, 5, 1, 1, 5, 3]))
    assert texts_read(seen) == 2, "items 1 and 5 have one text"
    tokens = AutoTokenizer.from_pretrained(folders["bert"])(["love", "drama"])["input_ids"]
    assert [ids.shape[1] for ids in seen] == [max(map(len, tokens))]


def test_without_gradients_a_text_is_read_again_only_after_a_step(folders: dict[str, Path], tmp_path: Path) -> None:
    projection = text_projection(folders["bert"], tmp_path, LoRA()).eval()
    seen = record_token_ids(projection)
    with torch.inference_mode():
        first = projection(torch.arange(4))
        assert texts_read(seen) == 4
        again = projection(torch.arange(ITEMS))
    assert texts_read(seen) == len(set(TEXTS)) and torch.equal(first, again[:4])
    with torch.no_grad():  # not the inference mode the vectors were made in
        assert torch.equal(projection(torch.arange(ITEMS)), again)
    optimizer = torch.optim.AdamW([p for p in projection.parameters() if p.requires_grad], lr=0.1, fused=True)
    for _ in range(2):
        projection.train()(torch.arange(ITEMS)).sum().backward()
        optimizer.step()
    before = texts_read(seen)
    projection.eval()
    with torch.inference_mode():
        fresh = projection(torch.arange(ITEMS))
    assert texts_read(seen) == before + len(set(TEXTS))
    assert not torch.equal(fresh, again)
    torch.testing.assert_close(fresh, projection(torch.arange(ITEMS)), atol=1e-6, rtol=0)


def test_what_is_read_ahead_is_not_read_again(folders: dict[str, Path], tmp_path: Path) -> None:
    projection, apart = (text_projection(folders["bert"], tmp_path, Full()).eval() for _ in range(2))
    seen = record_token_ids(projection)
    first, second = torch.tensor([0, 1]), torch.tensor([1, 3])
    vectors = projection(first, prefetch_ids=second), projection(second)
    assert texts_read(seen) == 3
    expected = apart(first), apart(second)
    for vector, other in zip(vectors, expected, strict=True):
        torch.testing.assert_close(vector, other, atol=1e-6, rtol=0)
    sum(vector.square().sum() for vector in vectors).backward()  # type: ignore[union-attr]
    sum(vector.square().sum() for vector in expected).backward()  # type: ignore[union-attr]
    for mine, other in zip(projection.parameters(), apart.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-4)
    projection(second)
    assert texts_read(seen) == 5, "what was kept is kept for one call"


def test_nothing_read_before_a_step_is_used_after_it(folders: dict[str, Path], tmp_path: Path) -> None:
    projection = text_projection(folders["bert"], tmp_path, Full()).eval()
    ids = torch.tensor([0, 1])
    projection(ids, prefetch_ids=ids).sum().backward()
    with torch.no_grad():
        for parameter in projection.parameters():
            parameter.mul_(1.5)
    vectors = projection(ids)
    torch.testing.assert_close(vectors, projection(ids))


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_batches_of_like_length_change_no_vector(
    folders: dict[str, Path], tmp_path: Path, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncut = text_projection(folders["gpt2"], tmp_path, Full(), pooling=pooling).eval()
    cut = text_projection(folders["gpt2"], tmp_path, Full(), pooling=pooling).eval()
    monkeypatch.setattr("causalrec.encoders.trainable_text.PADDING_PER_BATCH", {"cpu": 1 << 20})
    seen, expected = record_token_ids(uncut), uncut(torch.arange(ITEMS))
    assert len(seen) == 1
    monkeypatch.setattr("causalrec.encoders.trainable_text.PADDING_PER_BATCH", {"cpu": 0})
    seen = record_token_ids(cut)
    torch.testing.assert_close(cut(torch.arange(ITEMS)), expected, atol=1e-5, rtol=0)
    assert len(seen) > 1


def test_read_ahead_and_never_asked_for_is_dropped_by_a_step_of_a_fused_optimizer(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    encoder = text_towers(folders["bert"], tmp_path, Full(lr=0.1), user=("history",))
    module: Any = CausalRecModule(CausalModel({OUTCOME: RoleNetwork(encoder, Dot(0))}, "logit"), Naive(), AdamW(lr=0.1))
    (optimizer,) = module.configure_optimizers()
    rows = batch([0, 1], [6, 3])
    encoder.users(rows).sum().backward()  # reads the batch's items ahead
    optimizer.step()
    fresh = text_towers(folders["bert"], tmp_path, Full(), user=("history",))
    fresh.load_state_dict(encoder.state_dict())
    encoder.eval(), fresh.eval()
    torch.testing.assert_close(encoder.items(rows.item), fresh.items(rows.item))


@pytest.mark.parametrize("worth", [0, 3, 1000])
@pytest.mark.parametrize("most", [1, 12, 1000])
def test_batches_are_all_of_the_texts_in_order_and_small(worth: int, most: int) -> None:
    lengths = sorted([1, 1, 2, 2, 2, 5, 9, 9, 30])
    slices = list(batches(lengths, most, worth))
    assert [k for rows in slices for k in range(rows.start, rows.stop)] == list(range(len(lengths)))
    for rows in slices:
        inside = lengths[rows]
        assert len(inside) == 1 or max(inside) * len(inside) <= most
        assert max(inside) * len(inside) - sum(inside) <= worth


def test_an_empty_text_is_absent_but_finite(folders: dict[str, Path], tmp_path: Path) -> None:
    for finetuning in (Frozen(), Full()):
        projection = text_projection(folders["llama"], tmp_path, finetuning)
        assert projection.get_buffer("present").tolist() == [True] * 6 + [False]
        assert projection(torch.tensor([6])).isfinite().all()


def test_no_text_at_all_is_an_empty_tensor(folders: dict[str, Path], tmp_path: Path) -> None:
    for finetuning in (Frozen(), Full()):
        assert text_projection(folders["bert"], tmp_path, finetuning)(torch.zeros(2, 0, dtype=torch.int64)).shape == (
            2,
            0,
            4,
        )


def test_the_model_is_counted_the_same_from_its_files_and_at_hand(folders: dict[str, Path], tmp_path: Path) -> None:
    for name, folder in folders.items():
        for layers in (None, 1):
            live = text_projection(folder, tmp_path, LoRA(), layers=layers)
            assert live.size == text_projection(folder, tmp_path, layers=layers).size == size_of(folder, layers), name
            frozen = sum(p.numel() for p in language_parameters(live) if not p.requires_grad)
            assert frozen == live.size


def test_a_fit_knows_another_model_tuning_or_text_by_its_repr(folders: dict[str, Path], tmp_path: Path) -> None:
    other = WRITERS["bert"](tmp_path / "other", seed=1)
    bert = folders["bert"]
    projections = [
        text_projection(bert, tmp_path),
        text_projection(other, tmp_path),
        text_projection(bert, tmp_path, pooling="cls"),
        text_projection(bert, tmp_path, Full()),
        text_projection(other, tmp_path, Full()),
        text_projection(bert, tmp_path, Full(lr=1e-3)),
        TextProjection(
            TEXTS[::-1],
            inputs_of(tmp_path),
            model=str(bert),
            pooling="mean",
            max_tokens=30,
            layers=None,
            precision="float32",
            width_out=4,
        ),
    ]
    assert len({str(projection) for projection in projections}) == len(projections)
    assert str(text_projection(bert, tmp_path)) == str(projections[0])


@pytest.mark.parametrize("finetuning", [Frozen(), LoRA()], ids=lambda finetuning: type(finetuning).__name__)
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_all_it_needs_moves_with_it(
    folders: dict[str, Path], tmp_path: Path, finetuning: AbstractFinetuning, pooling: Any
) -> None:
    projection = text_projection(folders["bert"], tmp_path, finetuning, pooling=pooling).to("meta")
    assert {value.device.type for value in [*projection.parameters(), *projection.buffers()]} == {"meta"}


# --- item vectors


def test_items_are_ids_plus_projected_text_and_the_text_is_frozen(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = randomise(text_towers(folders["bert"], tmp_path))
    text = torch.from_numpy(np.array(embeddings_of(folders["bert"], tmp_path, "mean")))
    ids = torch.tensor([4, 0])
    plain = encoder.item_table(ids) + project_text(encoder.item_text, text[ids])
    vectors = encoder.items(ids)
    torch.testing.assert_close(vectors[:, :WIDTH], plain[:, :WIDTH])
    torch.testing.assert_close(vectors[:, -1], plain[:, WIDTH])
    assert (vectors[:, WIDTH] == 1).all()
    tables = {f"{side}_table.{name}" for side in ("user", "item") for name in ("vectors", "bias")}
    names = {*tables, "item_text.project.weight", "item_text.project.bias"}
    assert (
        {name for name, _ in encoder.named_parameters()} == names == set(encoder.state_dict())
    )  # no copy of the cache
    assert encoder.vectorizable and not encoder.reads_time and not encoder.rates()


def test_the_product_of_the_towers_is_p_q_plus_both_biases(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder, rows = (
        randomise(text_towers(folders["bert"], tmp_path, user=("id", "profile"))),
        batch([0, 1, 3], [2, 0, 6]),
    )
    user = encoder.user_table(rows.user) + encoder.profile(rows.user)
    item = encoder.item_table(rows.item) + encoder.item_text(rows.item)
    product = (encoder.users(rows) * encoder.items(rows.item)).sum(-1)
    expected = (user[:, :WIDTH] * item[:, :WIDTH]).sum(1) + user[:, WIDTH] + item[:, WIDTH]
    torch.testing.assert_close(product, expected)


def test_without_item_ids_items_of_one_text_are_one_and_others_differ(folders: dict[str, Path], tmp_path: Path) -> None:
    for encoder in (
        TextTowers(inputs_of(tmp_path, num_items=0), model=str(folders["bert"]), max_tokens=30),
        text_towers(folders["bert"], tmp_path, item=("text",)),
    ):
        vectors = encoder.items(torch.arange(ITEMS))
        assert torch.equal(vectors[1], vectors[5])
        assert len(torch.unique(vectors, dim=0)) == len(set(TEXTS))


@pytest.mark.parametrize("model", WRITERS)
def test_layers_and_pooling_are_those_asked_for(folders: dict[str, Path], tmp_path: Path, model: str) -> None:
    encoder = text_towers(folders[model], tmp_path, pooling="last", layers=1, item=("text",))
    plain, tokens = AutoModel.from_pretrained(folders[model]).eval(), AutoTokenizer.from_pretrained(folders[model])
    stack = next(m for m in plain.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == LAYERS)
    del stack[1]
    plain.config.num_hidden_layers = 1
    with torch.no_grad():
        ids = tokens(TEXTS[0], return_tensors="pt")["input_ids"]
        hidden = plain(input_ids=ids).last_hidden_state[0, -1]
    vector = project_text(encoder.item_text, torch.nn.functional.normalize(hidden, dim=0))  # type: ignore[arg-type]
    torch.testing.assert_close(encoder.items(torch.tensor([0]))[0, :WIDTH], vector[:WIDTH], atol=1e-5, rtol=0)


# --- user vectors


def test_a_profile_is_the_projected_text_of_the_user(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder, rows = text_towers(folders["bert"], tmp_path, user=("profile",)), batch([0, 1, 2, 3], [0, 0, 0, 0])
    text = embeddings(PEOPLE, folders["bert"], pooling="mean", max_tokens=30, cache=tmp_path)
    expected = project_text(encoder.profile, torch.from_numpy(np.array(text)))  # type: ignore[arg-type]
    torch.testing.assert_close(encoder.users(rows)[:, : WIDTH + 1], expected)
    assert encoder.vectorizable and torch.equal(encoder.users(rows)[0], encoder.users(rows)[2])


def test_a_history_tells_what_was_liked_and_what_was_not(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = randomise(text_towers(folders["bert"], tmp_path, user=("history",)))
    rows = batch([0, 0, 1, 2], [6, 3, 6, 6])
    text = encoder.item_text(torch.arange(ITEMS))
    (disliked, liked), (no, yes) = encoder.history.gain, encoder.history.shift
    first, second = text[0] * liked + yes, text[3] * disliked + no
    expected = [(first + second) / 2, first, text[2] * liked + yes, torch.zeros(WIDTH + 1)]  # not the row's own item
    torch.testing.assert_close(encoder.users(rows)[:, : WIDTH + 1], torch.stack(expected))
    early = encoder.users(replace(rows, time=torch.tensor([5, 6, 5, 9])))[:, : WIDTH + 1]
    torch.testing.assert_close(early[:3], torch.stack([torch.zeros(WIDTH + 1), first, torch.zeros(WIDTH + 1)]))
    assert encoder.reads_time and not encoder.vectorizable and encoder.rows_at_once < 1 << 18


def test_user_parts_add_up(folders: dict[str, Path], tmp_path: Path) -> None:
    rows = batch([0, 1, 2, 3], [4, 4, 4, 4])
    every = randomise(text_towers(folders["bert"], tmp_path, user=("id", "history", "profile")))
    item = every.item_text(torch.where((h := every.history.histories(rows)).mask, h.items, 0))
    expected = every.user_table(rows.user) + every.profile(rows.user) + every.history(h, item)
    torch.testing.assert_close(every.users(rows)[:, : WIDTH + 1], expected)


def test_attention_over_a_history_starts_as_the_mean_and_reads_no_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    mean, attended = (HistoryPooling(inputs_of(tmp_path), 4, WIDTH, how) for how in ("mean", "attention"))  # type: ignore[arg-type]
    history, vectors = mean.histories(batch([0, 1, 2], [6, 6, 6])), torch.randn(3, 4, WIDTH)
    torch.testing.assert_close(attended(history, vectors), mean(history, vectors))
    query = torch.randn(WIDTH)
    with torch.no_grad():
        attended.query.copy_(query)  # type: ignore[union-attr]
    event_vectors = torch.stack([vectors[0, 2] * attended.gain[1], vectors[0, 3] * attended.gain[0]])
    weight = (event_vectors @ query / WIDTH**0.5).softmax(0)
    torch.testing.assert_close(attended(history, vectors)[0], weight @ event_vectors)
    spoilt = torch.where(history.mask.unsqueeze(-1), vectors, 1e6)
    torch.testing.assert_close(attended(history, spoilt), attended(history, vectors))
    assert not attended(history, vectors)[2].any()


def test_history_and_batch_are_read_together_and_the_profile_by_the_same_model(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    encoder = text_towers(folders["bert"], tmp_path, LoRA(), user=("history", "profile"))
    assert (
        encoder.item_text is not None
        and encoder.profile is not None
        and encoder.item_text.tuned is encoder.profile.tuned
    )
    assert not any(name.startswith("profile.reader") for name in encoder.state_dict()), "one model is written once"
    assert set(encoder.rates()) <= {name for name, _ in encoder.named_parameters()}
    network, seen = RoleNetwork(encoder, Dot(0)), record_token_ids(encoder)
    network(batch([0, 0, 1], [6, 3, 0]))
    assert texts_read(seen) == 4 + 2, "items 0, 2, 3, 6; the profiles of users 0 and 1"


def test_a_role_of_the_user_alone_and_one_after_it_are_not_mixed_up(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = text_towers(folders["bert"], tmp_path, Full(), user=("history",))
    network = RoleNetwork(encoder, Dot(0), "user")
    for _ in range(2):
        network(batch([0, 1], [6, 3])).sum().backward()
    assert encoder.item_text is not None and isinstance(encoder.item_text.reader, TrainableText)


def test_predictions_in_chunks_are_those_at_once(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = randomise(text_towers(folders["gpt2"], tmp_path, LoRA(), user=("id", "history")))
    model = CausalModel({OUTCOME: RoleNetwork(encoder, Dot(0))}, "logit")
    user, item = np.arange(USERS * ITEMS) // ITEMS, np.arange(USERS * ITEMS) % ITEMS
    predicted = model.predict(user, item, view(), Naive())
    with torch.no_grad():
        raw = model(inference_batch(user, item, view()))[OUTCOME]
    np.testing.assert_allclose(predicted, torch.sigmoid(raw).numpy(), rtol=1e-5)
    encoder.rows_at_once, seen = 3, record_token_ids(encoder)
    np.testing.assert_allclose(model.predict(user, item, view(), Naive()), predicted, rtol=1e-5)
    assert texts_read(seen) == 0, "all texts are known since the first prediction"


# --- requests


@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("texts", [(), ("", " ", "")])
def test_without_text_the_request_is_refused_before_the_model_is_looked_for(
    tmp_path: Path, side: str, texts: tuple[str, ...]
) -> None:
    inputs = inputs_of(tmp_path, **{f"{side}_text": texts})
    settings: dict[str, Any] = {"item": ("id", "text"), "user": ("profile",)}
    assert_refused(
        lambda: TextTowers(inputs, model="nowhere/at-all", **settings),
        f"no {side} text is left in the outcome view",
        f"encoder.{side}=[id]",
    )


@pytest.mark.parametrize("finetuning", [Frozen(), Full()], ids=lambda finetuning: type(finetuning).__name__)
def test_the_first_token_of_a_decoder_is_refused(
    folders: dict[str, Path], tmp_path: Path, finetuning: AbstractFinetuning
) -> None:
    assert_refused(
        lambda: text_towers(folders["gpt2"], tmp_path, finetuning, pooling="cls"), "encoder.pooling=cls", "decoder"
    )


def test_a_history_without_users_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    assert_refused(
        lambda: TextTowers(
            replace(inputs, history_log=None), model=str(folders["bert"]), max_tokens=30, user=("history",)
        ),
        "histories need users",
    )


# --- fits


def fit_request(
    folder: Path, where: Path, objective: Any, finetuning: AbstractFinetuning | None = None, **changes: Any
) -> FitRequest:
    """A small task of test_stacked with this encoder."""
    texts = [TEXTS[k % ITEMS] or "new" for k in range(test_stacked.ITEMS)]
    people = [PEOPLE[k % USERS] or "old" for k in range(test_stacked.USERS)]
    counts = (test_stacked.USERS, test_stacked.ITEMS, tuple(texts))
    settings = changes.pop("encoder", {})
    encoder_inputs = EncoderInputs(
        *counts, where, where / "cache", user_text=tuple(people), finetuning=finetuning or Frozen()
    )

    def model() -> CausalModel:
        networks = {
            role: RoleNetwork(
                TextTowers(encoder_inputs, model=str(folder), max_tokens=30, width=3, **settings),
                Dot(len(test_stacked.VIEW)),
                ROLE_INPUTS.get(role, "pair"),
            )
            for role in objective.roles
        }
        return CausalModel(networks, "logit")

    return test_stacked.task(where / "fit", objective, model=model, **changes)


def test_frozen_towers_stack_and_come_to_the_weights_of_fits_made_alone(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    changes = {"encoder": {"user": ("id", "profile"), "item": ("id", "text")}}
    requests = [replace(fit_request(folders["bert"], tmp_path, DRJL(), **changes), seed=seed) for seed in (0, 1)]
    requests = [replace(request, folder=tmp_path / str(request.seed)) for request in requests]
    assert reason_to_fit_alone(requests[0]) is None
    packed, alone = fit_stacked(requests, lambda size: 9), [request.fit() for request in requests]
    for mine, other in zip(packed, alone, strict=True):
        assert test_stacked.largest(mine.state, other.state) < 1e-8
    reason = reason_to_fit_alone(fit_request(folders["bert"], tmp_path, DRJL(), LoRA()))
    assert reason is not None and reason.startswith("TextTowers does not stack, nor by vmap: ") and "\n" not in reason


@pytest.mark.parametrize(
    "precision",
    ["bf16-mixed", *(pytest.param(precision, marks=pytest.mark.long) for precision in ("32-true", "64-true"))],
)
@pytest.mark.parametrize("finetuning", [Frozen(), Full(lr=1e-3), LoRA(), LastLayers()], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("model", ["bert", "gpt2"])
def test_fits_run_in_every_precision(
    folders: dict[str, Path], tmp_path: Path, model: str, finetuning: AbstractFinetuning, precision: Any
) -> None:
    settings = TrainerSettings(progress=False, max_epochs=1, limit_batches=2, precision=precision)
    pooling = {"encoder": {"pooling": "attention"}}
    request = fit_request(folders[model], tmp_path, DRJL(), finetuning, trainer=settings, **pooling)
    start, fit = request.fresh_model().state_dict(), request.fit()
    moved = {n for n, value in start.items() if not torch.equal(value, fit.state[f"model.{n}"].to(value.dtype))}
    assert any("tuned" in name for name in moved) == finetuning.trains and any("project" in name for name in moved)
    assert np.isfinite(fit.criterion) and all(value.isfinite().all() for value in fit.state.values())


class Stopped(Exception):
    """Ends a fit from within."""


@pytest.mark.long
@pytest.mark.parametrize("name", ["lora", "adalora", "last_layers"])
def test_a_tuned_fit_stopped_in_mid_epoch_goes_on_to_the_same_bits(
    folders: dict[str, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = AdaLoRA(rank=3, final_rank=1, steps=40, warmup=2, final=5, every=2, lr=1e-2)
    tunings = {"lora": LoRA(lr=1e-2, dropout=0.2), "adalora": schedule, "last_layers": LastLayers(count=1, lr=1e-3)}
    settings = TrainerSettings(progress=False, max_epochs=3, patience=3, checkpoint_steps=1)
    changes = {"trainer": settings, "encoder": {"user": ("id", "profile")}}
    request = fit_request(folders["bert"], tmp_path, DRJL(), tunings[name], **changes)
    request = replace(request, sampler=Balanced(batch_size=8))
    unbroken = replace(request, folder=tmp_path / "whole").fit()
    real, left = CausalRecModule.training_step, [0]

    def count_step(self: CausalRecModule, rows: Batch, batch_index: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stopped
        real(self, rows, batch_index)

    monkeypatch.setattr(CausalRecModule, "training_step", count_step)
    left[0] = 18  # of 12 steps an epoch
    with pytest.raises(Stopped):
        replace(request, folder=tmp_path / "cut").fit()
    left[0] = 0
    resumed = replace(request, folder=tmp_path / "cut").fit()
    assert left[0] == -(3 * 12 - 17)
    assert test_stacked.largest(resumed.state, unbroken.state) == 0
    assert (resumed.curve, resumed.criterion) == (unbroken.curve, unbroken.criterion)
    tuned_names = [name for name in unbroken.state if ".tuned." in name]
    assert tuned_names and not any("embeddings" in name for name in tuned_names), "frozen weights are not written"
