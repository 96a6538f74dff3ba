"""The memory of a network's weights, counted before they are allocated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from causalrec.config.schema import ExperimentConfig
from causalrec.errors import RequestError
from causalrec.memory import free_memory, gigabytes

FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
SCORE_COPIES = 5  # of a batch with its candidates: scores, corrected, joined with the row's own, gradients
COPIES = 4  # of a trained weight: itself, its gradient, two moments; of a batch: two sides, their product, gradients


class CountedWeights(TorchFunctionMode):
    """Counts the bytes of tensors as they are asked for, whatever module asks; refuses what does not fit.

    Args:
        most: the bytes that there are.
        refuse: raises, given the bytes that are needed.
    """

    def __init__(self, most: int, refuse: Callable[[float], None]) -> None:
        super().__init__()
        self.most, self.refuse, self.needed = most, refuse, 0.0

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func in FACTORIES and str(named.get("device")) != "meta":
            self.needed += 4.0 * _elements(named.get("size", args))
            if self.needed > self.most:
                self.refuse(self.needed)
        return func(*args, **named)


def _elements(size: object) -> float:
    """Return the number of elements of a size as torch takes it: whole numbers, or one sequence of them."""
    if isinstance(size, int):
        return float(size)
    if not isinstance(size, Sequence):
        return 0.0
    shape = size[0] if size and isinstance(size[0], Sequence) else size
    return math.prod(float(length) for length in shape if isinstance(length, int))


@contextmanager
def bounded_weights(config: ExperimentConfig) -> Iterator[None]:
    """Raise RequestError where the weights made inside do not fit into the memory that is free."""
    free = free_memory()

    def refuse(needed: float) -> None:
        raise RequestError(_too_large(config, needed, free))

    with CountedWeights(free, refuse):
        yield


def require_training_memory(config: ExperimentConfig, module: nn.Module, rows: int) -> None:
    """Raise RequestError where training on this machine's processors takes more memory than is free.

    Counted are the copies of each trained weight, and a batch of vectors as wide as the widest weight.
    """
    if str(config.trainer.setting("accelerator")) != "cpu":
        return
    trained = [p for p in module.parameters() if p.requires_grad]
    if "batch_size" in config.sampler.keyword_names:
        rows = min(rows, int(str(config.sampler.setting("batch_size"))))
    batch = rows * max((p.shape[-1] for p in trained if p.ndim), default=0)
    needed = 4.0 * COPIES * (batch + sum(p.numel() for p in trained))
    if needed > (free := free_memory()):
        raise RequestError(_too_large(config, needed, free))


def require_candidate_memory(config: ExperimentConfig, rows: int, items: int) -> None:
    """Raise RequestError, with the arithmetic, where the scores of a batch with its candidates take more than is free.

    Args:
        config: of the job.
        rows: training rows.
        items: of the catalogue.
    """
    sampler = config.sampler.build()
    candidates = sampler.candidate_count(config.objective.target.space, rows, items)
    batch, free = min(sampler.batch_size, rows), free_memory()
    needed = 4.0 * SCORE_COPIES * batch * candidates
    if needed > free and str(config.trainer.setting("accelerator")) == "cpu":
        raise RequestError(
            f"sampler.batch_size={sampler.batch_size}: {batch:,} rows x {candidates:,} candidates x 4 bytes x "
            f"{SCORE_COPIES} copies of their scores are {gigabytes(needed)}, and {gigabytes(free)} are free here; "
            f"set it lower, or sampler=shared_negatives"
        )


def _too_large(config: ExperimentConfig, needed: float, free: int) -> str:
    """Name the largest whole number among the settings of encoder and head, which made it so large."""
    sizes = {
        f"{group}.{name}": value
        for group, component in (("encoder", config.encoder), ("head", config.head))
        for name, value in component.settings.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    key = max(sizes, key=sizes.__getitem__, default="encoder")
    label = f"{key}={sizes[key]}" if key in sizes else config.run.choice("encoder")
    return (
        f"{label}: weights and training need {gigabytes(needed)}, and {gigabytes(free)} are free here; set {key} lower"
    )
