"""The graph of a network as a file: ONNX, or torch's own `.pt2`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from causalrec.errors import RequestError
from causalrec.export.network import PairScores
from causalrec.export.packages import GraphForm
from causalrec.memory import gigabytes

MOST_ONNX_BYTES = 2_000_000_000  # of a protobuf file
TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")  # paths of the machine


def write_graph(network: PairScores, form: GraphForm, path: Path) -> None:
    """Write a graph `(user int64[N], item int64[N]) -> score`, N of any size from 1.

    Args:
        network: to trace.
        form: of the file.
        path: of the file; of ONNX it holds the weights, too.

    Raises:
        RequestError: Where torch cannot trace the network, or its weights are more than a file of ONNX holds.
    """
    with _quiet(), torch.no_grad():
        program = _trace(network)
        if form == "pt2":
            torch.export.save(program, path)
        else:
            _write_onnx(program, path)


def _trace(network: PairScores) -> ExportedProgram:
    """Return the network's operations, without those that nothing reads and without the lines of code behind them."""
    rows, example = Dim("rows", min=1), torch.zeros(3, dtype=torch.int64)
    shapes = ({0: rows}, {0: rows})
    try:
        traced = torch.export.export(network, (example, example.clone()), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever an encoder of any author does
        why = str(error).strip().partition("\n")[0]
        raise RequestError(f"export: torch cannot trace the run's network ({type(error).__name__}: {why})") from error
    program: ExportedProgram = traced.run_decompositions({})
    for node in program.graph.nodes:
        for name in TRACES:
            node.meta.pop(name, None)
    program.example_inputs = None
    return program


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    tensors: list[Tensor] = [*program.state_dict.values(), *program.constants.values()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > MOST_ONNX_BYTES:
        raise RequestError(
            f"export --to onnx: tables and weights are {gigabytes(size)}, above the 2 GB of a file of ONNX; take "
            f"--to pt2"
        )
    names = {"input_names": ["user", "item"], "output_names": ["score"]}
    written = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)  # type: ignore[arg-type]
    assert written is not None
    for node in written.model.graph:
        node.metadata_props.clear()
    written.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from reporting what it passes over."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
