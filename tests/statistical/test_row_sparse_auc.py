"""Stepping the rows of a batch alone costs no accuracy: its AUC beside that of dense AdamW, decay chosen for each."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import FitResult
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AbstractOptimizer, AdamW, AdamWRows
from causalrec.training.trainer import TrainerSettings, seed_everything
from causalrec.types import OUTCOME, Floats, Ints

ROOT = Path(__file__).parents[2]
COUNTS = ROOT / "build" / "row_sparse" / "auc.json"
USERS, ITEMS, ROWS, WIDTH = 6_040, 3_706, 1_000_000, 16
SEEDS, DECAYS, MARGIN = range(5), (0.1, 0.2, 0.4), 0.003
KINDS: dict[str, type[AdamW | AdamWRows]] = {"adamw": AdamW, "adamw_rows": AdamWRows}


class Simulation:
    """Clicks by eight factors and biases, on pairs drawn by users' activity and items' popularity, of long tails."""

    def __init__(self, seed: int, users: int, items: int, rows: int) -> None:
        self.rng, self.users, self.items = np.random.default_rng(seed), users, items
        self.factors = [self.rng.normal(size=(count, 8)) * 0.5 for count in (users, items)]
        self.biases = [self.rng.normal(size=count) * 0.7 for count in (users, items)]
        shares = [self.rng.lognormal(sigma=1.2, size=count) for count in (users, items)]
        user, item = (self.rng.choice(len(share), rows, p=share / share.sum()) for share in shares)
        order, held_out = self.rng.permutation(rows), rows // 20
        log = self.log(user, item)
        self.validation, self.train = log.take(order[:held_out]), log.take(order[held_out:])
        self.test = self.log(*(self.rng.integers(count, size=rows // 5) for count in (users, items)))

    def log(self, user: Ints, item: Ints) -> InteractionLog:
        """Return clicks drawn on these pairs."""
        raw = np.einsum("nd,nd->n", self.factors[0][user], self.factors[1][item])
        raw += self.biases[0][user] + self.biases[1][item] - 0.5
        return InteractionLog(
            user=user,
            item=item,
            treatment=np.ones(len(user), np.int64),
            outcome=(self.rng.random(len(user)) < 1 / (1 + np.exp(-raw))).astype(np.float32),
            propensity=np.full(len(user), 0.05, np.float32),
            num_users=self.users,
            num_items=self.items,
        )


def fit(simulation: Simulation, optimizer: AbstractOptimizer, seed: int, folder: Path) -> tuple[FitResult, Floats]:
    """Return a fit and what it predicts of the test pairs."""
    seed_everything(seed)
    inputs = EncoderInputs(simulation.users, simulation.items, (), Path(), Path())
    empty = [np.zeros((count, 0), np.float32) for count in (simulation.users, simulation.items)]
    features, model = (
        FeatureMatrix((), ("user", "item"), *empty, ()),
        CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=WIDTH), Dot(0))}, "logit"),
    )
    module = CausalRecModule(model, Naive(), optimizer, "naive")
    data = LogDataModule(simulation.train, simulation.validation, features, Balanced(batch_size=4096), "logged", seed)
    settings = TrainerSettings(max_epochs=8, patience=1, progress=False, checkpoint_seconds=3600)
    result = settings.fit(module, data, None, folder, "test")
    model.load_state_dict({name.removeprefix("model."): value for name, value in result.state.items()})
    test = simulation.test
    return result, model.predict(test.users, test.item, features, Naive())


def chosen_auc(simulation: Simulation, kind: type[AdamW | AdamWRows], seed: int, folder: Path) -> tuple[float, float]:
    """Return the AUC on the test pairs of the decay of least validation error, and that decay."""
    fits = {
        decay: fit(simulation, kind(weight_decay=decay), seed, folder / f"{kind.__name__}-{decay}") for decay in DECAYS
    }
    best = min(fits, key=lambda decay: fits[decay][0].criterion)
    return float(roc_auc_score(simulation.test.outcome, fits[best][1])), best


def paired_interval(differences: list[float]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean by Student's t."""
    mean, count = statistics.mean(differences), len(differences)
    half = float(t.ppf(0.975, count - 1)) * statistics.stdev(differences) / math.sqrt(count)
    return mean - half, mean + half


@pytest.mark.long
def test_the_auc_is_that_of_dense_steps(tmp_path: Path) -> None:
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    for seed in SEEDS:
        simulation = Simulation(seed, USERS, ITEMS, ROWS)
        for name, kind in KINDS.items():
            rows[name].append(chosen_auc(simulation, kind, seed, tmp_path / str(seed)))
        print(seed, {name: values[-1] for name, values in rows.items()}, flush=True)
    differences = [ours - dense for (dense, _), (ours, _) in zip(rows["adamw"], rows["adamw_rows"], strict=True)]
    interval = paired_interval(differences)
    COUNTS.parent.mkdir(parents=True, exist_ok=True)
    COUNTS.write_text(json.dumps({"auc": rows, "interval": interval}), encoding="utf-8")
    assert -MARGIN < interval[0] < interval[1] < MARGIN
    assert min(auc for values in rows.values() for auc, _ in values) > 0.6  # both learn


def main() -> None:
    """Paste the AUCs that were counted between their markers in experiments/VALIDATION.md."""
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    lines = ["| optimizer | AUC by seed (decay chosen) | mean |", "|---|---|---|"]
    for name, values in counts["auc"].items():
        by_seed = ", ".join(f"{auc:.4f} ({decay:g})" for auc, decay in values)
        lines.append(f"| `{name}` | {by_seed} | {statistics.mean(auc for auc, _ in values):.4f} |")
    low, high = counts["interval"]
    lines += ["", f"Difference, 95 % interval over seeds: {low:+.4f} to {high:+.4f}; allowed: ±{MARGIN}."]
    print(text := "\n".join(lines))
    paste(ROOT / "experiments" / "VALIDATION.md", "row_sparse", text)


if __name__ == "__main__":
    main()
