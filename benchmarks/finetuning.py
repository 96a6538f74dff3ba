"""A step of fine-tuning MiniLM by LoRA on ML-100K, side by side with one that reads the text of every row.

Steps alternate in one process, on the same random rows of the log; the ratio is the median of per-round ratios. Also
bf16 autocast and `torch.compile` of the language model against the plain step, at the first batch size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from causalrec.config.component import validate_component
from causalrec.config.compose import compose_config
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.text import texts_of
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.finetuning.lora import LoRA
from causalrec.encoders.language.pooling import pool_tokens
from causalrec.encoders.text_projection import TextProjection
from causalrec.encoders.trainable_text import TrainableText
from causalrec.reporting.paste_between_markers import paste

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
BATCHES = (128, 2048)
Step = Callable[[Tensor], Tensor]


def tower(cache: Path, items: list[str]) -> TextProjection:
    """Make the tower of `encoder=bert finetuning=lora`, whatever the texts."""
    model = validate_component("encoder", compose_config(["encoder=bert"])["encoder"]).arguments["model"].build()
    inputs = EncoderInputs(0, len(items), tuple(items), DATA, cache, finetuning=LoRA())
    settings: dict[str, Any] = {"pooling": "mean", "max_tokens": 64, "layers": None, "precision": "float32"}
    return TextProjection(items, inputs, model=model, width_out=17, **settings)


def every_row_step(model: TextProjection) -> Step:
    """Read the text of each row, padded to the longest of the batch: what a plain loop does."""
    reader = model.reader
    assert isinstance(reader, TrainableText)
    starts, tokens, text_index = (
        reader.get_buffer("starts"),
        reader.get_buffer("tokens"),
        model.get_buffer("text_index"),
    )
    lengths = torch.tensor(reader.lengths)

    def vectors(ids: Tensor) -> Tensor:
        rows = text_index[ids]
        spread = torch.arange(int(lengths[rows].max()))
        mask = spread < lengths[rows][:, None]
        words = torch.where(mask, tokens[(starts[rows][:, None] + spread) * mask], reader.tuned.language.pad)
        projected: Tensor = model.project(pool_tokens(reader.tuned(words, mask.long()), mask, "mean"))
        return projected

    return vectors


def seconds(model: TextProjection, step: Step, ids: Tensor, bf16: bool = False) -> float:
    """Return the seconds of a forward and a backward pass."""
    model.zero_grad()
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = step(ids).float().square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - started


def rounds(pairs: list[tuple[TextProjection, Step, bool]], draws: list[Tensor]) -> list[list[float]]:
    """Return seconds by round and contender; the first round only warms up."""
    timings = [[seconds(model, step, ids, bf16) for model, step, bf16 in pairs] for ids in draws]
    return timings[1:]


def ratio(timings: list[list[float]], contender: int, against: int = 0) -> float:
    """Return the median over rounds of the seconds of `against` over those of `place`."""
    return statistics.median(row[against] / row[contender] for row in timings)


def compile_tower(model: TextProjection) -> TextProjection:
    """Compile the language model of a tower, lengths left open."""
    assert model.tuned is not None
    model.tuned.model.compile(dynamic=True)
    return model


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--rows", type=int, nargs="+", default=BATCHES)
    arguments.add_argument("--compile", action="store_true", help="torch.compile too: needs a C++ compiler")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    dataset = ML100K(threshold=4.0).load(DATA)
    items = list(texts_of(dataset.item_table, ML100K(threshold=4.0).item_text, dataset.item_table.columns))
    log, draw = torch.tensor(dataset.logged.item), torch.Generator().manual_seed(0)
    lines = ["| rows a step | distinct texts | every row read | each text once | ratio | bf16 autocast | compiled |"]
    lines.append("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="causalrec-finetuning-") as cache:
        model = tower(Path(cache), items)
        pairs = [(model, every_row_step(model), False), (model, model, False), (model, model, True)]
        if options.compile:
            other = compile_tower(tower(Path(cache), items))
            pairs.append((other, other, False))
        for rows in options.rows:
            draws = [log[torch.randint(len(log), (rows,), generator=draw)] for _ in range(options.rounds + 1)]
            timings = rounds(pairs if rows == options.rows[0] else pairs[:2], draws)
            text_index = model.get_buffer("text_index")
            distinct = statistics.mean(len(torch.unique(text_index[ids])) for ids in draws)
            every, once = (statistics.median(row[k] for row in timings) for k in (0, 1))
            more = " | ".join(f"{ratio(timings, k, 1):.2f}x" if k < len(timings[0]) else "–" for k in (2, 3))
            cells = f"{rows} | {distinct:.0f} | {every:.2f} s | {once:.2f} s | {ratio(timings, 1):.1f}x"
            lines.append(f"| {cells} | {more} |")
            print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(text)
    if options.paste:
        paste(options.paste, "finetuning", text)


if __name__ == "__main__":
    main()
