"""The one LightningModule: it reduces an objective's terms and steps one optimizer per trained role."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial, reduce
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import FSDPStrategy, SingleDeviceStrategy
from torch import Tensor

from causalrec.encoders.base import AbstractIdRows
from causalrec.encoders.row_lookups import RowLookups
from causalrec.errors import CausalRecError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.estimators.reduction import batch_sum
from causalrec.models import CausalModel
from causalrec.training.checkpoint import Checkpoint, random_states, set_random_states
from causalrec.training.criterion import CriterionWeighting, classification_report, confusion, validation_errors
from causalrec.training.dropout_passes import draw_generators, with_passes
from causalrec.training.epoch_rows import outputs_in_parts, run_between_epochs, with_buffers
from causalrec.training.fit_result import MONITOR, Epoch, log_curve
from causalrec.training.moved_vectors import with_moved_vectors
from causalrec.training.optimizer import AbstractOptimizer
from causalrec.training.penalty_states import PenaltyStates
from causalrec.training.row_sparse import RowSparseAdamW
from causalrec.training.scheduler import AbstractScheduler, ConstantRate
from causalrec.training.unseen_ids import TrainedIds, set_unseen_to_mean
from causalrec.types import OUTCOME, Batch, Outputs, Role, Term

__all__ = ["MONITOR", "CausalRecModule", "CriterionWeighting"]
T = TypeVar("T")


class CausalRecModule(pl.LightningModule):
    """Trains a model on an objective. Never subclassed: vary it by the parts it is handed.

    Args:
        model: that is trained.
        objective: whose terms are minimised.
        optimizer: built for each role that is trained.
        criterion: what early stopping and selection read, on *biased* validation rows: the self-normalised
            inverse-propensity weighted error (`ips`), or the plain mean error (`naive`).
        criterion_clip: least propensity that `ips` divides by, whatever the objective clips at, so that all rows of a
            table are chosen alike.
        prefix: of the fit's curves in the logger.
        penalties: terms added to the objective's, by name.
        scheduler: of the learning rates; None: constant rates.
        trained: which ids have a training row, where others are read at their mean; None: all are read as they are.
        seed: of the fit, for what the objective draws between epochs and in passes with dropout.

    Objective and penalties read batches and outputs in the model's unit. Losses and criteria that are noted are in the
    outcome's, squared; what has no unit (the likelihood of a treatment, a balance) is multiplied by the same variance.

    The trainer sets the attribute `gradient_clip`, the largest gradient norm of a role. The attribute `curve` holds the
    epochs trained so far. A checkpoint is a position within an epoch: the fit goes on with the next batch.
    """

    def __init__(
        self,
        model: CausalModel,
        objective: AbstractObjective,
        optimizer: AbstractOptimizer,
        criterion: CriterionWeighting = "ips",
        criterion_clip: float = 0.01,
        prefix: str = "",
        penalties: Mapping[str, AbstractPenalty] | None = None,
        scheduler: AbstractScheduler | None = None,
        trained: TrainedIds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.criterion, self.criterion_clip, self.prefix = criterion, criterion_clip, prefix
        self.penalties = {} if penalties is None else dict(penalties)
        self.scheduler = ConstantRate() if scheduler is None else scheduler
        self.trained: TrainedIds = {} if trained is None else trained
        self.seed = seed
        self.epoch_buffers: dict[str, Tensor] = {}
        self.penalty_states = PenaltyStates()
        self.gradient_clip: float | None = None
        self.fingerprint = ""
        self.curve: list[Epoch] = []
        self._loss: Tensor | float = 0.0
        self._steps = 0
        self._direct: list[torch.optim.Optimizer] = []
        self._validation_sums = torch.zeros(2, dtype=torch.float64)
        self._confused: Tensor | None = None
        self._report: dict[str, object] | None = None
        self._random: Checkpoint | None = None
        self._row_sparse: list[RowSparseAdamW] = []
        self._lookups = {role: self._track_lookups(role) for role in objective.roles if optimizer.row_sparse}
        empty = [name for name, parameter in self.named_parameters() if not parameter.numel()]  # no loss reads them
        self._ddp_params_and_buffers_to_ignore = [*empty, *self._tables()]  # DDP's; ranks gather the rows of tables

    def _track_lookups(self, role: Role) -> list[RowLookups]:
        modules = () if role in self.model.free else self.model.network(role).modules()
        tables = (module for module in modules if isinstance(module, AbstractIdRows))
        return [lookups for module in tables for lookups in module.track_lookups()]

    def _tables(self) -> dict[str, RowLookups]:
        """Return what looks up tables that are stepped by rows, by the name of the table."""
        by_table = {id(each.table): each for of_role in self._lookups.values() for each in of_role}
        return {name: by_table[id(value)] for name, value in self.named_parameters() if id(value) in by_table}

    def configure_optimizers(self) -> Any:
        optimizers = [self._optimizer(role) for role in self.objective.roles]
        self._row_sparse = [each for each in optimizers if isinstance(each, RowSparseAdamW)]
        epochs = 1 if self._trainer is None else self.trainer.max_epochs or 1
        schedules = [built for each in optimizers if (built := self.scheduler.build(each, epochs)) is not None]
        return (optimizers, schedules) if schedules else optimizers

    def _optimizer(self, role: Role) -> torch.optim.Optimizer:
        if role in self.model.free:
            return self.optimizer.build(self.model.parameters_of(role))
        network = self.model.network(role)
        build = partial(self.optimizer.build, self.model.parameters_of(role), rates=network.rates())
        built = build(lookups=self._lookups[role]) if self.optimizer.row_sparse else build()
        if network.encoder.text_encoders():
            built.register_step_post_hook(lambda *_: network.encoder.after_optimizer_step())
        return built

    def on_train_epoch_start(self) -> None:
        if self.objective.epoch_rows is None or self._steps:  # a resumed epoch has its buffers
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        kind = next(self.model.parameters())
        rows = data.epoch_rows(self.objective.epoch_rows, self.current_epoch).to(self.device)
        rows = self.model.standardise(rows.map_tensors(lambda c: c.to(kind.dtype) if c.is_floating_point() else c))
        self.model.eval()
        outputs = outputs_in_parts(self.model, rows, self.model.rows_at_once)
        self.model.train()
        seen = with_buffers(outputs, self.epoch_buffers)
        self.epoch_buffers = run_between_epochs(self.objective, rows, seen, self.current_epoch, self.seed)

    def _outputs(self, batch: Batch) -> Outputs:
        """Return the outputs of a training batch, with all else that the objective reads."""
        outputs = with_buffers(self.model(batch), self.epoch_buffers)
        if not self.objective.passes:
            return outputs
        rank = self.trainer.global_rank if self._trainer is not None else 0
        draws = draw_generators([self.seed], self.current_epoch, self._steps, rank)
        return with_passes(self.model, self.objective, batch, outputs, draws)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        batch = self.model.standardise(batch)
        outputs = self._outputs(batch)
        terms = {**self.objective.terms(batch, outputs)}
        with_prior = terms | self.model.prior_terms(batch, outputs)
        loss = reduce(torch.add, [self.reduce(term, batch) for term in with_prior.values()])
        if any(penalty.reads_terms or penalty.moves for penalty in self.penalties.values()):
            outputs = replace(outputs, terms=terms)
        clean = loss
        for name, penalty in self.penalties.items():
            seen = outputs
            if penalty.moves:
                seen = with_moved_vectors(self.model, self.objective, penalty, batch, outputs, clean)
            loss = loss + penalty.weight * self._penalty(name, penalty, batch, seen)
        self._update(loss)
        self._loss = self._loss + loss.detach()
        self._steps += 1

    def _penalty(self, name: str, penalty: AbstractPenalty, batch: Batch, outputs: Outputs) -> Tensor:
        """Return a penalty's value, from its own rows where it draws them; raise CausalRecError where not finite."""
        if penalty.rows is not None:
            batch = batch.penalty_batches[name]
            outputs = self.model(batch)
        ratios = penalty.ratios(batch, outputs)
        value = self.penalty_states.combine(
            name, penalty, {key: self._global_ratio(term, batch) for key, term in ratios.items()}
        )
        if not torch.isfinite(value.detach()):
            raise not_finite_error(name, float(value.detach()), self.current_epoch, self._steps)
        return value

    def _update(self, loss: Tensor) -> None:
        """Step every optimizer; on one device without a scaler past Lightning, whose hooks would do nothing."""
        optimizers = self._direct or _as_list(self.optimizers())
        for optimizer in optimizers:
            for parameter in (tensor for group in optimizer.param_groups for tensor in group["params"]):
                parameter.grad = None
        loss.backward() if self._direct else self.manual_backward(loss)  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            self._clip_gradients(optimizer)
            optimizer.step()

    def _clip_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        if self.gradient_clip is None:
            return
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        scale = 1.0 if scaler is None else float(scaler.get_scale())  # its gradients are not unscaled yet: so the bound
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        parameters += inner.stand_ins() if isinstance(inner, RowSparseAdamW) else []
        torch.nn.utils.clip_grad_norm_(parameters, self.gradient_clip * scale)

    def reduce(self, term: Term, batch: Batch) -> Tensor:
        """Return `sum(weight * value) / sum(weight * normaliser)` over the global batch, a scalar; its square if asked.

        DDP averages gradients over ranks, so each rank's share is scaled by their number.
        """
        return self._global_ratio(term, batch).square() if term.squared else self._ratio(term, batch)

    def _global_ratio(self, term: Term, batch: Batch) -> Tensor:
        """Return the ratio over all ranks, whose gradient is this rank's share: for functions that are not linear."""
        ratio = self._ratio(term, batch)
        return batch_sum(ratio / self._world) + (ratio - ratio.detach())

    def _ratio(self, term: Term, batch: Batch) -> Tensor:
        if self._world == 1:  # the usual case, spared the collective and its tensors
            normaliser = term.normaliser
            total = len(batch) if normaliser is None else torch.dot(batch.weight, normaliser.detach())
            return torch.dot(batch.weight, term.value) / total
        rows = torch.ones_like(term.value) if term.normaliser is None else batch.weight * term.normaliser
        return torch.dot(batch.weight, term.value) * self._world / batch_sum(rows)

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self._trainer is not None else 1

    def on_validation_start(self) -> None:
        self._settle()

    def _settle(self) -> None:
        """Make the weights those that are judged and kept: the decay of rows caught up, unseen ids at the mean."""
        for optimizer in self._row_sparse:
            optimizer.catch_up()
        self._set_unseen_to_mean()

    def _set_unseen_to_mean(self) -> None:
        if not self.trained:
            return
        strategy = self.trainer.strategy
        with whole_parameters(strategy.model) if isinstance(strategy, FSDPStrategy) else nullcontext():
            set_unseen_to_mean(self.model, self.trained)

    def on_train_epoch_end(self) -> None:
        self._settle()  # a refit has no validation
        mean = torch.as_tensor(self.model.loss_unit * self._loss / max(self._steps, 1), device=self.device)
        loss = float(self.trainer.strategy.reduce(mean, reduce_op="mean"))
        criterion_tensor = self.trainer.callback_metrics.get(MONITOR)
        criterion = None if criterion_tensor is None else float(criterion_tensor)
        self.curve.append(Epoch(self.current_epoch, loss, criterion, self._report))
        log_curve(self.trainer.logger, self.prefix, self.curve[-1:])
        self._loss, self._steps = 0.0, 0
        for schedule in _as_list(self.lr_schedulers() or []):
            schedule.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        batch, link = self.model.standardise(batch), self.model.link
        outputs = with_buffers(self.model(batch), self.epoch_buffers)
        error, weight = validation_errors(self.objective, outputs, batch, self.criterion, self.criterion_clip)
        sums = [(error * weight).to("cpu", torch.float64).sum(), weight.to("cpu", torch.float64).sum()]
        self._validation_sums = self._validation_sums + torch.stack(sums)
        if link == "softmax":
            counts = confusion(outputs[OUTCOME], batch.outcome, batch.observed)
            self._confused = counts if self._confused is None else self._confused + counts

    def on_validation_epoch_end(self) -> None:
        sums = (
            self._validation_sums
            if self._world == 1
            else batch_sum(self._validation_sums.to(self.device)[:, None])[:, 0].cpu()
        )
        self._validation_sums = torch.zeros(2, dtype=torch.float64)
        if self._confused is not None:
            counts = self._confused if self._world == 1 else batch_sum(self._confused[..., None])[..., 0]
            self._confused, self._report = None, classification_report(counts.cpu())
        self.log(MONITOR, (float(self.model.loss_unit) * sums[0] / sums[1]).float(), logger=False)

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        del checkpoint["loops"]  # the position is ours: Lightning's own does not resume between steps and validation
        rank_state = {"loss": self._loss, "random": random_states()}
        checkpoint["fingerprint"], checkpoint["ranks"] = self.fingerprint, gather_ranks(rank_state, self._world)
        checkpoint["buffers"], checkpoint["penalty_states"] = self.epoch_buffers, self.penalty_states.by_name
        checkpoint["steps"], checkpoint["curve"] = self._steps, [tuple(vars(point).values()) for point in self.curve]
        self._keep_waiting_tables(checkpoint)

    def _keep_waiting_tables(self, checkpoint: Checkpoint) -> None:
        """Hold tables of ids with all their decay, and as they are too: to go on to the same bits."""
        weights, tables = checkpoint["state_dict"], self._tables()
        checkpoint["waiting"] = {name: weights[name] for name in tables}
        checkpoint["state_dict"] = {**weights, **{name: each.caught_up() for name, each in tables.items()}}

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **checkpoint.get("waiting", {})}
        self.epoch_buffers = {name: value.to(self.device) for name, value in checkpoint.get("buffers", {}).items()}
        self.penalty_states.load(checkpoint.get("penalty_states", {}))
        rank_state = checkpoint["ranks"][self.trainer.global_rank]
        self._loss, self._random, self._steps = rank_state["loss"], rank_state["random"], checkpoint["steps"]
        self.curve = [Epoch(*point) for point in checkpoint["curve"]]
        done: Any = self.trainer.fit_loop.epoch_progress.current
        done.ready = done.started = done.processed = done.completed = checkpoint["epoch"]
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        data.start = (checkpoint["epoch"], self._steps)

    def on_train_start(self) -> None:
        one_device = isinstance(self.trainer.strategy, SingleDeviceStrategy)
        scaled = str(self.trainer.precision) == "16-mixed"
        self._direct = _as_list(self.optimizers(use_pl_optimizer=False)) if one_device and not scaled else []
        log_curve(self.trainer.logger, self.prefix, self.curve)
        if self._random is not None:
            set_random_states(self._random)


def whole_parameters(sharded: Any) -> AbstractContextManager[None]:
    """Have every rank hold all of a model's parameters, which are cut over the ranks."""
    from torch.distributed.fsdp import FullyShardedDataParallel  # a second to import: only what is cut pays for it

    context: AbstractContextManager[None] = FullyShardedDataParallel.summon_full_params(sharded)
    return context


def _as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def not_finite_error(name: str, value: float, epoch: int, step: int) -> CausalRecError:
    """Say where a penalty's value went wrong.

    Args:
        name: of the penalty.
        value: that is not finite.
        epoch: from 0.
        step: within the epoch, from 0.
    """
    return CausalRecError(
        f"penalty={name}: its value is {value} at epoch {epoch}, step {step}; lower penalty.{name}.weight or "
        f"optimizer.lr, or mend its combine"
    )


def gather_ranks(local: T, world: int) -> list[T]:
    """Return the value of every rank."""
    if world == 1:
        return [local]
    values = [local] * world
    torch.distributed.all_gather_object(values, local)
    return values
