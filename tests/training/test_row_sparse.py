"""AdamW by rows: what it makes of touched, waiting and untouched rows, beside torch's own AdamW."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from causalrec.encoders.base import IdTable
from causalrec.encoders.row_lookups import RowLookups
from causalrec.errors import RequestError
from causalrec.training import row_sparse
from causalrec.training.optimizer import AdamW, AdamWRows
from causalrec.training.row_gradients import RowJoin, join_by_tensors
from causalrec.training.row_sparse import RowSparseAdamW

ROWS, WIDTH = 12, 3


def id_table(dtype: torch.dtype = torch.float64) -> IdTable:
    torch.manual_seed(0)
    table = IdTable("user", ROWS, WIDTH).to(dtype)
    nn.init.normal_(table.bias)
    return table


def by_rows(table: IdTable, **settings: float) -> RowSparseAdamW:
    lookups = table.track_lookups()
    optimizer = AdamWRows(**settings).build([each.table for each in lookups], lookups=lookups)
    assert isinstance(optimizer, RowSparseAdamW)
    return optimizer


def dense(table: IdTable, **settings: float) -> torch.optim.Optimizer:
    return AdamW(**settings).build(table.parameters())


def step(table: IdTable, optimizer: torch.optim.Optimizer, *ids: Sequence[int], scale: float = 1.0) -> None:
    """One step on a loss that reads the rows of some ids, by one look-up for each list of them."""
    loss = torch.zeros((), dtype=table.bias.dtype)
    for k, each in enumerate(ids):
        rows = table(torch.tensor(each))
        loss = loss + ((k + 1) * rows * torch.arange(1, rows.numel() + 1).view_as(rows)).sin().sum()
    optimizer.zero_grad()
    (scale * loss).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def weights(table: IdTable) -> list[Tensor]:
    assert table.vectors is not None
    return [table.vectors.detach().clone(), table.bias.detach().clone()]


def use_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Join and step as on other devices than the processor."""
    monkeypatch.setattr(row_sparse, "step_compiled", row_sparse.step_by_tensors)
    monkeypatch.setattr(RowJoin, "join_compiled", lambda _, pairs: join_by_tensors(pairs))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("schedule", [False, True])
def test_with_every_row_in_each_batch_it_is_torchs_adamw(
    schedule: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        use_tensors(monkeypatch)
    ours, theirs = id_table(), id_table()
    optimizers = by_rows(ours, lr=0.05, weight_decay=2.0), dense(theirs, lr=0.05, weight_decay=2.0)
    schedules: list[LRScheduler] = [CosineAnnealingLR(each, T_max=20) for each in optimizers] if schedule else []
    order = torch.randperm(ROWS).tolist()
    for _ in range(20):  # ids of both look-ups, and an id twice
        for table, optimizer in zip((ours, theirs), optimizers, strict=True):
            step(table, optimizer, order, [3, 3, 5])
        for each in schedules:
            each.step()
    for actual, expected in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-7)
    assert not torch.allclose(weights(ours)[0], weights(id_table())[0], atol=0.1)


def test_a_row_first_read_at_step_1000_moves_by_the_learning_rate_once_its_decay_is_caught_up() -> None:
    table, lr = id_table(), 0.01
    optimizer, before = by_rows(table, lr=lr, weight_decay=0.5, bias_decay=0.1), weights(table)
    for _ in range(999):
        step(table, optimizer, [0, 1])
    step(table, optimizer, [7], scale=1e3)  # eps is nothing beside such a gradient
    for after, start, decay in zip(weights(table), before, (0.5, 0.1), strict=True):
        moved = after[7] - start[7] * (1 - lr * decay) ** 1000
        torch.testing.assert_close(moved.abs(), torch.full_like(moved, lr), rtol=1e-8, atol=0)


@pytest.mark.parametrize("schedule", [False, True])
def test_a_row_that_no_batch_reads_is_what_adamw_makes_of_zero_gradients(schedule: bool) -> None:
    ours, theirs = id_table(torch.float32), id_table(torch.float64)
    settings = {"lr": 0.1, "weight_decay": 0.3, "bias_decay": 0.2}
    optimizers = by_rows(ours, **settings), dense(theirs, **settings)
    schedules: list[LRScheduler] = [CosineAnnealingLR(each, T_max=300) for each in optimizers] if schedule else []
    for _ in range(200):
        step(ours, optimizers[0], [0])
        for parameter in theirs.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizers[1].step()
        for each in schedules:
            each.step()
    waiting = weights(ours)
    optimizers[0].catch_up()
    for actual, expected, before in zip(weights(ours), weights(theirs), waiting, strict=True):
        torch.testing.assert_close(actual[1:].double(), expected[1:], rtol=1e-6, atol=0)
        torch.testing.assert_close(before[1:], weights(id_table(torch.float32))[before.ndim == 1][1:], rtol=0, atol=0)
    again = weights(ours)
    optimizers[0].catch_up()  # nothing is left to catch up
    assert all(torch.equal(*pair) for pair in zip(weights(ours), again, strict=True))


def test_a_row_is_read_with_the_decay_that_is_due() -> None:
    table = id_table()
    optimizer, before = by_rows(table, lr=0.1, weight_decay=1.0, bias_decay=0.0), weights(table)
    for _ in range(5):
        step(table, optimizer, [0])
    rows = table(torch.tensor([4]))
    torch.testing.assert_close(rows[0, :WIDTH], before[0][4] * 0.9**5)
    torch.testing.assert_close(rows[0, WIDTH], before[1][4])
    table.eval()
    with torch.no_grad():  # of judging, before which all rows are caught up
        assert torch.equal(table(torch.tensor([4]))[0, :WIDTH], before[0][4])


