"""Has the decoder read the data before? It completes titles and rows, beside twins that it cannot have read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.language.model import pad_tokens
from causalrec.encoders.prompting.output_layer import OutputLayer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORDS = 24  # of a title at most
ROWS_SHOWN = 4  # before the one that is to be completed
BATCH = 32
Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A beginning, and what the data say follows.

    Attributes:
        beginning: text that is shown.
        rest: text that follows it in the data.
    """

    beginning: str
    rest: str


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """How often a decoder completes what stands in the data.

    Attributes:
        what: was asked for, a plural (`titles`, `rows`).
        asked_for: how many.
        hits: completed to the letter.
        permuted_hits: of their twins: what is guessed without having read any.
        twins: what the twins are, in words.
    """

    what: str
    asked_for: int
    hits: int
    permuted_hits: int
    twins: str = "the same dealt at random"

    def __str__(self) -> str:
        (low, high), other = wilson(self.hits, self.asked_for), self.permuted_hits / self.asked_for
        read = low > wilson(self.permuted_hits, self.asked_for)[1]
        verdict = "it has read them, so that few rows may suffice for another reason" if read else "no sign of it"
        return (
            f"had the decoder read the data? It completes {self.hits / self.asked_for:.0%} [{low:.0%}, {high:.0%}] of "
            f"{self.asked_for} {self.what}, {other:.0%} of {self.twins}: {verdict}"
        )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    >>> [round(end, 3) for end in wilson(5, 100)]
    [0.022, 0.112]
    """
    share, spread = hits / count, Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def title_completions(titles: Sequence[str], count: int) -> list[Completion]:
    """Return halves of `count` distinct texts of three words or more, their first `WORDS`, drawn by a fixed seed.

    >>> title_completions(["The Empire Strikes Back", "Heat"], 5)
    [Completion(beginning='The Empire', rest=' Strikes Back')]
    """
    texts = sorted({" ".join(text.split()[:WORDS]) for text in titles if len(text.split()) > 2})
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    halves = ((text.split(), (len(text.split()) + 1) // 2) for text in (texts[k] for k in sorted(chosen)))
    return [Completion(beginning=" ".join(words[:k]), rest=" " + " ".join(words[k:])) for words, k in halves]


def shifted_ids(ids: Sequence[str]) -> list[str]:
    """Return the id that stands half the ids further on, in the order of numbers, for each.

    Steps from one id to the next stay as they are (but for one place), so that what can be told from the rows shown, as
    in a log whose items stand in order, can be told from the twin too; what was learnt by heart cannot.

    >>> shifted_ids(["1", "2", "3", "10"])
    ['3', '10', '1', '2']
    """
    order = sorted(range(len(ids)), key=lambda k: (0, int(ids[k]), "") if ids[k].isdecimal() else (1, 0, ids[k]))
    further = np.roll(order, -(len(ids) // 2))
    names = dict(zip(order, further.tolist(), strict=True))
    return [ids[names[k]] for k in range(len(ids))]


def row_completions(log: InteractionLog, users: Sequence[str], items: Sequence[str], count: int) -> list[Completion]:
    """Return the item of `count` rows after the rows before them, in the order of the log, as lines `user,item`.

    Args:
        log: whose rows are shown.
        users: raw ids, by id.
        items: raw ids, by id.
        count: rows that are drawn by a fixed seed.
    """
    if log.user is None or len(log) <= ROWS_SHOWN:
        return []
    last = np.random.default_rng(0).choice(np.arange(ROWS_SHOWN, len(log)), min(count, len(log) - ROWS_SHOWN), False)
    lines = [f"{users[u]},{items[i]}" for u, i in zip(log.user.tolist(), log.item.tolist(), strict=True)]
    completions = []
    for row in sorted(last.tolist()):
        user, item = lines[row].rsplit(",", 1)
        shown = "\n".join(["user,item", *lines[row - ROWS_SHOWN : row]])
        completions.append(Completion(beginning=f"{shown}\n{user},", rest=f"{item}\n"))
    return completions


def contamination(
    tuned: FineTunedModel,
    output: OutputLayer,
    what: str,
    completions: Sequence[Completion],
    with_other_ids: Sequence[Completion] = (),
) -> Contamination | None:
    """Ask a decoder to complete texts, greedily, and their twins; None where there are fewer than two.

    Args:
        tuned: the decoder, as it was pretrained.
        output: its output layer, of all its tokens in order.
        what: is completed, a plural.
        completions: beginnings and what follows.
        with_other_ids: the same under other ids, as twins; none: each beginning with the end of some other.
    """
    count = len(completions)
    if count < 2:
        return None
    twins = with_other_ids or _dealt(completions)
    hits = _hits(tuned, output, [(each.beginning, each.rest) for each in (*completions, *twins)])
    words = {"twins": "the same under other ids"} if with_other_ids else {}
    return Contamination(what=what, asked_for=count, hits=sum(hits[:count]), permuted_hits=sum(hits[count:]), **words)


def _dealt(completions: Sequence[Completion]) -> list[Completion]:
    """Return beginnings with ends dealt at random, to none its own."""
    order = np.random.default_rng(1).permutation(len(completions))
    ends = [completions[k].rest for k in np.roll(order, 1)[np.argsort(order)]]
    return [Completion(beginning=each.beginning, rest=end) for each, end in zip(completions, ends, strict=True)]


@torch.no_grad()
def _hits(tuned: FineTunedModel, output: OutputLayer, texts: Sequence[tuple[str, str]]) -> list[bool]:
    """Return whether each rest is what greedy decoding writes: the likeliest token at each of its places."""
    tokenizer, hits = tuned.language.tokenizer, list[bool]()
    for start in range(0, len(texts), BATCH):
        pairs = [_tokens(tokenizer, *text, tuned.language.limit) for text in texts[start : start + BATCH]]
        tokens = pad_tokens([[*first, *rest] for first, rest in pairs], tuned.language.pad)
        device = next(tuned.parameters()).device
        hidden = tuned(tokens.ids.to(device), tokens.mask.to(device))
        for (first, rest), states in zip(pairs, hidden, strict=True):
            hits.append(_is_likeliest(output(states[len(first) - 1 : len(first) + len(rest) - 1]), rest))
    return hits


def _tokens(tokenizer: PreTrainedTokenizerBase, beginning: str, rest: str, limit: int) -> tuple[list[int], list[int]]:
    """Return the tokens of a beginning, those next to its end where the model takes no more, and of what follows."""
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (beginning, rest))
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    second = second[: limit // 2]
    return [*start, *first[-(limit - len(second) - len(start)) :]], second


def _is_likeliest(logits: Tensor, tokens: Sequence[int]) -> bool:
    return logits.argmax(1).tolist() == list(tokens)
