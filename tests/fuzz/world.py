"""A small table of ratings, its components, a trained run and a sweep: what is then damaged, filled or killed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from trial import run

QUICK = ["dataset=mine", "--config-dir", "conf", "graph=mine", "logger=none", "objective=naive", "paths.runs=runs"]
QUICK += ["trainer.max_epochs=2", "encoder.width=2", "evaluation.replicates=10", "selection.candidates=none"]
QUICK += ["selection.folds=1", "metric=[auc,mse]", "propensity=popularity", "trainer.progress=false"]
TRAIN = ["train", *QUICK, "sweep=s"]
SWEEP = ["train", "-m", *QUICK, "sweep=m", "seed=0,1,2,3"]
PACKED = [*SWEEP, "hydra/launcher=packed"]
FILES = {
    "conf/dataset/mine.yaml": "_target_: causalrec.data.datasets.csv.CsvTables\nname: mine\nfolder: ./tables\n"
    "interactions: ratings.csv\nthreshold: 4\nitems: {file: items.csv, id: item, columns: {title: text}}\n"
    'item_text: {title: "{}"}\n',
    "conf/graph/mine.yaml": "_target_: causalrec.graph.causal_graph.CausalGraph\nedges:\n  - user -> exposure\n"
    "  - title -> exposure\n  - taste -> exposure\n  - user -> outcome\n  - title -> outcome\n  - item -> outcome\n"
    "  - taste -> outcome\n  - exposure -> outcome\nlatent: [taste]\nassume: true\n",
}


def write_world(folder: Path) -> Path:
    """Write a table of 400 ratings and its components below `folder`."""
    draw = random.Random(0)
    pairs = sorted(draw.sample([(user, item) for user in range(40) for item in range(25)], 400))
    lines = [f"u{user},i{item},{min(5, max(1, round(draw.gauss(3 + item % 3 - 1, 1))))}" for user, item in pairs]
    titles = [f"i{item},Title {item}" for item in range(25)]
    files = {**FILES, "tables/ratings.csv": "\n".join(["user,item,rating", *lines]) + "\n"}
    files["tables/items.csv"] = "\n".join(["item,title", *titles]) + "\n"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def make_trained_world(folder: Path) -> Path:
    """Write the table and train one run and a packed sweep on it."""
    write_world(folder)
    for answer in run(folder, TRAIN, PACKED):
        assert answer.code == 0, answer.text
    return folder


def copy_of(world: Path, folder: Path) -> Path:
    """Return a fresh copy of a world at `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, folder, symlinks=True)
    return folder


def records(folder: Path) -> dict[str, str]:
    """Return what each finished record below `folder` holds, by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("record.json"))}
