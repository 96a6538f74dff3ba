"""The answer of a language model as one number: the log-odds of yes against no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from causalrec.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def answer_tokens(tokenizer: PreTrainedTokenizerBase, setting: str, spellings: Sequence[str]) -> list[int]:
    """Return the ids of the spellings that are one token, in their order, each once.

    Raises RequestError where none is: the model could not answer so in one step.

    Args:
        tokenizer: of the model.
        setting: where the spellings were given, in messages.
        spellings: ways to write the answer; a leading space counts.
    """
    rows = tokenizer(list(spellings), add_special_tokens=False)["input_ids"] if spellings else []
    tokens = list(dict.fromkeys(row[0] for row in rows if len(row) == 1))
    unknown = getattr(tokenizer, "unk_token_id", None)
    if not (tokens := [token for token in tokens if token != unknown]):
        raise RequestError(
            f"{setting}: no spelling ({', '.join(map(repr, spellings))}) is one token of the model; give one that is"
        )
    return tokens


def require_different(yes: Sequence[int], no: Sequence[int]) -> None:
    """Raise RequestError where a token answers both yes and no: it would say nothing."""
    if set(yes) & set(no):
        raise RequestError("encoder.yes and encoder.no share a spelling; an answer cannot mean both")


def answer_log_odds(logits: Tensor, yes_count: int) -> Tensor:
    """Return `logsumexp(yes logits) - logsumexp(no logits)`, float32[B]: the log-odds of yes among the two answers.

    >>> answer_log_odds(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), 2).round(decimals=4)
    tensor([1.])

    Args:
        logits: of the next token, `[B,T]`, those of the spellings of yes first.
        yes_count: how many these are.
    """
    return torch.logsumexp(logits[:, :yes_count], 1) - torch.logsumexp(logits[:, yes_count:], 1)


def mirrored_log_odds(question: Tensor, opposite: Tensor) -> Tensor:
    """Return the log-odds of `(p + 1 - q) / 2`: p = P(yes) of the question, q = P(yes) of the opposite question.

    A model that says yes to both, whatever the item, says nothing. Computed from log-probabilities, so that no answer
    is 0 or 1.

    >>> mirrored_log_odds(torch.tensor([2.0, 3.0]), torch.tensor([2.0, -3.0])).round(decimals=4)
    tensor([0., 3.])

    Args:
        question: log-odds of yes to the question, `[B]`.
        opposite: log-odds of yes to the opposite question, `[B]`.
    """
    likes = torch.logaddexp(logsigmoid(question), logsigmoid(-opposite))
    return likes - torch.logaddexp(logsigmoid(-question), logsigmoid(opposite))
