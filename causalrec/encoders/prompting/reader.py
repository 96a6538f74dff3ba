"""Prompts in, log-odds out: batches of like length, and beginnings that several prompts share read once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.language.model import pad_tokens
from causalrec.encoders.prompting.answers import answer_log_odds
from causalrec.encoders.prompting.output_layer import OutputLayer
from causalrec.encoders.prompting.prefixes import PrefixGroup, prefix_groups
from causalrec.encoders.trainable_text import length_batches

Prompt = tuple[int, ...]


class AnswerReader(nn.Module):
    """`logsumexp(yes) - logsumexp(no)` of the token after each prompt.

    Args:
        tuned: the decoder.
        output: its output layer, of the spellings of yes and then of no.
        yes_count: spellings of yes.
    """

    def __init__(self, tuned: FineTunedModel, output: OutputLayer, yes_count: int) -> None:
        super().__init__()
        self.tuned, self.output, self.yes_count = tuned, output, yes_count

    def forward(self, prompts: Sequence[Prompt], device: torch.device) -> Tensor:
        """Return float32[n], in the order of the prompts."""
        groups = [PrefixGroup(tuple(range(len(prompts))), 0)] if self._needs_graph else prefix_groups(prompts)
        order: list[int] = []
        logits: list[Tensor] = []
        for group in groups:
            rows = sorted(group.rows, key=lambda k: len(prompts[k]))
            prefix = None if not group.length else self._prefix(prompts[rows[0]][: group.length], device)
            rests = [prompts[row][group.length :] for row in rows]
            for batch_rows in length_batches([group.length + len(rest) for rest in rests], device):
                logits.append(self._logits(rests[batch_rows], device, group.length, prefix))
            order += rows
        numbers = torch.cat(logits)
        return numbers.new_zeros(len(prompts)).index_copy(0, torch.tensor(order, device=device), numbers)

    @property
    def _needs_graph(self) -> bool:
        return self.tuned.finetuning.trains and torch.is_grad_enabled()

    def _logits(self, rows: Sequence[Prompt], device: torch.device, start: int, prefix: object | None) -> Tensor:
        tokens = pad_tokens(rows, self.tuned.language.pad)
        ids, mask = tokens.ids.to(device), tokens.mask.to(device)
        last = mask.sum(1) - 1
        hidden = self.tuned(ids, mask) if prefix is None else self._after(prefix, start, ids, mask)
        return answer_log_odds(self.output(hidden[torch.arange(len(rows), device=device), last]), self.yes_count)

    @torch.no_grad()
    def _prefix(self, tokens: Prompt, device: torch.device) -> object:
        """Return the keys and values of a beginning."""
        ids = torch.tensor([tokens], device=device)
        return self.tuned.model(input_ids=ids, use_cache=True).past_key_values

    @torch.no_grad()
    def _after(self, prefix: object, start: int, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the states `[B,L,width]` of tokens that follow a beginning of `start` tokens."""
        past = copy.deepcopy(prefix)  # the model adds to it
        past.batch_repeat_interleave(len(ids))  # type: ignore[attr-defined]
        both = torch.cat([mask.new_ones(len(ids), start), mask], 1)
        position = start + torch.arange(ids.shape[1], device=ids.device)[None].expand_as(ids)
        hidden: Tensor = self.tuned.model(
            input_ids=ids, attention_mask=both, position_ids=position, past_key_values=past, use_cache=True
        ).last_hidden_state
        return hidden
