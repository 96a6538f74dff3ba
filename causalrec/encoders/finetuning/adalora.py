"""Low-rank adaptation that shares out its ranks while it is trained (AdaLoRA: Zhang et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.encoders.finetuning.base import AbstractFinetuning, Rate
from causalrec.encoders.finetuning.layers import learning_rates
from causalrec.encoders.finetuning.peft_adapter import NAME, inject_adapter
from causalrec.errors import RequestError
from causalrec.types import Count


@dataclass(frozen=True, kw_only=True)
class AdaLoRA(AbstractFinetuning):
    """Adds `alpha * P diag(e) Q x / rank`; of all singular values e the least important are set to 0, until
    `final_rank` a module are left on average.

    The ranks shrink (cubically) from step `warmup` to `steps - final`, and then stay. Set `steps` to the number that
    the fit will take: a fit that ends earlier has more ranks. Source: Zhang et al. (ICLR 2023, sections 3.1-3.3,
    algorithm 1). Raises RequestError without `peft`, for ranks that do not shrink and for a schedule that leaves no
    step to shrink them in.

    Attributes:
        rank: rank of each module at first.
        final_rank: average rank of the modules at the end, below `rank`.
        alpha: scale of the added term.
        dropout: share of the inputs that training drops.
        steps: optimizer steps of the schedule.
        warmup: steps before the ranks begin to shrink.
        final: steps at the end in which the ranks stay.
        every: steps between two allocations of the ranks.
        orthogonality: weight of the mean of `|P'P - I|` and `|QQ' - I|`, whose gradient joins that of the loss.
        targets: last names of the linear modules that are adapted; None: those that `peft` names for the architecture.
        lr: learning rate; None: the optimizer's.
        gradient_checkpointing: layers are computed again in the backward pass.
    """

    rank: Count = 12
    final_rank: Count = 8
    alpha: Annotated[int, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    steps: Count = 1000
    warmup: Annotated[int, Field(ge=0)] = 100
    final: Annotated[int, Field(ge=0)] = 300
    every: Count = 10
    orthogonality: Annotated[float, Field(ge=0)] = 0.1
    targets: tuple[str, ...] | None = None
    lr: Rate | None = 5e-4
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.final_rank >= self.rank:
            raise RequestError(f"finetuning.final_rank={self.final_rank}: must be below finetuning.rank={self.rank}")
        if self.warmup >= self.steps - self.final:
            raise RequestError(
                f"finetuning.steps={self.steps}: leaves none between warmup={self.warmup} and final={self.final}"
            )

    def apply(self, backbone: nn.Module) -> nn.Module:
        schedule = {"total_step": self.steps, "tinit": self.warmup, "tfinal": self.final, "deltaT": self.every}
        ranks = {"init_r": self.rank, "target_r": self.final_rank, "lora_alpha": self.alpha}
        targets = None if self.targets is None else list(self.targets)
        model, config = inject_adapter(
            backbone,
            "AdaLoraConfig",
            self.gradient_checkpointing,
            lora_dropout=self.dropout,
            target_modules=targets,
            **schedule,
            **ranks,
        )
        keep_orthogonal(lora_parameters(model), self.orthogonality)
        model.add_module("budget", Budget(model, config))
        return model

    def rates(self, backbone: nn.Module) -> Mapping[str, float]:
        return learning_rates(backbone, self.lr)

    def after_optimizer_step(self, backbone: nn.Module) -> None:
        budget = backbone.get_submodule("budget")
        assert isinstance(budget, Budget)
        budget.allocate(backbone)


class Budget(nn.Module):
    """Allocates the ranks: `peft`'s allocator, with its statistics in buffers, so that a fit can go on with them."""

    def __init__(self, backbone: nn.Module, config: Any) -> None:
        from peft.tuners.adalora.layer import RankAllocator

        super().__init__()
        self.allocator: Any = RankAllocator(backbone, config, NAME)  # type: ignore[no-untyped-call]
        self.names = [name for name, _ in lora_parameters(backbone)]
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        for index, (_, parameter) in enumerate(lora_parameters(backbone)):
            for kind in ("ipt", "unc"):
                self.register_buffer(f"{kind}{index}", torch.zeros_like(parameter, requires_grad=False))

    @torch.no_grad()
    def allocate(self, backbone: nn.Module) -> None:
        """Judge the parameters by their gradients and set what exceeds the budget of this step to 0."""
        if any(parameter.grad is None for _, parameter in lora_parameters(backbone)):
            return  # a role whose text was not read
        step = int(self.get_buffer("step").add_(1))
        allocator, config = self.allocator, self.allocator.peft_config
        allocator.ipt = dict.fromkeys(self.names)
        allocator.exp_avg_ipt, allocator.exp_avg_unc = self._statistics("ipt"), self._statistics("unc")
        last = config.total_step - config.tfinal
        if step <= last:
            allocator.update_ipt(backbone)
        budget, due = allocator.budget_schedule(step)
        if due or step == last:
            allocator.mask_to_budget(backbone, budget)
        for index, name in enumerate(self.names):
            self.get_buffer(f"ipt{index}").copy_(allocator.exp_avg_ipt[name])
            self.get_buffer(f"unc{index}").copy_(allocator.exp_avg_unc[name])

    def _statistics(self, kind: str) -> dict[str, Tensor]:
        return {name: self.get_buffer(f"{kind}{index}") for index, name in enumerate(self.names)}


def lora_parameters(backbone: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return P, e and Q of every adapted module, by name."""
    return [
        (name, parameter)
        for name, parameter in backbone.named_parameters()
        if "lora_" in name and parameter.requires_grad
    ]


def keep_orthogonal(parameters: Iterable[tuple[str, nn.Parameter]], weight: float) -> None:
    """Add the gradient of `weight * mean |P'P - I|` to that of every P and Q (`lora_B` and `lora_A`)."""
    bases = [(name, parameter) for name, parameter in parameters if "lora_E" not in name]
    for name, parameter in bases if weight else ():
        hook = partial(_add_orthogonality, parameter, "lora_B" in name, weight / len(bases))
        parameter.register_hook(hook)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _add_orthogonality(parameter: nn.Parameter, columns: bool, weight: float, gradient: Tensor) -> Tensor:
    rows = parameter.T if columns else parameter
    error = rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    change = 2 * error @ rows / torch.linalg.matrix_norm(error).clamp_min(1e-12)
    return gradient.add(change.T if columns else change, alpha=weight)
