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
from causalrec.prepared import PreparedData

FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
COPIES = 4  # of a trained weight: itself, its gradient, two moments; of a batch: two sides, their product, gradients


class CountedWeights(TorchFunctionMode):
    """Counts the bytes of tensors as they are asked for, whatever module asks; refuses what does not fit.

    Args:
        most: the bytes that there are.
        refuse: raises, given the bytes that are needed.
        tables: whose ids are as many as a table of them has rows, by that number.
        copies: of a table of ids that training holds.

    The attribute `largest` holds the bytes of the largest table of ids in all its copies, its length and its width.
    """

    def __init__(
        self, most: int, refuse: Callable[[float], None], tables: Mapping[int, str] | None = None, copies: int = 1
    ) -> None:
        super().__init__()
        self.most, self.refuse, self.needed, self.copies = most, refuse, 0.0, copies
        self.tables: Mapping[int, str] = {} if tables is None else tables
        self.largest = (0.0, 0, 0)

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func in FACTORIES and str(named.get("device")) != "meta":
            self.needed += self._bytes(_shape(named.get("size", args)))
            if self.needed > self.most:
                self.refuse(self.needed)
        return func(*args, **named)

    def _bytes(self, shape: Sequence[int]) -> float:
        """Return what a tensor takes, a table of ids in all its copies."""
        size = 4.0 * math.prod(map(float, shape))
        if not shape or shape[0] not in self.tables:
            return size
        self.largest = max(self.largest, (self.copies * size, shape[0], math.prod(shape[1:])))
        return self.copies * size


def _shape(size: object) -> list[int]:
    """Return a size as torch takes it: whole numbers, or one sequence of them."""
    if isinstance(size, int):
        return [size]
    if not isinstance(size, Sequence):
        return [0]
    shape = size[0] if size and isinstance(size[0], Sequence) else size
    return [length for length in shape if isinstance(length, int)]


@contextmanager
def bounded_weights(config: ExperimentConfig, tables: Mapping[int, str] | None = None) -> Iterator[None]:
    """Raise RequestError where the weights made inside do not fit into the memory that is free.

    `tables`: of weights that are to be trained, `users` and `items` by their number.
    """
    free, copies = free_memory(), table_copies(config)
    if not on_processor(config):
        tables = None  # copies lie where it trains

    def refuse(needed: float) -> None:
        size, rows, width = counted.largest
        if not size:
            raise RequestError(_too_large(config, needed, free))
        product = f"{rows:,} {counted.tables[rows]} x {width:,} numbers x 4 bytes x {len(copies)} copies"
        label, key = _largest_setting(config)
        raise RequestError(
            f"{label}: a table of ids takes {product} ({', '.join(copies)}) = {gigabytes(size)} of {gigabytes(needed)} "
            f"in all, and {gigabytes(free)} are free here; set {key} lower"
        )

    with CountedWeights(free, refuse, tables, len(copies)) as counted:
        yield


def on_processor(config: ExperimentConfig) -> bool:
    """Whether a network trains in this machine's own memory."""
    return str(config.trainer.setting("accelerator")) == "cpu"


def table_copies(config: ExperimentConfig) -> tuple[str, ...]:
    """Return what training holds as large as a table of ids."""
    weights, moments, best = "weights", ("first moments", "second moments"), "the best epoch's"
    return (weights, *(() if config.optimizer.target.row_sparse else ("gradients",)), *moments, best)


def require_table_memory(config: ExperimentConfig, prepared: PreparedData, build: Callable[[], object]) -> None:
    """Raise RequestError before any fit where tables of ids as wide as `encoder.width` would not fit into memory.

    Args:
        config: of the job.
        prepared: whose ids they are.
        build: makes the model, and raises where that is too large; called in doubt alone, for it may take long.
    """
    width = config.encoder.setting("width") if "width" in config.encoder.keyword_names else None
    log, ids = prepared.encoder_data.logged, prepared.features.ids
    rows = log.num_users * ("user" in ids) + log.num_items * ("item" in ids)
    copies = len(config.objective.target.roles) * len(table_copies(config))
    if isinstance(width, int) and 4 * rows * (width + 1) * copies > free_memory():
        build()


def require_training_memory(config: ExperimentConfig, module: nn.Module, rows: int) -> None:
    """Raise RequestError where training on this machine's processors takes more memory than is free.

    Counted are the copies of each trained weight, and a batch of vectors as wide as the widest weight.
    """
    if not on_processor(config):
        return
    trained = [p for p in module.parameters() if p.requires_grad]
    if "batch_size" in config.sampler.keyword_names:
        rows = min(rows, int(str(config.sampler.setting("batch_size"))))
    batch = rows * max((p.shape[-1] for p in trained if p.ndim), default=0)
    needed = 4.0 * COPIES * (batch + sum(p.numel() for p in trained))
    if needed > (free := free_memory()):
        raise RequestError(_too_large(config, needed, free))


def _too_large(config: ExperimentConfig, needed: float, free: int) -> str:
    label, key = _largest_setting(config)
    return (
        f"{label}: weights and training need {gigabytes(needed)}, and {gigabytes(free)} are free here; set {key} lower"
    )


def _largest_setting(config: ExperimentConfig) -> tuple[str, str]:
    """Name the largest whole number among the settings of encoder and head, which made it so large, and its key."""
    sizes = {
        f"{group}.{name}": value
        for group, component in (("encoder", config.encoder), ("head", config.head))
        for name, value in component.settings.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    key = max(sizes, key=sizes.__getitem__, default="encoder")
    return (f"{key}={sizes[key]}" if key in sizes else config.run.choice("encoder")), key
