"""Pairs a second of an exported graph: onnxruntime and `.pt2` beside torch itself, one thread each, median of 7."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from causalrec.encoders.base import AbstractAnyEncoder, EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.encoders.neumf import NeuMF
from causalrec.estimators.objective.naive import Naive
from causalrec.export.graph_file import write_graph
from causalrec.export.network import PairScores
from causalrec.export.packages import GRAPH_FORMS
from causalrec.export.scorer import load_graph
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME, Floats, Ints

USERS, ITEMS, USER_COLUMNS, ITEM_COLUMNS = 943, 1682, 24, 20  # of MovieLens-100K
BATCHES, ROUNDS, SECONDS = (1, 256, 8192), 7, 0.2
Score = Callable[[Ints, Ints], Floats]


def network(encoder: type[AbstractAnyEncoder], width: int) -> PairScores:
    """Return a network of random weights, as it is after training."""
    rng, names = np.random.default_rng(0), tuple(f"x{k}" for k in range(USER_COLUMNS + ITEM_COLUMNS))
    blocks = [rng.normal(size=size).astype(np.float32) for size in ((USERS, USER_COLUMNS), (ITEMS, ITEM_COLUMNS))]
    features = FeatureMatrix(names, ("item", "user"), blocks[0], blocks[1])
    torch.manual_seed(0)
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    role = RoleNetwork(encoder(inputs, width=width), Dot(len(names)), features=features)  # type: ignore[call-arg,arg-type]
    for parameter in role.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return PairScores(NetworkPredictor(CausalModel({OUTCOME: role}, "logit"), features, Naive()), ITEMS)


def eager(module: PairScores) -> Score:
    """Return torch's own score of rows."""

    @torch.inference_mode()
    def run(user: Ints, item: Ints) -> Floats:
        scores: Floats = module(torch.from_numpy(user), torch.from_numpy(item)).numpy()
        return scores

    return run


def pairs_a_second(score: Score, size: int) -> float:
    """Return the median of `ROUNDS` rounds of about `SECONDS` each."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(USERS, size=size), rng.integers(ITEMS, size=size)
    score(user, item)
    started = time.perf_counter()
    score(user, item)
    calls, rates = max(1, int(SECONDS / (time.perf_counter() - started))), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            score(user, item)
        rates.append(calls * size / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    header = "| network | pairs at once | torch, pairs/s | onnxruntime | pt2 | largest difference |"
    lines = [header, "|---|---|---|---|---|---|"]
    for name, encoder, width in (("mf, 64 factors", MF, 64), ("neumf, 16 factors", NeuMF, 16)):
        module = network(encoder, width)
        graphs = {}
        with tempfile.TemporaryDirectory() as folder:
            for form in GRAPH_FORMS:
                path = Path(folder) / f"model.{form}"
                write_graph(module, form, path)
                graphs[form] = load_graph(path.name, path.read_bytes(), threads=1)
        for size in BATCHES:
            pairs = np.arange(size) % USERS, np.arange(size) % ITEMS
            apart = max(float(np.abs(graph(*pairs) - eager(module)(*pairs)).max()) for graph in graphs.values())
            torchs = pairs_a_second(eager(module), size)
            ratios = [pairs_a_second(graphs[form], size) / torchs for form in ("onnx", "pt2")]
            cells = (name, f"{size:,}", f"{torchs:,.0f}", *(f"{ratio:.2f} x" for ratio in ratios), f"{apart:.1g}")
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    table = "\n".join(lines)
    print(table)
    if options.paste:
        paste(options.paste, "export", table)


if __name__ == "__main__":
    main()
