"""AdamW that steps, in tables of ids, the rows of a batch alone: what a step costs does not grow with the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from causalrec.encoders.row_lookups import RowLookups

RowGradients = tuple[Tensor, Tensor]  # rows int64[M], each once, and their gradients float[M,...]
Joins = dict[tuple[int, ...], tuple[Tensor, Tensor]]
EXACT = ("step", "row_log_decay")  # of a table's state: no numbers of the table's own precision


@dataclass(frozen=True)
class TouchedRows:
    """The rows of one table that a batch reads.

    Attributes:
        table: float[N,...].
        rows: int64[M], each once.
        gradient: float[M,...], of the whole batch.
    """

    table: nn.Parameter
    rows: Tensor
    gradient: Tensor


class RowSparseAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov & Hutter, ICLR 2019, algorithm 2) over dense parameters, and by rows over tables of ids.

    A row's moments, and the count `c` of its bias correction, move on the steps whose batch reads it:
    `p <- p * d - lr * (m / (1 - b1^c)) / (sqrt(v / (1 - b2^c)) + eps)`. Its decay `d` is the product of
    `1 - lr_t * weight_decay` over all steps since it was last read; `catch_up` applies it to the rows that wait. So a
    row that no batch reads is what AdamW makes of it by zero gradients, and with all rows in each batch it is AdamW.

    Args:
        groups: of parameters, tables among them, with their `weight_decay`.
        lr: learning rate of those that have none of their own.
        lookups: of each table.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, lookups: Sequence[RowLookups]) -> None:
        super().__init__(groups, lr=lr, fused=True)
        self.lookups = lookups
        self._group_of = {id(table): group for group in self.param_groups for table in group["params"]}
        self._touched: list[TouchedRows] | None = None
        for each in lookups:
            each.decay_due = partial(self._decay_due, each.table)
            self.state[each.table] = _fresh_state(each.table)
        self.register_step_post_hook(lambda *_: self._step_rows())  # once, however often `step` is wrapped

    @torch.no_grad()
    def catch_up(self) -> None:
        """Apply the decay that waits, to all rows of all tables."""
        for each in self.lookups:
            if (due := each.decay_due(None)) is not None:
                each.table.mul_(_by_row(due, each.table))
                state = self.state[each.table]
                state["row_log_decay"].fill_(state["log_decay"])

    def stand_ins(self) -> list[Tensor]:
        """Return a tensor for each table that the batch reads: in its `grad`, the gradients of the table's rows."""
        tensors = []
        for touched in self._join():
            tensors.append(touched.gradient.detach())
            tensors[-1].grad = touched.gradient
        return tensors

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for index, parameter in enumerate(parameters):
            saved = state_dict["state"].get(index, {})
            for name in EXACT if "row_log_decay" in saved else ():  # torch makes them float32
                self.state[parameter][name] = saved[name].to(parameter.device)
        self._group_of = {id(table): group for group in self.param_groups for table in group["params"]}

    def _decay_due(self, table: nn.Parameter, ids: Tensor | None) -> Tensor | None:
        state = self.state[table]
        if not state["log_decay"]:
            return None
        behind = state["row_log_decay"] if ids is None else state["row_log_decay"].index_select(0, ids)
        return torch.exp(state["log_decay"] - behind).to(table.dtype)

    def _join(self) -> list[TouchedRows]:
        """Return the rows that the batch reads, of all look-ups and ranks; the same until the step."""
        if self._touched is None:
            taken = [(each.table, each.take()) for each in self.lookups]
            joins: Joins = {}  # vectors and biases are looked up by the same ids
            joined = [(table, joined_rows(table, lookups, joins)) for table, lookups in taken]
            self._touched = [TouchedRows(table, *rows) for table, rows in joined if rows is not None]
        return self._touched

    @torch.no_grad()
    def _step_rows(self) -> None:
        for touched in self._join():
            self._step_table(touched.table, touched.rows, touched.gradient)
        self._touched = None

    def _step_table(self, table: nn.Parameter, rows: Tensor, gradient: Tensor) -> None:
        state, group = self.state[table], self._group_of[id(table)]
        (beta1, beta2), rate = group["betas"], float(group["lr"])
        count = state["step"].index_select(0, rows).add_(1)
        mean = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        for name, values in (("step", count), ("exp_avg", mean), ("exp_avg_sq", square)):
            state[name].index_copy_(0, rows, values)
        count = count.double()
        mean.mul_(_by_row(rate / (1 - beta1**count), table))
        scale = square.sqrt_().mul_(_by_row((1 - beta2**count).rsqrt_(), table)).add_(group["eps"])
        state["log_decay"] += math.log1p(-rate * group["weight_decay"])
        values, due = table.index_select(0, rows), self._decay_due(table, rows)
        if due is not None:
            values.mul_(_by_row(due, table))
            state["row_log_decay"].index_fill_(0, rows, state["log_decay"])
        table.index_copy_(0, rows, values.addcdiv_(mean, scale, value=-1))


