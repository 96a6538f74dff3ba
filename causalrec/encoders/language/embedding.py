"""Texts through a frozen language model, with little spent on padding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from timeit import timeit

import numpy as np
import torch
from torch import Tensor

from causalrec.encoders.language.batching import batches
from causalrec.encoders.language.model import LanguageModel, Precision, pad_tokens
from causalrec.encoders.language.pooling import Fixed, check_pooling, pool_tokens
from causalrec.plain_streams import print_note
from causalrec.progress import progress
from causalrec.types import Floats

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 1 << 16}  # tokens of a batch, padding included
PADDING_PER_BATCH = 64  # tokens of padding that cost as much as another batch


def embed(texts: Sequence[str], language: LanguageModel, pooling: Fixed, max_tokens: int) -> Floats:
    """Return the texts' unit vectors float32[T,D], computed in the model's precision and pooled in float32.

    Texts of the same tokens are read once; batches hold texts of nearly equal length. Runs on a GPU if there is one.
    Raises RequestError for `cls` of a decoder, whose first token has seen nothing of the text.

    Args:
        texts: the texts, T of them.
        language: the model.
        pooling: `cls`, `mean` or `last`.
        max_tokens: number of tokens at which texts are cut.
    """
    check_pooling(language, pooling)
    rows = [tuple(row) for row in language.token_ids(texts, max_tokens)]
    distinct = sorted(set(rows), key=lambda row: (len(row), row))
    vectors = _read(distinct, language, pooling)
    index_of = {row: k for k, row in enumerate(distinct)}
    return vectors[[index_of[row] for row in rows]]


@torch.inference_mode()
def _read(rows: list[tuple[int, ...]], language: LanguageModel, pooling: Fixed) -> Floats:
    """Embed rows of tokens in ascending order of length."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone = language.backbone.to(device)  # type: ignore[arg-type]
    result = np.empty((len(rows), language.width), np.float32)
    lengths = [len(row) for row in rows]
    with use_all_threads(), progress("embedding texts", sum(lengths), "tokens") as step:
        for batch_rows in batches(lengths, TOKENS_PER_BATCH[device], PADDING_PER_BATCH):
            tokens = pad_tokens(rows[batch_rows], language.pad)
            even = (
                lengths[batch_rows.start] == lengths[batch_rows.stop - 1] or language.causal
            )  # then nothing sees the padding
            mask = None if even else tokens.mask.to(device)
            hidden: Tensor = backbone(input_ids=tokens.ids.to(device), attention_mask=mask).last_hidden_state
            result[batch_rows] = pool_tokens(hidden.float(), tokens.mask.to(device), pooling).cpu().numpy()
            step.advance(sum(lengths[batch_rows]))
    return result


def usable_precision(precision: Precision, width: int = 384) -> Precision:
    """Return float32 for a bfloat16 that this machine only emulates, which is slower and less exact, and say so."""
    if precision == "float32":
        return precision
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = 1.2 * _seconds(width, torch.bfloat16) < _seconds(width, torch.float32)
    if not native:
        line = "precision=bfloat16: emulated here and slower, so texts are embedded in float32"
        print_note(line)
    return "bfloat16" if native else "float32"


def _seconds(width: int, dtype: torch.dtype) -> float:
    """Time a layer's matrix product, the best of some."""
    tokens, weight = torch.ones(1024, width, dtype=dtype), torch.ones(4 * width, width, dtype=dtype)
    with use_all_threads(), torch.inference_mode():
        return min(timeit(lambda: tokens @ weight.T, number=1) for _ in range(5))


@contextmanager
def use_all_threads() -> Iterator[None]:
    """Let torch use all cores that this process may use, unless OMP_NUM_THREADS is set."""
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """Count the cores that this process may use; two threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.add(path.read_text(encoding="ascii") if path.exists() else str(cpu))
    return len(siblings)
