"""Stacks of models whose code knows no replica axis, through `torch.func.vmap`.

It is the default of encoders and heads that do not say that they stack, where vmap takes them: an epoch of 4 to 16 fits
took .14 to .8 of the time of fits alone, and .9 to 2.3 times that of the code that knows the axis, which those that say
they stack keep (`benchmarks/vmap_stacking.py`, on a busy machine).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from causalrec.models import CausalModel
from causalrec.training.checkpoint import content_hash
from causalrec.training.datamodule import LogTensors, split_batches
from causalrec.training.fit_request import FitRequest
from causalrec.training.stacked.deduplicated_features import DeduplicatedFeatures
from causalrec.training.stacked.merge import stack_models
from causalrec.types import Batch, Outputs, Role, TensorPath

PROBED_ROWS, TOLERANCE = 4, 1e-8
_REFUSALS: dict[tuple[str, str], str | None] = {}  # by model and objective


class VmappedModel:
    """Calls a model with the stacked parameters `[R,...]` of another on batches `[R,B]`: what each replica gives alone.

    Args:
        single: a model without a replica axis; its own parameters are not read.
        stacked: whose parameters `[R,...]` are, as they are at each call.
    """

    def __init__(self, single: CausalModel, stacked: CausalModel) -> None:
        self.single, self.stacked = copy.deepcopy(single), stacked

    def __call__(self, batch: Batch) -> Outputs:
        """Return the outputs `[R,B]` of each replica on its rows."""
        columns = {
            path: column.tensor if isinstance(column, DeduplicatedFeatures) else column
            for path, column in batch.tensors().items()
        }

        def call(parameters: dict[str, Tensor], columns: dict[TensorPath, Tensor]) -> dict[TensorPath, Tensor]:
            outputs: Outputs = functional_call(self.single, parameters, (Batch.from_tensors(columns),))
            return outputs.tensors()

        flat = vmap(call)(dict(self.stacked.named_parameters()), columns)
        return Outputs.from_tensors(flat, self.stacked.link)


def unstackable_modules(model: CausalModel) -> list[str]:
    """Return the classes of encoders and heads that do not say that they stack."""
    networks = [model.network(Role(name)) for name in model.networks]
    modules = [module for network in networks for module in (network.encoder, network.head)]
    return [type(module).__name__ for module in modules if not module.vectorizable]


def vmap_key(model: CausalModel) -> tuple[str, str]:
    """Return what models that vmap stacks must share: their structure, and all that is no parameter."""
    return repr(model), content_hash([*sorted(model.named_buffers())])


def vmap_refusal(request: FitRequest, model: CausalModel) -> str | None:
    """Say why vmap does not take a model, None where it does: two replicas are tried on a few rows, in float64, and
    must give the values and gradients that they give alone. Random layers and control flow on data it refuses.
    """
    if model.reads_time:
        return "it reads histories"
    key = (repr(model), repr(request.objective))
    if key not in _REFUSALS:
        try:
            _REFUSALS[key] = _difference(request)
        except Exception as error:  # whatever a module raises where tensors are not what it knows
            _REFUSALS[key] = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
    return _REFUSALS[key]


def _difference(request: FitRequest) -> str | None:
    with torch.random.fork_rng(devices=[]):
        models = [request.model().double() for _ in range(2)]
    stacked, batch = stack_models(models), _few_rows(request)
    both = batch.map_tensors(lambda column: torch.stack([column, column]))
    outputs = VmappedModel(models[0], stacked)(both).tensors()
    torch.stack([value.square().sum() for value in outputs.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for k, model in enumerate(models):
        alone = model(batch).tensors()
        torch.stack([value.square().sum() for value in alone.values()]).sum().backward()  # type: ignore[no-untyped-call]
        values = [(outputs[path][k], value) for path, value in alone.items()]
        for mine, other in (*values, *_gradients(stacked, model, k)):
            if not torch.allclose(mine, other, rtol=TOLERANCE, atol=TOLERANCE):
                return "it gives other values than alone"
    return None


def _gradients(stacked: CausalModel, model: CausalModel, replica: int) -> Iterator[tuple[Tensor, Tensor]]:
    together = dict(stacked.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradient = together[name].grad
            yield torch.zeros_like(parameter) if gradient is None else gradient[replica], parameter.grad


def _few_rows(request: FitRequest) -> Batch:
    """Return a batch `[B]` of the objective's rows, from the first of the log."""
    log = request.train.take(np.arange(min(len(request.train), PROBED_ROWS)))
    tensors = LogTensors(
        log, request.features, request.pair_propensity, False, request.columns, request.arm_propensities
    )
    block = next(iter(request.sampler.blocks(log, request.objective.space, 0, 0)))
    batch = next(split_batches(tensors.batches(block)))
    return batch.map_tensors(lambda column: column.double() if column.is_floating_point() else column)
