"""AdamW that steps, in tables of ids, the rows of a batch alone: what a step costs does not grow with the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.row_lookups import RowLookups
from causalrec.training.row_gradients import RowJoin
from causalrec.training.row_kernels import step_kernel

State = dict[str, Any]  # of a table by name, of a group of parameters, or of all
LARGEST_SHRINK = 1 - 2**-53  # what is left of a weight by a decay of 1 or more: nothing beside a float
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

    def __init__(self, groups: list[State], lr: float, lookups: Sequence[RowLookups]) -> None:
        super().__init__(groups, lr=lr, fused=True)
        self.lookups = lookups
        self._group_of = {id(table): group for group in self.param_groups for table in group["params"]}
        self._joins = [RowJoin(each.table) for each in lookups]
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

    def load_state_dict(self, state_dict: State) -> None:
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
            joined = [(each.table, join(each.take())) for each, join in zip(self.lookups, self._joins, strict=True)]
            self._touched = [TouchedRows(table, *rows) for table, rows in joined if rows is not None]
        return self._touched

    @torch.no_grad()
    def _step_rows(self) -> None:
        for touched in self._join():
            state, group = self.state[touched.table], self._group_of[id(touched.table)]
            state["log_decay"] += math.log1p(-min(group["lr"] * group["weight_decay"], LARGEST_SHRINK))
            step = step_compiled if touched.table.device.type == "cpu" else step_by_tensors
            if len(touched.rows):  # none, where a rank's share is empty
                step(touched, state, group)
        self._touched = None


def step_compiled(touched: TouchedRows, state: State, group: State) -> None:
    """Step the rows in one pass of the processor.

    Args:
        touched: the rows.
        state: of their table, the decay of this step counted.
        group: of their table: `lr`, `betas` and `eps`.
    """
    numbers = np.array([group["lr"], *group["betas"], group["eps"], state["log_decay"]])
    by_row = (touched.table, state["exp_avg"], state["exp_avg_sq"], state["step"], state["row_log_decay"])
    step_kernel()(
        *(values.detach().view(len(values), -1).numpy() for values in by_row[:3]),
        *(values.numpy() for values in (*by_row[3:], touched.rows)),
        touched.gradient.view(len(touched.rows), -1).numpy(),
        numbers,
    )


def step_by_tensors(touched: TouchedRows, state: State, group: State) -> None:
    """Step the rows on any device, as `step_compiled`."""
    table, rows, gradient, (beta1, beta2) = touched.table, touched.rows, touched.gradient, group["betas"]
    count = state["step"].index_select(0, rows).add_(1)
    mean = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - beta1)
    square = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    for name, values in (("step", count), ("exp_avg", mean), ("exp_avg_sq", square)):
        state[name].index_copy_(0, rows, values)
    count = count.double()
    mean.mul_(_by_row(group["lr"] / (1 - beta1**count), table))
    scale = square.sqrt_().mul_(_by_row((1 - beta2**count).rsqrt_(), table)).add_(group["eps"])
    due = torch.exp(state["log_decay"] - state["row_log_decay"].index_select(0, rows))
    state["row_log_decay"].index_fill_(0, rows, state["log_decay"])
    values = table.index_select(0, rows).mul_(_by_row(due, table))
    table.index_copy_(0, rows, values.addcdiv_(mean, scale, value=-1))


def _fresh_state(table: Tensor) -> State:
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
