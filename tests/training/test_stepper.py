"""The lean AdamW of stacks is torch's own."""

from __future__ import annotations

import copy

import torch

from causalrec.training.optimizer import SGD, AdamW
from causalrec.training.stepper import FusedAdamW, TorchStepper


def test_the_lean_kernel_steps_as_torchs_optimizer_does() -> None:
    torch.manual_seed(0)
    setting = AdamW(lr=0.03, weight_decay=0.5)
    shapes = [(3, 4, 2), (3, 5), (3,)]
    mine = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    other = [torch.nn.Parameter(value.clone()) for value in mine]
    lean, optimizer = setting.stepper(mine, axes=1), setting.build(other, axes=1)
    assert isinstance(lean, FusedAdamW)
    for step in range(7):
        gradients = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
        skipped = {1} if step == 3 else set()  # a parameter without a gradient is left alone, and so is its count
        lean.step([None if k in skipped else gradient for k, gradient in enumerate(gradients)])
        for k, (value, gradient) in enumerate(zip(other, gradients, strict=True)):
            value.grad = None if k in skipped else gradient.clone()
        optimizer.step()
    for value, parameter in zip(mine, other, strict=True):
        torch.testing.assert_close(value, parameter.data, rtol=1e-12, atol=1e-12)


def test_other_optimizers_step_as_they_are_and_hand_over_their_state() -> None:
    first, again = [torch.ones(2, 3)], [torch.ones(2, 3)]
    whole = SGD(lr=0.1).stepper(first, axes=1)
    assert isinstance(whole, TorchStepper)
    whole.step([torch.full((2, 3), 2.0)])
    again[0].copy_(first[0])
    resumed = SGD(lr=0.1).stepper(again, axes=1)
    resumed.load(0, copy.deepcopy(whole.state(0)))
    for stepper in (whole, resumed):
        stepper.step([torch.ones(2, 3)])
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], torch.ones(2, 3))
