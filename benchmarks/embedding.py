"""Seconds to embed every title of Amazon Video Games with MiniLM, beside the loop that most tutorials write.

The plain loop reads batches of 32 rows in file order, each padded to 128 tokens, in float32 without gradients. It is
timed on random rows, half of them before ours and half after, and scaled to all; so is what is slower than float32.
Needs the data set below CAUSALREC_DATA; MiniLM is fetched there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn.functional import normalize

from causalrec.config.compose import package_folder
from causalrec.data.datasets.amazon_video_games import AmazonVideoGames
from causalrec.data.sources import Source
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.embedding import embed, usable_precision, use_all_threads
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import LanguageModel, Precision, load
from causalrec.reporting.paste_between_markers import paste
from causalrec.types import Floats

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache/causalrec/data"))
TOKENS = 128


def seconds(work: Callable[[], Any]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@torch.no_grad()
def embed_in_batches_of_32(titles: Sequence[str], model: Any, tokenizer: Any) -> Floats:
    """Embed as tutorials do."""
    vectors = []
    for start in range(0, len(titles), 32):
        rows = list(titles[start : start + 32])
        tokens = tokenizer(rows, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        vectors.append(normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(vectors).numpy()


def peak_rate(dtype: torch.dtype, size: int = 1536) -> float:
    """Return floating-point operations per second of a square matrix product, the best of five."""
    left = torch.ones(size, size, dtype=dtype)
    with use_all_threads():
        return 2 * size**3 / min(seconds(lambda: left @ left) for _ in range(5))


def count_operations(language: LanguageModel, titles: Sequence[str]) -> float:
    """Count the floating-point operations that the distinct token rows need, padding left out."""
    config = language.backbone.config
    width, inner = config.hidden_size, config.intermediate_size
    rows = set(map(tuple, language.token_ids(titles, TOKENS)))
    token = 8 * width**2 + 4 * width * inner
    return float(config.num_hidden_layers * sum(len(row) * (token + 4 * len(row) * width) for row in rows))


def measure_package(
    folder: Path, titles: list[str], sample: list[str], precision: Precision
) -> tuple[float, float, Floats]:
    """Return seconds, scaled to all titles, the share of the peak, and the vectors of the titles embedded.

    A precision that is only emulated is tried on the sample, and its peak is not measured.
    """
    language = load(folder, dtype=precision)
    native = precision == usable_precision(precision)
    texts = titles if native else sample
    embed(sample[:64], language, "mean", TOKENS)
    vectors: list[Floats] = []
    spent = seconds(lambda: vectors.append(embed(texts, language, "mean", TOKENS)))
    rate = count_operations(language, texts) / spent
    scaled = count_operations(language, titles) / rate
    return scaled, rate / peak_rate(getattr(torch, precision)) if native else np.nan, vectors[0]


def measure_compilation(folder: Path, sample: list[str]) -> tuple[float, float]:
    """Return the seconds of torch.compile's first pass and what a second one gains over none."""
    language = load(folder)
    eager = seconds(lambda: embed(sample, language, "mean", TOKENS))
    language.backbone.compile(dynamic=True)
    first = seconds(lambda: embed(sample, language, "mean", TOKENS))
    return first, eager / seconds(lambda: embed(sample, language, "mean", TOKENS))


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=512, help="random rows that the plain loop is timed on")
    arguments.add_argument("--titles", type=int, help="the first titles only, for a trial")
    arguments.add_argument("--compile", action="store_true", help="try torch.compile too (needs a C++ compiler)")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    from transformers import AutoModel, AutoTokenizer

    titles = AmazonVideoGames().load(DATA).item_table["title"].to_list()[: options.titles]
    sample = [titles[k] for k in np.random.default_rng(0).choice(len(titles), options.rows, replace=False)]
    node = yaml.safe_load((package_folder("conf") / "encoder" / "bert.yaml").read_text(encoding="utf-8"))["model"]
    source = Source(**{key: value for key, value in node.items() if key != "_target_"})
    with tempfile.TemporaryDirectory(prefix="causalrec-embedding-") as folder:
        cache = Path(folder)
        model = model_folder(source, DATA, cache)
        tutorial = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
        embed_in_batches_of_32(sample[:32], *tutorial)
        half = len(sample) // 2
        spent = seconds(lambda: embed_in_batches_of_32(sample[:half], *tutorial))
        exact, share, vectors = measure_package(model, titles, sample, "float32")
        spent += seconds(lambda: embed_in_batches_of_32(sample[half:], *tutorial))
        rounded, rounded_share, other = measure_package(model, titles, sample, "bfloat16")
        base = spent * len(titles) / len(sample)
        near = vectors if len(other) == len(vectors) else embed(sample, load(model), "mean", TOKENS)
        cosine = float((near * other).sum(1).min())
        first, again = (
            seconds(lambda: embeddings(titles, model, pooling="mean", max_tokens=TOKENS, cache=cache).sum())
            for _ in range(2)
        )
    agree = float(
        np.abs(
            embed_in_batches_of_32(sample, *tutorial) - embed(sample, load(source.fetch(DATA)), "mean", TOKENS)
        ).max()
    )
    native = not np.isnan(rounded_share)
    emulated = "" if native else ", which this CPU only emulates: `embeddings` takes float32"
    lines = [
        f"| {len(titles):,} titles, MiniLM, {torch.get_num_threads()} threads | seconds | times as fast | of peak |",
        "|---|---|---|---|",
        f"| 32 rows at a time padded to {TOKENS} (on {len(sample)} random rows, scaled) | {base:.0f} | 1 | |",
        f"| ours, float32 (largest difference {agree:.0e}) | {exact:.1f} | {base / exact:.1f} | {share:.0%} |",
        f"| ours, bfloat16 (cosine at least {cosine:.5f}){emulated} | {rounded:.1f} | {base / rounded:.1f} "
        f"| {f'{rounded_share:.0%}' if native else ''} |",
        f"| `embeddings`, first call: model loaded, file written | {first:.1f} | {base / first:.1f} | |",
        f"| `embeddings`, second call: from the cache | {again:.3f} | {base / again:,.0f} | |",
        "",
        f"The second call is {first / again:,.0f} times as fast as the first. Share of peak: operations of the tokens "
        "that are read, padding left out, over those of a large matrix product in the same precision and the same run.",
    ]
    if options.compile:
        warm, gain = measure_compilation(model, sample)
        lines.append(f"`torch.compile`: {warm:.0f} s for the first pass, then {gain:.2f} times as fast.")
    text = "\n".join(lines)
    print(text)
    if options.paste:
        paste(options.paste, "embedding", text)


if __name__ == "__main__":
    main()
