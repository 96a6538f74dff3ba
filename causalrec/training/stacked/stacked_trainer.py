"""Training many fits as one program: parameters, batches, optimizers and stopping side by side on a replica axis.

Replica r of R owns row r of every stacked parameter `[R,...]` and of every batch column `[R,B]`; objectives map without
change, for they are elementwise over rows and sum over the last axis alone. A replica that has stopped leaves.
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.removal import make_way
from causalrec.errors import CausalRecError, DataError
from causalrec.training.checkpoint import check_shapes, content_hash, read_checkpoint, write_checkpoint
from causalrec.training.criterion import validation_errors
from causalrec.training.dropout_passes import draw_generators, with_passes
from causalrec.training.epoch_rows import ROWS_AT_ONCE, outputs_in_parts, run_between_epochs, with_buffers
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import Epoch, FitResult
from causalrec.training.module import not_finite_error
from causalrec.training.moved_vectors import with_moved_vectors
from causalrec.training.stacked.batches import StackedBatches
from causalrec.training.stacked.early_stopping import EarlyStoppingState
from causalrec.training.stacked.merge import (
    clip_gradients,
    merge_objectives,
    penalty_value,
    reduce_term,
    stack_models,
)
from causalrec.training.stacked.replica_optimizers import ReplicaOptimizers
from causalrec.training.stacked.stack_key import DTYPES, replica_bytes, stack_key
from causalrec.training.stacked.vmap import VmappedModel, unstackable_modules
from causalrec.training.unseen_ids import set_unseen_to_mean, stack_trained_ids
from causalrec.types import Outputs


def fit_stacked(
    requests: Sequence[FitRequest],
    max_replicas: Callable[[int], int],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint_dir: Path | None = None,
) -> list[FitResult | Exception]:
    """Fit requests in as few stacks as their keys allow, and return their fits in order, or why each failed.

    In float64 the weights equal those of `FitRequest.fit` but for rounding; a stack gives the same bits every time it
    is made of the same requests.

    Args:
        requests: the fits to be made.
        max_replicas: bytes of a replica -> the most replicas of a stack.
        on_progress: called after every epoch with the number of replicas done and of all.
        checkpoint_dir: where stacks are saved between epochs, as often as their trainer says, and an interrupted one
            goes on; None: they are not saved.
    """
    groups: dict[Hashable, list[int]] = {}
    for k, request in enumerate(requests):
        groups.setdefault(stack_key(request), []).append(k)
    fits: dict[int, FitResult | Exception] = {}
    for group in groups.values():
        size = max(1, max_replicas(replica_bytes(requests[group[0]])))
        stack_count = -(-len(group) // size)
        for index in range(stack_count):
            members = group[index * len(group) // stack_count : (index + 1) * len(group) // stack_count]
            before = len(fits)
            stack = StackedTrainer([requests[k] for k in members])
            saver = StackSaver(stack, checkpoint_dir)
            stack = saver.stack
            while stack.running:
                stack.epoch()
                saver.after_epoch()
                on_progress(before + len(members) - len(stack.running), len(requests))
            fits |= dict(zip(members, stack.fits(), strict=True))
    return [fits[k] for k in range(len(requests))]


class StackedTrainer:
    """Fits on their way together. `running`: the numbers of those that have not stopped, in the order of the stack."""

    def __init__(self, requests: Sequence[FitRequest]) -> None:
        self.requests, settings = requests, requests[0].trainer
        self.device = torch.device("cuda" if settings.accelerator == "gpu" else "cpu")
        self.dtype = DTYPES[settings.precision]
        self.stopping = [EarlyStoppingState(settings.patience) for _ in requests]
        self.running = sorted(
            range(len(requests)), key=lambda k: repr(requests[k].optimizer)
        )  # alike ones step at once
        models = [requests[k].fresh_model() for k in self.running]
        self.model = stack_models(models).to(self.device, self.dtype)
        by_vmap = unstackable_modules(models[0])
        self.forward = VmappedModel(models[0].to(self.device, self.dtype), self.model) if by_vmap else self.model
        self.best: dict[str, Tensor] = {}
        self.best_buffers: dict[str, Tensor] = {}  # of the objectives, for each one's best epoch
        self.buffers: dict[str, Tensor] = {}  # of the objectives, [R,...] each
        self.failures: dict[int, str] = {}  # why a penalty ended a fit, by its number
        self.batches = StackedBatches(requests, self.dtype, self.device)
        self._assemble()
        self.done_epochs = 0

    def _assemble(self) -> None:
        requests = [self.requests[k] for k in self.running]
        by_role = [[*self.model.parameters_of(role)] for role in requests[0].objective.roles]
        self.parameters_by_role, self.parameters = by_role, [*itertools.chain(*by_role)]
        self.optimizer = ReplicaOptimizers([request.optimizer for request in requests], self.parameters)
        self.penalties = requests[0].penalties  # alike but for their weights, [R] each
        weights = {name: [request.penalties[name].weight for request in requests] for name in self.penalties}
        self.weights = {n: torch.tensor(each, dtype=self.dtype, device=self.device) for n, each in weights.items()}
        self.objective = merge_objectives([request.objective for request in requests], self.parameters[0])
        self.batches = self.batches.subset(requests)
        self.seeds = [request.seed for request in requests]
        self.trained = stack_trained_ids([request.trained_ids for request in requests])

    def epoch(self) -> None:
        """Train one epoch, judge every replica, and let those that have stopped leave the stack."""
        started = time.monotonic()
        self._between_epochs()
        losses = self._train_epoch()
        for k in self.running:
            self.stopping[k].seconds += (time.monotonic() - started) / len(self.running)
        set_unseen_to_mean(self.model, self.trained)
        refit = self.requests[0].epochs is not None
        criteria = [None] * len(self.running) if refit else self._criteria()
        better = []
        for position, (k, loss, criterion) in enumerate(zip(self.running, losses, criteria, strict=True)):
            if self.stopping[k].update(self.done_epochs, loss, criterion):
                better.append(position)
        self._keep_best(better)
        self.done_epochs += 1
        staying = [position for position, k in enumerate(self.running) if not self._is_done(k)]
        if len(staying) < len(self.running):
            self._retain(staying)

    @property
    def identity(self) -> str:
        """Digest of what determines the fits: requests in their order, rows, and the weights they begin with."""
        content: list[Any] = [version("torch"), repr(replace(self.requests[0].trainer, progress=False))]
        for request in self.requests:
            content += [
                type(request.objective).__name__,
                vars(request.objective),
                request.optimizer,
                request.seed,
                request.epochs,
            ]
            content += [(name, repr(penalty)) for name, penalty in sorted(request.penalties.items())]
        content += [column.table for _, column in sorted(self.requests[0].columns.items())]
        for log in {id(log): log for request in self.requests for log in _logs(request)}.values():
            tensors = self.batches.tensors[id(log)]
            optional = (tensors.row_block, tensors.arm_propensities, log.unit)
            content += [log.codes, log.outcome, log.propensity, *(values for values in optional if values is not None)]
        content += [] if self.model.unit is None else ["a loss in standard deviations"]
        return content_hash([*content, *self.model.parameters()])

    def state(self) -> dict[str, Any]:
        """Return all that the next epochs depend on, as a checkpoint can hold it."""
        stopping = [{**vars(s), "curve": [tuple(vars(point).values()) for point in s.curve]} for s in self.stopping]
        return {
            "epochs": self.done_epochs,
            "running": self.running,
            "stopping": stopping,
            "best": self.best,
            "best_buffers": self.best_buffers,
            "failures": self.failures,
            "buffers": self.buffers,
            "weights": {name: parameter.data for name, parameter in self.model.named_parameters()},
            "optimizer": self.optimizer.state_of(range(len(self.running))) if self.running else [],
        }

    def check(self, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint holds; raise DataError where its replicas or weights are not those of this stack."""
        running, parameters = state["running"], dict(self.model.named_parameters())
        numbers = range(len(self.requests))
        if len(state["stopping"]) != len(numbers) or sorted({*running}) != sorted(running) or {*running} - {*numbers}:
            raise DataError(f"{path}: checkpoint of other fits")
        shapes = {name: parameter[0] for name, parameter in parameters.items()}
        weights = {name: value.expand(len(running), *value.shape) for name, value in shapes.items()}
        check_shapes(path, state["weights"], weights if running else {})
        best = {name: value.expand(len(numbers), *value.shape) for name, value in shapes.items()}
        check_shapes(path, state["best"], best if state["best"] else {})
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.done_epochs, self.running = state["epochs"], state["running"]
        for values in state["stopping"]:
            values["curve"] = [Epoch(*point) for point in values["curve"]]
        self.stopping = [EarlyStoppingState(**values) for values in state["stopping"]]
        self.failures = state["failures"]
        self.buffers = {name: value.to(self.device) for name, value in state["buffers"].items()}
        self.best, self.best_buffers = (
            {name: value.to(self.device) for name, value in state[kind].items()} for kind in ("best", "best_buffers")
        )
        if self.running:
            for name, parameter in self.model.named_parameters():
                parameter.data = state["weights"][name].to(self.device)
            self._assemble()
            self.optimizer.load(state["optimizer"])

    def fits(self) -> list[FitResult | Exception]:
        """Return what each request came to, in the order they were given: its fit, or why it failed."""
        return [
            CausalRecError(self.failures[k]) if k in self.failures else self._fit(k) for k in range(len(self.requests))
        ]

    def _fit(self, k: int) -> FitResult:
        state = self.stopping[k]
        weights, buffers = (
            {name: values[k].cpu().clone() for name, values in best.items()} for best in (self.best, self.best_buffers)
        )
        saved = {f"model.{name}": value for name, value in weights.items()}
        numbers = state.criterion, state.best_epoch, state.epochs
        return FitResult(*numbers, saved, tuple(state.curve), state.seconds, tuple(state.warnings), buffers)

    def _is_done(self, k: int) -> bool:
        limit = self.requests[k].epochs or self.requests[k].trainer.max_epochs
        return k in self.failures or self.stopping[k].stopped or self.done_epochs >= limit

    def _train_epoch(self) -> list[float]:
        total = torch.zeros(len(self.running), dtype=self.dtype, device=self.device)
        steps = 0
        for raw_batch in self.batches.training(self.done_epochs):
            batch = self.model.standardise(raw_batch)
            outputs = with_buffers(self.forward(batch), self.buffers)
            if self.objective.passes:
                draws = draw_generators(self.seeds, self.done_epochs, steps)
                outputs = with_passes(self.model, self.objective, batch, outputs, draws)
            terms = {**self.objective.terms(batch, outputs)}
            with_prior = terms | self.model.prior_terms(batch, outputs)
            loss = torch.stack([reduce_term(term, batch) for term in with_prior.values()]).sum(0)
            if any(penalty.reads_terms or penalty.moves for penalty in self.penalties.values()):
                outputs = replace(outputs, terms=terms)
            clean = loss
            for name, penalty in self.penalties.items():
                seen = outputs
                if penalty.moves:
                    seen = with_moved_vectors(self.model, self.objective, penalty, batch, outputs, clean)
                value = penalty_value(penalty, batch, seen)
                self._note_failures(name, value.detach(), steps)
                loss = loss + self.weights[name] * value
            loss.sum().backward()  # type: ignore[no-untyped-call]
            self._clip_gradients()
            self.optimizer.step()
            total += loss.detach()
            steps += 1
        return [float(value) for value in (self.model.loss_unit * total / max(steps, 1)).tolist()]

    def _between_epochs(self) -> None:
        """Let each replica's objective fit on its rows, one after another."""
        if self.objective.epoch_rows is None:
            return
        rows = self.model.standardise(self.batches.epoch_rows(self.done_epochs))
        outputs = outputs_in_parts(self.forward, rows, max(1, ROWS_AT_ONCE // len(self.running)))
        fitted = [
            run_between_epochs(
                self.requests[k].objective,
                rows.map_tensors(lambda column, at=position: column[at]),  # type: ignore[misc]
                self._outputs_of(outputs, position),
                self.done_epochs,
                self.requests[k].seed,
            )
            for position, k in enumerate(self.running)
        ]
        for k, buffers in zip(self.running, fitted, strict=True):
            self.stopping[k].warnings = self.requests[k].objective.buffer_warnings(buffers)
        self.buffers = {name: torch.stack([each[name] for each in fitted]) for name in fitted[0]}

    def _outputs_of(self, outputs: Outputs, position: int) -> Outputs:
        """Return the outputs of one replica, with its buffers."""
        flat = {path: value[position] for path, value in outputs.tensors().items()}
        buffers = {name: value[position] for name, value in self.buffers.items()}
        return with_buffers(Outputs.from_tensors(flat, outputs.link), buffers)

    def _note_failures(self, name: str, value: Tensor, step: int) -> None:
        for position in torch.nonzero(~torch.isfinite(value)).flatten().tolist():
            error = not_finite_error(name, float(value[position]), self.done_epochs, step)
            self.failures.setdefault(self.running[position], str(error))

    def _clip_gradients(self) -> None:
        largest = self.requests[0].trainer.gradient_clip
        if largest is not None:
            for parameters in self.parameters_by_role:
                clip_gradients(parameters, largest)

    @torch.no_grad()
    def _criteria(self) -> list[float]:
        request, sums = self.requests[0], torch.zeros(2, len(self.running), dtype=torch.float64, device=self.device)
        for raw_batch in self.batches.validation():
            batch = self.model.standardise(raw_batch)
            outputs = with_buffers(self.forward(batch), self.buffers)
            error, weight = validation_errors(self.objective, outputs, batch, request.criterion, request.clip)
            sums += torch.stack([(error * weight).double().sum(-1), weight.double().expand_as(error).sum(-1)])
        return [float(value) for value in (self.model.loss_unit * sums[0] / sums[1]).float().tolist()]

    @torch.no_grad()
    def _keep_best(self, positions: list[int]) -> None:
        rows = [self.running[position] for position in positions]
        weights = {name: parameter.data for name, parameter in self.model.named_parameters()}
        for best, values in ((self.best, weights), (self.best_buffers, self.buffers)):
            for name, value in values.items():
                if name not in best:
                    best[name] = value.new_empty(len(self.requests), *value.shape[1:])
                best[name][rows] = value[positions]

    def _retain(self, positions: list[int]) -> None:
        self.running = [self.running[position] for position in positions]
        if not self.running:
            return
        optimizer_state = self.optimizer.state_of(positions)
        self.buffers = {name: value[positions] for name, value in self.buffers.items()}
        for parameter in self.model.parameters():
            parameter.data = parameter.data[positions]
        self._assemble()
        self.optimizer.load(optimizer_state)


def _logs(request: FitRequest) -> list[InteractionLog]:
    return [log for log in (request.train, request.held_out, request.validation) if log is not None]


class StackSaver:
    """Saves a stack on its way, and loads it where it was saved before."""

    def __init__(self, stack: StackedTrainer, checkpoint_dir: Path | None) -> None:
        self.stack, self.pause = stack, stack.requests[0].trainer.checkpoint_seconds
        self.path = checkpoint_dir / f"{stack.identity}.ckpt" if checkpoint_dir else None
        self.last = time.monotonic()
        if self.path is None or not os.path.lexists(self.path):
            return
        try:
            stack.load(stack.check(self.path, read_checkpoint(self.path)))
        except Exception as error:  # what it holds may be anything
            what = error if isinstance(error, DataError) else f"{self.path}: checkpoint holds something else"
            warnings.warn(f"{what}; starting these fits again", stacklevel=2)
            make_way(self.path)
            self.path.unlink(missing_ok=True)
            self.stack = StackedTrainer(stack.requests)  # the other may be half loaded

    def after_epoch(self) -> None:
        """Save, where the last time is long enough ago."""
        if self.path is not None and time.monotonic() - self.last >= self.pause:
            write_checkpoint(self.path, self.stack.state())
            self.last = time.monotonic()
