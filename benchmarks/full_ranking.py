"""Full ranking of all test users: ours end to end beside the bare product and top 10, and beside RecBole's evaluator.

50,546 users x 16,859 items, width 64, equal threads, products included on all sides. RecBole 1.2.1 in its own
environment: its full-sort evaluation (`eval_args.mode=full`) of the same vectors, at its default batch size and others.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from recbole_environment import run_with_recbole

from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import CausalRecError
from causalrec.estimators.objective.bpr import BPR
from causalrec.evaluation.baseline.popularity import Popularity
from causalrec.evaluation.baseline_scores import BaselinePredictor
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.full_ranking import full_ranking
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.metrics.base import AbstractMetric
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME

USERS, ITEMS, WIDTH, K = 50_546, 16_859, 64, 10
BLOCK = 256  # users of the bare product: the fastest of 64 .. 4,096
SIZES = (16, 64, 256)  # users of RecBole's batches beside its default, which holds one

RECBOLE = """
import logging, os, sys, time
import numpy as np, torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import BPR
from recbole.trainer import Trainer

folder, users, sizes = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
sys.argv = sys.argv[:1]
os.chdir(folder)  # RecBole writes its logs into the working directory
settings = {
    "data_path": folder, "embedding_size": 64, "use_gpu": False, "show_progress": False, "topk": [10],
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "metrics": ["NDCG", "Recall"],
    "valid_metric": "NDCG@10", "eval_args": {"split": {"LS": "test_only"}, "order": "TO", "mode": "full"},
}
vectors = np.load(folder + "/vectors.npz")
for size in sizes:
    batch = {} if size == "default" else {"eval_batch_size": int(size)}
    config = Config(model="BPR", dataset="log", config_dict={**settings, **batch})
    logging.disable(logging.CRITICAL)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = BPR(config, train.dataset)
    for side in ("user", "item"):
        rows = dataset.token2id(side + "_id", [str(k) for k in range(users if side == "user" else len(vectors[side]))])
        getattr(model, side + "_embedding").weight.data[rows] = torch.from_numpy(vectors[side])[: len(rows)]
    trainer = Trainer(config, model)
    trainer.eval_collector.data_collect(train)
    started = time.perf_counter()
    result = trainer.evaluate(test, load_best_model=False)
    print(size, time.perf_counter() - started, result["ndcg@10"], flush=True)
"""


def random_log(users: int, items: int, rows: int, seed: int) -> InteractionLog:
    """Make a log of positives, its items of unlike popularity, each of them once at least."""
    rng = np.random.default_rng(seed)
    user = np.concatenate([rng.integers(users, size=rows), np.arange(max(users, items)) % users])
    item = np.concatenate([(items * rng.random(rows) ** 3).astype(np.int64), np.arange(max(users, items)) % items])
    codes = np.unique(user * items + item)
    treatment = np.ones(len(codes), np.int64)
    return InteractionLog(codes % items, treatment, treatment.astype(np.float32), items, codes // items, users)


def random_splits(users: int, items: int) -> Splits:
    """Return a training log of 400,000 rows and a test of one row for each user."""
    train, rng = random_log(users, items, 400_000, 0), np.random.default_rng(1)
    item, treatment = (items * rng.random(users) ** 3).astype(np.int64), np.ones(users, np.int64)
    test = InteractionLog(item, treatment, treatment.astype(np.float32), items, np.arange(users), users)
    nothing = test.take(np.arange(0))
    return Splits(train=train, validation=nothing, test=test, test_is_randomised=False, duplicates=0, unseen=0)


def evaluator_of(splits: Splits) -> Evaluator:
    """Return the metrics at K of the full ranking of the test users."""
    classes = {"ndcg": "causalrec.metrics.ndcg.NDCG", "recall": "causalrec.metrics.recall.Recall"}
    metrics: dict[str, ComponentConfig[AbstractMetric]] = {
        name: validate_component(name, {"_target_": target, "k": K}, AbstractMetric) for name, target in classes.items()
    }
    return Evaluator(metrics, [full_ranking(splits)], 1.0)


def network(users: int, items: int) -> NetworkPredictor:
    """Return a factorisation of random vectors, as it is after training."""
    torch.manual_seed(0)
    model = CausalModel(
        {OUTCOME: RoleNetwork(MF(EncoderInputs(users, items, (), Path(), Path()), width=WIDTH), Dot(0))}, "logit"
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    empty = [np.zeros((count, 0), np.float32) for count in (users, items)]
    return NetworkPredictor(model, FeatureMatrix((), ("item", "user"), empty[0], empty[1]), BPR())


def bare(user: torch.Tensor, item: torch.Tensor) -> None:
    """Rank by the product alone: no item masked, nothing counted."""
    for start in range(0, len(user), BLOCK):
        (user[start : start + BLOCK] @ item.T).topk(K)


def seconds(work: Callable[[], object]) -> float:
    """Return how long work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_above(work: Callable[[], object]) -> float:
    """Return the gigabytes that work takes at most beyond what there was before it."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    work()
    return (_memory("VmHWM") - before) / 1e9


def _memory(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(lines[name].split()[0]) * 1024


def recbole(users: int, sizes: str, threads: int) -> dict[str, float]:
    """Return the seconds per user of RecBole's evaluation of as many vectors, by its batch size."""
    splits, rng = random_splits(users, ITEMS), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "log").mkdir()
        rows = [(log.users, log.item, np.full(len(log), time)) for time, log in ((0, splits.train), (1, splits.test))]
        table = np.stack([np.concatenate(columns) for columns in zip(*rows, strict=True)], 1)
        head = "user_id:token\titem_id:token\ttimestamp:float"
        np.savetxt(Path(folder) / "log" / "log.inter", table, "%d", "\t", header=head, comments="")
        vectors = {name: rng.normal(size=(count, WIDTH)) for name, count in (("user", users), ("item", ITEMS))}
        np.savez(Path(folder) / "vectors.npz", **{name: values.astype(np.float32) for name, values in vectors.items()})
        lines = run_with_recbole(RECBOLE, folder, str(users), sizes, threads=threads).splitlines()
    return {size: float(took) / users for size, took, _ in map(str.split, lines)}