def test_no_gradient_of_a_tables_size_is_made_and_a_step_costs_no_more_memory_for_a_larger_table() -> None:
    peaks = []
    for count in (1_000, 100_000):
        table = IdTable("item", count, WIDTH)
        optimizer = by_rows(table, lr=0.1)
        step(table, optimizer, [0, 1, 1], [5])
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            step(table, optimizer, [0, 1, 1], [5])
        assert all(parameter.grad is None for parameter in table.parameters())
        peaks.append(sum(max(event.self_cpu_memory_usage, 0) for event in profile.key_averages()))
    assert peaks[0] == peaks[1] < 10_000


def test_gradients_are_clipped_by_the_norm_that_dense_ones_have() -> None:
    ours, theirs = id_table(), id_table()
    optimizers = by_rows(ours, lr=0.1), dense(theirs, lr=0.1)
    for table in (ours, theirs):
        rows = table(torch.tensor([1, 1, 4]))
        (rows * torch.arange(12.0).view_as(rows)).sum().backward()  # type: ignore[no-untyped-call]
    stand_ins = optimizers[0].stand_ins()
    norms = [torch.nn.utils.clip_grad_norm_(each, 2.0) for each in (stand_ins, theirs.parameters())]
    torch.testing.assert_close(norms[0], norms[1])
    for stand_in, parameter in zip(stand_ins, theirs.parameters(), strict=True):
        assert stand_in.grad is not None and parameter.grad is not None
        torch.testing.assert_close(stand_in.grad, parameter.grad[[1, 4]])  # in the order they were met
    for optimizer in optimizers:
        optimizer.step()
    for actual, expected in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(actual[[1, 4]], expected[[1, 4]])


def test_the_compiled_step_is_that_by_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [id_table(torch.float32) for _ in range(2)]
    for table in tables:
        optimizer = by_rows(table, lr=0.1, weight_decay=0.3, bias_decay=0.2)
        for k in range(30):  # rows wait for one another
            step(table, optimizer, [k % 5, 3, 3], [k % 7])
        optimizer.catch_up()
        use_tensors(monkeypatch)  # the second
    for pair in zip(weights(tables[0]), weights(tables[1]), strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-6)


def test_a_batch_without_rows_only_decays() -> None:
    table = id_table()
    optimizer, before = by_rows(table, lr=0.1, weight_decay=0.3, bias_decay=0.2), weights(table)
    rows = table(torch.zeros(0, dtype=torch.int64))
    rows.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.catch_up()
    for after, start, decay in zip(weights(table), before, (0.3, 0.2), strict=True):
        torch.testing.assert_close(after, start * (1 - 0.1 * decay))


def test_ids_that_are_one_tensor_are_looked_up_once() -> None:
    lookups, ids = RowLookups(nn.Parameter(torch.zeros(4, 2))), torch.tensor([2, 2])
    assert lookups(ids) is lookups(ids) and lookups(ids.clone()) is not lookups(ids)
    (lookups(ids).sum() + lookups(ids).sum()).backward()
    ((again, gradient),) = lookups.take()
    assert again is ids and gradient.tolist() == [[2.0, 2.0]] * 2 and not lookups.looked_up


def test_its_state_goes_through_a_checkpoint_without_a_bit_lost() -> None:
    tables = [id_table(torch.float32) for _ in range(2)]
    first, second = (by_rows(table, lr=0.1, weight_decay=0.3) for table in tables)
    for k in range(5):
        step(tables[0], first, [k])
    tables[1].load_state_dict(tables[0].state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.state[tables[1].bias]["row_log_decay"].dtype == torch.float64
    for table, optimizer in zip(tables, (first, second), strict=True):
        step(table, optimizer, [1, 9])
        optimizer.catch_up()
    assert all(torch.equal(*pair) for pair in zip(weights(tables[0]), weights(tables[1]), strict=True))


def test_decays_are_of_vectors_and_of_biases_and_a_step_must_leave_something() -> None:
    optimizer = by_rows(id_table(), lr=0.1, weight_decay=0.5, bias_decay=0.2)
    assert sorted(group["weight_decay"] for group in optimizer.param_groups) == [0.2, 0.5]
    for decays in ({"weight_decay": 11.0}, {"bias_decay": 12.0}):
        with pytest.raises(RequestError, match=r"^optimizer\.\w+_decay=1\d \(asked for, .* lr=0\.1 is more than 1"):
            AdamWRows(lr=0.1, **decays)


def test_a_decay_of_all_of_a_weight_leaves_the_step_alone_as_adamw_does() -> None:
    table = id_table()
    optimizer = by_rows(table, lr=0.1, weight_decay=10.0, bias_decay=0.0)  # the largest that selection tries
    dense = [weight.clone().requires_grad_() for weight in weights(table)]
    reference = torch.optim.AdamW([{"params": dense[:1], "weight_decay": 10.0}, {"params": dense[1:]}], lr=0.1)
    reference.param_groups[1]["weight_decay"] = 0.0
    for ids in ([1, 2], [1], [2]):
        step(table, optimizer, ids)
    optimizer.catch_up()
    for weight in dense:
        weight.grad = torch.zeros_like(weight)
    reference.step()
    assert weights(table)[0][5].abs().max() < 1e-15 and dense[0][5].abs().max() == 0, "no batch read row 5"
    assert weights(table)[0][2].abs().min() > 1e-3 and bool(weights(table)[0].isfinite().all())
