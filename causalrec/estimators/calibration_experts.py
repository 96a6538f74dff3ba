"""Experts that calibrate a network's log-odds, each user's own mixture of them, fitted on held-out rows (DCE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-6  # chance of a label, so that its log is finite


@dataclass(frozen=True)
class CalibrationExperts:
    """Platt scalers (Platt, 1999) and the gate that mixes them: `q = sum_k g_k sigmoid(a_k logit + b_k)`.

    `g = softmax((W user + c) / temperature)`. A replica axis may stand before each shape.

    Attributes:
        scale: `[K]`, a.
        shift: `[K]`, b.
        gate: `[K,D]`, W.
        offset: `[K]`, c.
        temperature: `[1]`; the colder, the more each user has one expert.
    """

    scale: Tensor
    shift: Tensor
    gate: Tensor
    offset: Tensor
    temperature: Tensor

    @classmethod
    def start(cls, count: int, user: Tensor, generator: torch.Generator) -> CalibrationExperts:
        """Return K experts that change nothing, a = 1 and b = 0, and a random gate that tells them apart.

        Args:
            count: K.
            user: `[N,D]`, vectors that the gate reads.
            generator: of the gate, on the CPU.
        """
        gate = torch.randn(count, user.shape[-1], generator=generator).to(user)
        unit, zero = torch.ones(count).to(user), torch.zeros(count).to(user)
        return cls(unit, zero, gate, zero, unit[:1])

    @classmethod
    def from_buffers(cls, buffers: Mapping[str, Tensor], name: str) -> CalibrationExperts | None:
        """Return the experts that an objective has fitted under this name; None before the first epoch."""
        if f"{name}_scale" not in buffers:
            return None
        return cls(*(buffers[f"{name}_{field.name}"] for field in fields(cls)))

    def buffers(self, name: str) -> dict[str, Tensor]:
        """Return what `from_buffers` reads."""
        return {f"{name}_{field.name}": getattr(self, field.name) for field in fields(self)}

    def probability(self, logit: Tensor, user: Tensor) -> Tensor:
        """Return q, `[B]`.

        Args:
            logit: `[B]`, log-odds of a network.
            user: `[B,D]`, vectors that the gate reads.

        >>> unit, zero = torch.ones(1), torch.zeros(1)
        >>> same = CalibrationExperts(unit, zero, torch.zeros(1, 3), zero, unit)
        >>> same.probability(torch.zeros(2), torch.zeros(2, 3))
        tensor([0.5000, 0.5000])
        """
        preference = user @ self.gate.transpose(-1, -2) + self.offset[..., None, :]
        share = (preference / self.temperature[..., None]).softmax(-1)
        chance = torch.sigmoid(self.scale[..., None, :] * logit[..., None] + self.shift[..., None, :])
        return (share * chance).sum(-1)


def fit_experts(
    start: CalibrationExperts,
    logit: Tensor,
    user: Tensor,
    label: Tensor,
    weight: Tensor,
    *,
    temperature: float,
    steps: int,
    decay: float,
) -> CalibrationExperts:
    """Return the experts after some steps of L-BFGS on the weighted mean log loss, in float64: no draw, no rate.

    Args:
        start: from where.
        logit: `[N]`, log-odds of a network.
        user: `[N,D]`, vectors that the gate reads.
        label: `[N]` in [0, 1].
        weight: `[N]`, at least 0.
        temperature: of the gate, which is then kept.
        steps: at most; 0: the experts stay as they are.
        decay: half of it times the squared distance of a from 1, and of b, W and c from 0, is added to the loss, so
            that labels that a scaler separates have an end.
    """
    like, heat = logit, torch.full((1,), temperature, dtype=torch.float64, device=logit.device)
    counts = weight > 0  # of eleven rows one has an outcome
    logit, user, label, weight = (each[counts].detach().double() for each in (logit, user, label, weight))
    free = [v.detach().double().clone() for v in (start.scale, start.shift, start.gate, start.offset)]
    towards = [torch.ones_like(free[0]), *(torch.zeros_like(value) for value in free[1:])]

    def loss() -> Tensor:
        scale, shift, gate, offset = free
        chance = CalibrationExperts(scale, shift, gate, offset, heat).probability(logit, user).clamp(LEAST, 1 - LEAST)
        error = functional.binary_cross_entropy(chance, label, weight=weight, reduction="sum") / weight.sum()
        away = torch.stack([(v - middle).square().sum() for v, middle in zip(free, towards, strict=True)]).sum()
        return error + decay / 2 * away

    def gradient_step() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    if steps and len(logit):
        with torch.enable_grad():
            for value in free:
                value.requires_grad_()
            optimizer = torch.optim.LBFGS(free, max_iter=steps, line_search_fn="strong_wolfe")
            optimizer.step(gradient_step)  # type: ignore[no-untyped-call]
    return CalibrationExperts(*(value.detach().to(like) for value in (*free, heat)))