def ndcg_by_hand(splits: Splits, score: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return NDCG@10 of one score of the items over all test users, ties in expectation, in plain NumPy."""
    seen: dict[int, list[int]] = {}
    chosen: dict[int, set[int]] = {}
    for log in (splits.train, splits.validation):
        for user, item in zip(log.users.tolist(), log.item.tolist(), strict=True):
            seen.setdefault(user, []).append(item)
    for user, item in zip(splits.test.users.tolist(), splits.test.item.tolist(), strict=True):
        chosen.setdefault(user, set()).add(item)
    discount, values = 1 / np.log2(np.arange(K) + 2), []
    for user, items in chosen.items():
        left = score.copy()
        left[seen.get(user, [])] = -np.inf
        positives = [item for item in items if left[item] > -np.inf]
        ranks = [((left > left[item]).sum(), (left == left[item]).sum()) for item in positives]
        gain = sum(discount[above : above + ties].sum() / ties for above, ties in ranks)
        if positives:
            values.append(gain / discount[: len(positives)].sum())
    return float(np.mean(values))


def popularity_on_amazon() -> str:
    """Compare popularity's NDCG@10 on all test users of Amazon Video Games, where its files are, with the plain one."""
    request = ["dataset=amazon_video_games", "objective=bpr", "propensity=relative_popularity"]
    config = validate_config(compose_config(normalise_overrides(request)))
    try:
        splits = config.components.split(config.components.dataset.load(config.run.paths.data))
    except CausalRecError as error:
        return f"Popularity on Amazon Video Games: not compared ({error})."
    baseline = Popularity()
    baseline.fit(splits.train)
    score = evaluator_of(splits)(BaselinePredictor(baseline), "popularity")[0]
    popular = np.bincount(splits.train.item, minlength=splits.train.num_items).astype(np.float64)
    return (
        f"Popularity on all {len(np.unique(splits.test.users)):,} test users of Amazon Video Games: NDCG@10 "
        f"{score.value:.6f}, by plain NumPy {ndcg_by_hand(splits, popular):.6f}."
    )


def recbole_rows(by_size: dict[str, float], mine: float) -> list[str]:
    """Return the lines of RecBole's seconds by batch size: at its default, and at the fastest."""
    best = min((size for size in by_size if size.isdigit()), key=lambda size: by_size[size])
    named = {"4,096 (its default)": by_size["default"], f"{int(best):,} (its best)": by_size[best]}
    return [
        f"| RecBole 1.2.1, `eval_batch_size` {label} | {took:.1f} | {took / mine:.1f} times as fast |"
        for label, took in named.items()
    ]


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--users", type=int, default=USERS)
    arguments.add_argument("--recbole-users", type=int, default=2_000, help="RecBole ranks so many; seconds are scaled")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    evaluator = evaluator_of(random_splits(options.users, ITEMS))
    ours = partial(evaluator, network(options.users, ITEMS), "mf")
    plain = partial(bare, torch.randn(options.users, WIDTH), torch.randn(ITEMS, WIDTH))
    peak = peak_above(ours)
    pairs = [(seconds(ours), seconds(plain)) for _ in range(options.rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    each = recbole(options.recbole_users, ",".join(["default", *(str(ITEMS * n) for n in SIZES)]), options.threads)
    lines = [
        "| ranking of all test users, top 10 | seconds | ours is |",
        "|---|---|---|",
        f"| causalrec, from vectors to intervals | {mine:.1f} | |",
        f"| the product and `torch.topk` alone, {BLOCK} users at a time | {theirs:.1f} | {ratio:.2f} of it |",
        *recbole_rows({size: took * options.users for size, took in each.items()}, mine),
    ]
    note = (
        f"{options.users:,} users x {ITEMS:,} items, width {WIDTH}, {options.threads} threads, products included; "
        f"medians of {options.rounds} alternating rounds; RecBole on {options.recbole_users:,} users, scaled. Peak "
        f"memory above the model: {peak:.2f} GB. {popularity_on_amazon()}"
    )
    text = "\n".join([*lines, "", note])
    print(text)
    if options.paste:
        paste(options.paste, "full_ranking", text)


if __name__ == "__main__":
    main()
