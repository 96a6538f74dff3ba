"""BERT4Rec, GPT4Rec and GRU4Rec: what their vectors depend on, and what they must not depend on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_history import batch_of
from tiny_models import WIDTH as TEXT_WIDTH
from tiny_models import write_bert
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.bert4rec import BERT4Rec
from causalrec.encoders.gpt4rec import GPT4Rec
from causalrec.encoders.gru4rec import GRU4Rec
from causalrec.encoders.history import PAD, History
from causalrec.errors import RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME, UNLOGGED_TIME, Batch

USERS, ITEMS, WIDTH, LENGTH = 6, 9, 8, 5
TEXTS = ("the film of war", "love", "drama", "the city", "love", "old", "new", "a comedy", "the drama of love")

either = pytest.mark.parametrize("kind", [BERT4Rec, GPT4Rec])
each = pytest.mark.parametrize("kind", [BERT4Rec, GPT4Rec, GRU4Rec])
causal = pytest.mark.parametrize("kind", [GPT4Rec, GRU4Rec])


def log_of() -> InteractionLog:
    """Users 0 to 3 met items 1 to 4, one a second, user 4 seven items, user 5 none; item 0 was met by user 4 alone."""
    rows = [(u, i, i, (u + i) % 2) for u in range(4) for i in range(1, 5 - u % 2)] + [(4, i, i, 1) for i in range(7)]
    user, item, time, outcome = np.array(rows).T
    return InteractionLog(
        user=user,
        item=item,
        time=time,
        treatment=np.ones(len(rows), np.int64),
        outcome=outcome.astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
    )


def inputs(**changes: Any) -> EncoderInputs:
    return dataclasses.replace(EncoderInputs(USERS, ITEMS, (), Path(), Path(), history_log=log_of()), **changes)


def build_encoder(kind: type[Any], seed: int = 0, given: EncoderInputs | None = None, **settings: Any) -> Any:
    """An encoder without dropout whose every parameter is large enough to be seen."""
    torch.manual_seed(seed)
    encoder = kind(given or inputs(), **{"width": WIDTH, "length": LENGTH, **settings}).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return encoder


def late_batch(*users: int, item: int = 8) -> Batch:
    return batch_of(list(users), [item] * len(users), [UNLOGGED_TIME] * len(users))


@each
def test_the_product_of_the_towers_is_p_q_plus_both_biases(kind: Any) -> None:
    encoder, ids = build_encoder(kind), torch.tensor([[0, 8], [3, 3]])
    item = encoder.items(ids)
    torch.testing.assert_close(item[..., :WIDTH], encoder.sequence.token_embedding.weight[ids])
    assert (item[..., WIDTH] == 1).all()
    torch.testing.assert_close(item[..., WIDTH + 1], encoder.sequence.bias[ids])
    assert (
        encoder.users(late_batch(0, 4)).shape == (2, WIDTH + 2) and (encoder.users(late_batch(0, 4))[:, -1] == 1).all()
    )


@each
def test_padding_is_not_read(kind: Any) -> None:
    """Each user alone (no padding), beside longer histories (padding), and with rubbish in place of the padding."""
    encoder = build_encoder(kind)
    together = encoder.users(late_batch(0, 1, 4, 5))
    alone = torch.cat([encoder.users(late_batch(user)) for user in (0, 1, 4, 5)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert encoder.users(late_batch(4)).isfinite().all() and not torch.allclose(together[0], together[3])
    with torch.no_grad():
        encoder.sequence.token_embedding.weight[0] = 1e4  # padding is told as item 0, which only user 4 met
    torch.testing.assert_close(encoder.users(late_batch(0, 1, 4, 5)), together, rtol=1e-5, atol=1e-6)


@either
@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_state_is_that_of_an_unpadded_sequence_by_hand(kind: Any, count: int) -> None:
    """The mask token's state behind the events, or the last event's behind the start token; positions from the end."""
    encoder, items = build_encoder(kind), torch.arange(1, count + 1)
    sequence, outcome = encoder.sequence, (torch.arange(count) % 2).float()
    words = sequence.token_embedding.weight
    events = words[items] + sequence.feedback_embedding.weight[1 + outcome.long()]
    positions = torch.arange(LENGTH - count, LENGTH)
    if kind is BERT4Rec:
        vectors, positions = torch.cat([events, words[[ITEMS]]]), torch.cat([positions, torch.tensor([LENGTH])])
    else:
        vectors, positions = torch.cat([words[[ITEMS]], events]), torch.cat([torch.tensor([0]), positions + 1])
    mask = torch.ones(1, count + 1, dtype=torch.int64)  # without it, transformers takes a jump of places for two texts
    output = sequence.backbone(inputs_embeds=vectors[None], attention_mask=mask, position_ids=positions[None])
    expected = output.last_hidden_state[0, -1]
    padded = History(
        torch.cat([torch.full((LENGTH - count,), PAD), items])[None],
        torch.cat([torch.zeros(LENGTH - count), outcome])[None],
    )
    torch.testing.assert_close(sequence.states(padded)[0], expected, rtol=1e-5, atol=1e-6)


@each
def test_order_feedback_and_every_event_matter(kind: Any) -> None:
    encoder = build_encoder(kind)

    def state(items: list[int], outcomes: list[float]) -> Tensor:
        vector: Tensor = encoder.sequence.states(History(torch.tensor([items]), torch.tensor([outcomes])))
        return vector

    usual = state([1, 2, 3], [1, 0, 1])
    for other in (([2, 1, 3], [0, 1, 1]), ([1, 2, 3], [0, 0, 1]), ([4, 2, 3], [1, 0, 1]), ([1, 2, 4], [1, 0, 1])):
        assert (state(*other) - usual).abs().max() > 1e-3, other


@each
def test_without_feedback_outcomes_are_not_read(kind: Any) -> None:
    events = log_of()
    turned = inputs(history_log=dataclasses.replace(events, outcome=1 - events.outcome))
    for feedback in (True, False):
        both = [
            build_encoder(kind, given=given, feedback=feedback).users(late_batch(0, 4)) for given in (inputs(), turned)
        ]
        assert torch.equal(*both) is not feedback


@each
def test_an_outcome_is_liked_from_the_threshold_on(kind: Any) -> None:
    stars = dataclasses.replace(log_of(), outcome=np.where(log_of().outcome > 0, 4, 3).astype(np.float32))
    expected = build_encoder(kind).users(late_batch(0, 4))
    torch.testing.assert_close(
        build_encoder(kind, given=inputs(history_log=stars, positive_threshold=4.0)).users(late_batch(0, 4)), expected
    )
    assert not torch.allclose(
        build_encoder(kind, given=inputs(history_log=stars, positive_threshold=3.0)).users(late_batch(0, 4)), expected
    )


@each
def test_events_of_now_or_later_and_of_the_own_item_change_no_vector(kind: Any) -> None:
    events = log_of()
    assert events.time is not None
    batch = batch_of([0, 1, 4], [3, 3, 3], [3, 3, 3])
    changed = inputs(history_log=dataclasses.replace(events, outcome=np.where(events.time >= 3, 9, events.outcome)))
    before = build_encoder(kind).users(batch)
    torch.testing.assert_close(build_encoder(kind, given=changed).users(batch), before)
    sooner = inputs(history_log=dataclasses.replace(events, item=np.where(events.time == 2, 7, events.item)))
    assert (build_encoder(kind, given=sooner).users(batch) - before).abs().amax(1).min() > 1e-4


@each
def test_each_distinct_history_is_run_once(kind: Any) -> None:
    encoder = build_encoder(kind)
    ran: list[int] = []
    plain = encoder.sequence.states
    encoder.sequence.states = lambda history: ran.append(len(history.items)) or plain(history)
    every = np.arange(USERS * ITEMS)
    batch = batch_of(every // ITEMS, every % ITEMS, np.full(len(every), UNLOGGED_TIME))
    together = encoder.users(batch)
    assert sum(ran) < len(batch) / 2
    alone = [encoder.users(batch.map_tensors(lambda column, k=k: column[k : k + 1])) for k in range(len(batch))]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)


@either
@pytest.mark.parametrize("text", [False, True])
def test_every_parameter_learns_and_item_zero_like_the_others(kind: Any, text: bool, tmp_path: Path) -> None:
    given = inputs(item_text=TEXTS, cache=tmp_path / "cache")
    encoder = build_encoder(
        kind, given=given, text=str(write_bert(tmp_path / "model")) if text else None, max_tokens=16
    )
    batch = batch_of([0, 4, 4, 5], [7, 0, 8, 2], [UNLOGGED_TIME] * 4)
    (encoder.users(batch) * encoder.items(batch.item)).sum(-1).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert encoder.sequence.token_embedding.weight.grad[[0, ITEMS]].abs().sum(1).min() > 0, (
        "the first item and the query"
    )


@either
def test_item_embeddings_start_from_projected_texts(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = write_bert(tmp_path / "model")
    given = inputs(item_text=TEXTS, cache=tmp_path / "cache")
    encoder = kind(given, width=WIDTH, length=LENGTH, text=str(folder), max_tokens=16)
    vectors = encoder.items(torch.arange(ITEMS))[:, :WIDTH]
    assert encoder.sequence.item_text_projection.project.weight.shape == (WIDTH, TEXT_WIDTH)
    torch.testing.assert_close(vectors[1], vectors[4])  # the same text
    assert (torch.cdist(vectors, vectors) < 1e-4).sum() == ITEMS + 2
    assert "sequence.item_text_projection.text" not in encoder.state_dict()
    history = History(torch.tensor([[1, 3], [4, 3], [2, 3]]), torch.ones(3, 2))
    states = encoder.eval().sequence.states(history)
    torch.testing.assert_close(states[0], states[1])
    assert not torch.allclose(states[0], states[2], rtol=0, atol=1e-7), "histories are written in the same vectors"


@each
def test_it_runs_in_double_precision(kind: Any) -> None:
    encoder = build_encoder(kind)
    single, double = encoder.users(late_batch(0, 4, 5)), encoder.double().users(late_batch(0, 4, 5))
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


@each
def test_predictions_are_the_same_in_any_chunk_and_read_the_time(kind: Any) -> None:
    model = CausalModel({OUTCOME: RoleNetwork(build_encoder(kind), Dot(0))}, "logit")
    features = FeatureMatrix(
        (), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32), ()
    )
    every = np.arange(USERS * ITEMS)
    arguments: Any = (every // ITEMS, every % ITEMS, features, Naive())
    expected = model.predict(*arguments)
    model.network(OUTCOME).encoder.rows_at_once = 7
    np.testing.assert_allclose(model.predict(*arguments), expected, rtol=1e-4)
    early = model.predict(*arguments, np.zeros(len(every), np.int64))
    np.testing.assert_allclose(early[:ITEMS], early[-ITEMS:], rtol=1e-5)  # nobody has met anything yet
    np.testing.assert_allclose(early[-ITEMS:], expected[-ITEMS:], rtol=1e-5)  # nor has user 5 ever
    assert np.abs(early - expected).max() > 1e-3


@each
def test_so_many_rows_at_once_that_memory_stays_the_same(kind: Any) -> None:
    short, long = (kind(inputs(), length=length, width=32) for length in (49, 499))
    assert short.rows_at_once == pytest.approx(10 * long.rows_at_once, rel=0.01)
    assert 64 <= long.rows_at_once < short.rows_at_once < 10_000


@either
@pytest.mark.parametrize(
    ("changes", "settings", "line"),
    [
        ({"history_log": None}, {}, "histories need users in the data and in the outcome view; add user to the graph"),
        ({"num_items": 0}, {}, "need item in the outcome view; add item to the graph"),
        ({}, {"heads": 3, "width": 8}, "encoder.heads=3: does not divide encoder.width=8; choose a divisor"),
        ({}, {"text": "/absent"}, "/absent"),
        ({"item_text": ()}, {"text": "model"}, "encoder.text: no item text is left in the outcome view"),
    ],
)
def test_what_cannot_be_built_says_why_in_one_line(kind: Any, changes: Any, settings: Any, line: str) -> None:
    with pytest.raises(RequestError) as raised:
        kind(inputs(**{"item_text": TEXTS, **changes}), **settings)
    assert line in str(raised.value) and "\n" not in str(raised.value)


# --- windows that rows share


def next_item_batch(users: list[int]) -> Batch:
    """The rows of `log_of` of these users, each at its time."""
    log = log_of()
    assert log.user is not None and log.time is not None
    rows = np.flatnonzero(np.isin(log.user, users))
    return against_others(batch_of(log.user[rows].tolist(), log.item[rows].tolist(), log.time[rows].tolist()))


def against_others(batch: Batch) -> Batch:
    """The rows as positions: each stands against other items, here one."""
    return dataclasses.replace(batch, candidates=torch.tensor([8]), candidate_counts=torch.ones(1))


def without_dropout(kind: type[Any], given: EncoderInputs | None = None, **settings: Any) -> Any:
    """An encoder whose shared windows can be looked at: as in training, but for dropout."""
    return build_encoder(kind, given=given, dropout=0.0, shared_windows=True, **settings).train()


def test_windows_end_at_the_latest_row_of_the_batch_by_hand() -> None:
    """User 4 met items 0..6 at times 0..6; five events are read: the row of item 6 has items 1..5, those of items 2 to
    5 the columns before, and items 0 and 1 a window of their own, which ends where the latest of them does."""
    encoder = without_dropout(GPT4Rec)
    shared = encoder.sequence.histories.shared_windows(next_item_batch([4]))
    windows = [[item for item in row if item != PAD] for row in shared.history.items.tolist()]
    read = [windows[w][: c - (LENGTH - len(windows[w]))] for w, c in zip(shared.window, shared.column, strict=True)]
    assert sorted(windows) == [[0], [1, 2, 3, 4, 5]]
    assert read == [[], [0], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]]
    assert not shared.reads_itself.any()


@causal
def test_the_latest_row_of_a_user_is_read_as_it_is_alone(kind: Any) -> None:
    encoder = without_dropout(kind)
    batch = against_others(batch_of([0, 1, 4, 5], [4, 3, 6, 2], [4, 3, 6, 9]))
    torch.testing.assert_close(encoder.users(batch), encoder.eval().users(batch), rtol=1e-5, atol=1e-6)


def test_a_recurrent_state_in_a_shared_window_is_that_of_its_own_history() -> None:
    encoder, batch = without_dropout(GRU4Rec, length=7), next_item_batch([0, 1, 4])
    ran: list[int] = []
    plain = encoder.sequence.backbone.forward
    encoder.sequence.backbone.forward = lambda **given: ran.append(len(given["inputs_embeds"])) or plain(**given)
    together = encoder.users(batch)
    assert ran == [3], "one window of each user"
    torch.testing.assert_close(together, encoder.eval().users(batch), rtol=1e-5, atol=1e-6)


@causal
def test_no_row_of_a_shared_window_reads_its_own_event_or_a_later_one(kind: Any) -> None:
    events, batch = log_of(), next_item_batch([0, 1, 4])
    assert events.time is not None
    before, time = without_dropout(kind).users(batch), batch.time
    assert time is not None
    for now in range(7):
        is_late = events.time >= now
        item, outcome = np.where(is_late, 8 - events.item, events.item), np.where(is_late, 9, events.outcome)
        changed = inputs(history_log=dataclasses.replace(events, item=item, outcome=outcome.astype(np.float32)))
        moved = (without_dropout(kind, given=changed).users(batch) - before).abs().amax(1)
        assert moved[time <= now].max() < 1e-5, f"what happens from {now} on tells no row up to then"
        assert now >= 5 or moved[time > now + 1].max() > 1e-4


@causal
def test_a_row_whose_item_stands_in_its_window_is_read_without_it(kind: Any) -> None:
    """Item 2 of user 0 is also its third event: the row of the fourth must not tell it, others are as before."""
    encoder, batch = without_dropout(kind), against_others(batch_of([0, 0, 4], [4, 2, 6], [4, 4, 6]))
    shared = encoder.sequence.histories.shared_windows(batch)
    assert shared.reads_itself.tolist() == [False, True, False]
    torch.testing.assert_close(encoder.users(batch), encoder.eval().users(batch), rtol=1e-5, atol=1e-6)


@causal
def test_labelled_rows_are_read_alone(kind: Any) -> None:
    """Seven rows of one user, of which the window is cut short for the earlier ones where they share it."""
    encoder, batch = without_dropout(kind), next_item_batch([4])
    labelled = dataclasses.replace(batch, candidates=None, candidate_counts=None)
    alone, shared = encoder.users(labelled), encoder.users(batch)
    torch.testing.assert_close(alone, encoder.eval().users(labelled), rtol=1e-5, atol=1e-6)
    assert (alone - shared).abs().amax(1)[:-1].max() > 1e-4


def test_an_encoder_that_reads_later_events_shares_no_window() -> None:
    with pytest.raises(
        RequestError, match=r"encoder\.shared_windows=true: each event reads the later ones too"
    ) as raised:
        BERT4Rec(inputs(), shared_windows=True)
    assert "\n" not in str(raised.value)


def test_a_recurrent_state_by_hand() -> None:
    """Width 1, one event x behind a start s: h_1 = GRU(0, s), h_2 = GRU(h_1, x)."""
    encoder = build_encoder(GRU4Rec, width=1, feedback=False, given=inputs())
    units, words = encoder.sequence.backbone.units, encoder.sequence.token_embedding.weight
    (wr, wz, wn), (ur, uz, un) = units.weight_ih_l0[:, 0], units.weight_hh_l0[:, 0]
    (br, bz, bn), (cr, cz, cn) = units.bias_ih_l0, units.bias_hh_l0
    state = torch.zeros(())
    for x in (words[ITEMS, 0], words[3, 0]):
        reset, update = torch.sigmoid(wr * x + br + ur * state + cr), torch.sigmoid(wz * x + bz + uz * state + cz)
        state = (1 - update) * torch.tanh(wn * x + bn + reset * (un * state + cn)) + update * state
    padded = History(torch.tensor([[PAD, PAD, 3]]), torch.zeros(1, 3))
    torch.testing.assert_close(encoder.sequence.states(padded)[0, 0], state)
