"""What may stack, with what, and how much memory it takes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import torch

from causalrec.training.fit_request import FitRequest
from causalrec.training.scheduler import ConstantRate
from causalrec.training.stacked.vmap import unstackable_modules, vmap_key, vmap_refusal

DTYPES = {"32-true": torch.float32, "64-true": torch.float64}
STATE_COPIES = 8  # parameters, gradients, two moments, the best ones, and what a step makes on its way


def reason_to_fit_alone(request: FitRequest) -> str | None:
    """Return why a request cannot train beside others, None where it can."""
    model = request.model()
    if request.optimizer.row_sparse:
        return f"optimizer={type(request.optimizer).__name__} steps the rows of a batch alone"
    if names := unstackable_modules(model):
        refusal = vmap_refusal(request, model)
        if refusal is None and request.objective.passes:
            refusal = "it makes no passes with dropout"
        if refusal is None and any(penalty.moves for penalty in request.penalties.values()):
            refusal = "it makes no second forward at moved vectors"
        if refusal is not None:
            return f"{names[0]} does not stack, nor by vmap: {refusal}"
    settings = request.trainer
    for name, penalty in request.penalties.items():
        if not penalty.vectorizable:
            return f"penalty={name} does not stack"
        if penalty.reads_time or penalty.start_state():
            return f"penalty={name} reads times or keeps a state"
        if penalty.rows is not None:
            return f"penalty={name} draws rows of its own"
    if type(request.scheduler) is not ConstantRate:
        return f"scheduler={type(request.scheduler).__name__}"
    if settings.callbacks:
        return "trainer.callbacks"
    if settings.precision not in DTYPES:
        return f"trainer.precision={settings.precision}"
    return None if settings.devices == 1 else f"trainer.devices={settings.devices}"


def stack_key(request: FitRequest) -> Hashable:
    """Return what requests of one stack must share: all but seed, rows, the numbers of objective and
    optimizer, and the weights of penalties."""
    objective = {name: value for name, value in vars(request.objective).items() if not isinstance(value, float)}
    settings = (
        repr(request.trainer),
        request.sampler,
        request.criterion,
        request.clip,
        request.validation_space,
        request.epochs is None,
    )
    held_out = 0 if request.held_out is None else len(request.held_out)
    rows = (
        len(request.train),
        held_out,
        len(request.validation),
        request.features.identity,
        request.pair_propensity is None,
    )
    units = (request.train.unit is None, request.validation.unit is None, *request.trained_ids)
    penalties = {name: repr(replace(penalty, weight=0.0)) for name, penalty in request.penalties.items()}
    columns = tuple(sorted(request.columns))
    model = request.model()
    return (
        vmap_key(model) if unstackable_modules(model) else (),
        type(request.objective),
        repr(objective),
        type(request.optimizer),
        settings,
        rows,
        units,
        repr(penalties),
        columns,
    )


def replica_bytes(request: FitRequest) -> int:
    """Return about how many bytes one replica of a stack takes."""
    model, size = request.model(), DTYPES[request.trainer.precision].itemsize
    parameters = sum(parameter.numel() for parameter in model.parameters())
    rows = request.sampler.batch_size * (64 + request.features.dense_width) + len(request.validation) * 16
    return size * (STATE_COPIES * parameters + rows * len(request.objective.roles))