def _fresh_state(table: Tensor) -> dict[str, Any]:
    """Return the state of a table `[N,...]`: by row the updates, moments and the decay that it has; all of the decay.

    Decays are sums of logarithms in float64, which hold a product over any number of steps.
    """
    return {
        "step": torch.zeros(len(table), dtype=torch.int32, device=table.device),
        "exp_avg": torch.zeros_like(table),
        "exp_avg_sq": torch.zeros_like(table),
        "row_log_decay": torch.zeros(len(table), dtype=torch.float64, device=table.device),
        "log_decay": 0.0,
    }


def _by_row(values: Tensor, table: Tensor) -> Tensor:
    """Return a number for each row, `[M]`, as what multiplies rows of the table."""
    return values.to(table.dtype).view(-1, *[1] * (table.ndim - 1))


def joined_rows(table: Tensor, taken: Sequence[tuple[Tensor, Tensor]], joins: Joins) -> RowGradients | None:
    """Return the rows that a batch reads of a table, int64[M], and their gradients, float[M,...]; None where it reads
    nothing.

    Args:
        table: float[N,...].
        taken: ids and gradients of its look-ups, in this process.
        joins: the distinct ids of look-ups that are known, and where each id is among them.
    """
    local = None
    if taken:
        key = tuple(id(ids) for ids, _ in taken)
        if key not in joins:
            joins[key] = torch.unique(torch.cat([ids.flatten() for ids, _ in taken]), return_inverse=True)
        rows, place = joins[key]
        local = rows, _sum_by_row([gradient.view(-1, *table.shape[1:]) for _, gradient in taken], place, len(rows))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return _of_all_ranks(table, local)
    return local


def _sum_by_row(gradients: Sequence[Tensor], place: Tensor, count: int) -> Tensor:
    joined = torch.cat([*gradients])
    return joined.new_zeros(count, *joined.shape[1:]).index_add_(0, place, joined)


def _of_all_ranks(table: Tensor, local: RowGradients | None) -> RowGradients | None:
    """Return the rows that any rank reads, and their gradients' mean over ranks, as DDP has it of dense ones."""
    world = torch.distributed.get_world_size()
    empty = torch.zeros(0, dtype=torch.int64, device=table.device), table.new_zeros(0, *table.shape[1:])
    rows, gradients = local or empty
    (counts,) = _gather([rows.new_tensor([-1 if local is None else len(rows)])], world)
    most = max(int(count) for count in counts)
    if most < 0:
        return None
    padding = most - len(rows)
    padded = [torch.cat([each, each.new_zeros(padding, *each.shape[1:])]) for each in (rows, gradients)]
    by_rank = _gather(padded, world)
    all_rows, all_gradients = ([part[: int(n)] for part, n in zip(of, counts, strict=True) if n > 0] for of in by_rank)
    if not all_rows:
        return empty
    joined, place = torch.unique(torch.cat(all_rows), return_inverse=True)
    return joined, _sum_by_row(all_gradients, place, len(joined)) / world


def _gather(values: Sequence[Tensor], world: int) -> list[list[Tensor]]:
    """Return each tensor as every rank has it; of equal shapes."""
    gathered = [[torch.empty_like(value) for _ in range(world)] for value in values]
    for value, every in zip(values, gathered, strict=True):
        torch.distributed.all_gather(every, value)
    return gathered
