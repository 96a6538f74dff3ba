"""The stacked_optimizers of stacks are torch's own optimizers, replica by replica."""

from __future__ import annotations

import copy

import torch

from causalrec.training.optimizer import SGD, AdamW
from causalrec.training.stacked_optimizer import StackedAdamW, StackedTorchOptimizer


def test_one_kernel_steps_every_replica_as_torchs_optimizer_does_at_its_own_rate_and_decay() -> None:
    torch.manual_seed(0)
    numbers = ((0.03, 0.5, 0.01), (0.3, 0.5, 0.2), (0.03, 2.0, 0.3))
    settings = [AdamW(lr=lr, weight_decay=decay, bias_decay=of_biases) for lr, decay, of_biases in numbers]
    shapes = [(3, 4, 2), (3, 5), (3,)]
    mine = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    others = [[torch.nn.Parameter(value[k].clone()) for value in mine] for k in range(3)]
    optimizers = [setting.build(other) for setting, other in zip(settings, others, strict=True)]
    ((rows, joint),) = AdamW.stacked_optimizers(settings, mine)
    assert rows == slice(0, 3) and isinstance(joint, StackedAdamW)
    for step in range(7):
        gradients = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
        skipped = {1} if step == 3 else set()  # a parameter without a gradient is left alone, and so is its count
        joint.step([None if k in skipped else gradient for k, gradient in enumerate(gradients)])
        for replica, (other, optimizer) in enumerate(zip(others, optimizers, strict=True)):
            for k, (value, gradient) in enumerate(zip(other, gradients, strict=True)):
                value.grad = None if k in skipped else gradient[replica].clone()
            optimizer.step()
    for k, value in enumerate(mine):
        for replica, other in enumerate(others):
            torch.testing.assert_close(value[replica], other[k].data, rtol=1e-12, atol=1e-12)


def test_other_optimizers_step_as_they_are_in_runs_of_equal_ones_and_hand_over_their_state() -> None:
    settings = [SGD(lr=0.1), SGD(lr=0.1), SGD(lr=0.4)]
    first, again = [torch.ones(3, 2)], [torch.ones(3, 2)]
    originals = SGD.stacked_optimizers(settings, first)
    assert [rows for rows, _ in originals] == [slice(0, 2), slice(2, 3)]
    for rows, optimizer in originals:
        assert isinstance(optimizer, StackedTorchOptimizer)
        optimizer.step([torch.full((3, 2), 2.0)[rows]])
    again[0].copy_(first[0])
    resumed = SGD.stacked_optimizers(settings, again)
    for (_, optimizer), (_, other) in zip(resumed, originals, strict=True):
        optimizer.load(0, copy.deepcopy(other.state(0)))
    for rows, optimizer in (*originals, *resumed):
        optimizer.step([torch.ones(3, 2)[rows]])
    assert torch.equal(first[0], again[0]) and len(first[0].unique()) == 2
