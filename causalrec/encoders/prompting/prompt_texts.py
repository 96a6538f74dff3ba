"""Prompts as tokens: a user's profile and events, then the question about an item, as a chat or as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.prompting.reader import Prompt
from causalrec.encoders.prompting.template import Template
from causalrec.errors import DataError, RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Event = tuple[int, bool]  # item, liked
SLOT = "\u2063slot\u2063"  # stands for the text while the frame of a chat is written
TODAY = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}{{ '' }}"  # in front of chat templates that write
# the day: no answer may hang on when it was asked for
EVENTS = "events"  # the name of the events in the phrases of a history


@dataclass(frozen=True, kw_only=True)
class PromptTemplates:
    """The texts of a prompt, each on a line of its own.

    Attributes:
        profile: of the user, by its columns; empty: none.
        event: an item of the history, by its columns.
        liked: phrase of the events that were liked, `{events}` in it.
        disliked: phrase of the others.
        between: between two events.
        question: about the item, by columns of both sides.
    """

    profile: Template
    event: Template
    liked: Template
    disliked: Template
    between: str
    question: Template


class PromptTexts:
    """Writes the prompt of a pair and reads it into tokens, the oldest events left out where it is too long.

    Args:
        tokenizer: of the decoder.
        inputs: what the run hands the encoder: texts and columns of the outcome view alone.
        templates: what a prompt says.
        max_tokens: of a prompt, its frame included.
        chat: written as the tokenizer's chat; None: where it has a template of one.
        answer: what follows the question where it is no chat.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        inputs: EncoderInputs,
        templates: PromptTemplates,
        *,
        max_tokens: int,
        chat: bool | None,
        answer: str,
    ) -> None:
        self.tokenizer, self.templates, self.max_tokens = tokenizer, templates, max_tokens
        self.items = {**inputs.columns.get("item", {}), "item": inputs.item_text}
        self.users = {**inputs.columns.get("user", {}), "user": inputs.user_text}
        marks = _marks(tokenizer)
        self.items, self.users = (
            {name: _plain(values, marks) for name, values in side.items() if values}
            for side in (self.items, self.users)
        )
        templates.profile.check(self.users)
        templates.event.check(self.items)
        _check_question(templates.question, self.items, self.users)
        for phrase in (templates.liked, templates.disliked):
            _check_phrase(phrase)
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if chat and not has_chat:
            raise RequestError("encoder.chat=true: the tokenizer has no chat template; set encoder.chat=false")
        self.is_chat = has_chat if chat is None else chat
        self.frame = self._chat_frame() if self.is_chat else ("", answer)

    def __call__(
        self, item: Sequence[int], user: Sequence[int], events: Sequence[Sequence[Event]]
    ) -> tuple[list[Prompt], list[bool]]:
        """Return the prompts of pairs and whether each was cut; RequestError where one is too long without events.

        Args:
            item: of each pair.
            user: of each pair.
            events: the history of each, oldest first.
        """
        texts = [self.text(i, u, e) for i, u, e in zip(item, user, events, strict=True)]
        distinct = list(dict.fromkeys(texts))
        rows = dict(zip(distinct, self._read(distinct), strict=True)) if distinct else {}
        prompts, cut = [rows[text] for text in texts], [False] * len(texts)
        for k, prompt in enumerate(prompts):
            if len(prompt) > self.max_tokens:
                prompts[k], cut[k] = self._shorten(item[k], user[k], events[k]), True
        return prompts, cut

    def text(self, item: int, user: int, events: Sequence[Event] = ()) -> str:
        """Return the prompt of a pair as text, its frame left out."""
        templates = self.templates
        of_user = _values(self.users, user) if self.users else {}
        lines = [templates.profile.render(of_user), *self._history(events)]
        lines.append(templates.question.render({**of_user, **_values(self.items, item)}))
        return "\n".join(line for line in lines if line.strip()).strip()

    def event_text(self, item: int) -> str:
        """Return an item as an event names it."""
        return self.templates.event.render(_values(self.items, item))

    def _history(self, events: Sequence[Event]) -> list[str]:
        lines = []
        for phrase, wanted in ((self.templates.liked, True), (self.templates.disliked, False)):
            texts = [self.event_text(k) for k, liked in events if liked is wanted]
            if texts:
                lines.append(phrase.render({EVENTS: self.templates.between.join(texts)}))
        return lines

    def _shorten(self, item: int, user: int, events: Sequence[Event]) -> Prompt:
        for first in range(1, len(events) + 1):
            (prompt,) = self._read([self.text(item, user, events[first:])])
            if len(prompt) <= self.max_tokens:
                return prompt
        (prompt,) = self._read([self.text(item, user)])
        raise RequestError(
            f"encoder.max_tokens={self.max_tokens}: the prompt of item {item} has {len(prompt)} tokens without any "
            f"history; raise it, or name shorter columns in encoder.question"
        )

    def _read(self, texts: Sequence[str]) -> list[Prompt]:
        before, after = self.frame
        framed = [f"{before}{text}{after}" for text in texts]
        rows = self.tokenizer(framed, add_special_tokens=not self.is_chat, return_attention_mask=False)["input_ids"]
        return [self._without_end(row) for row in rows]

    def _without_end(self, row: list[int]) -> Prompt:
        """Drop the end of text that some tokenizers add: the answer goes on from the prompt."""
        return tuple(row[:-1] if len(row) > 1 and row[-1] == self.tokenizer.eos_token_id else row)

    def _chat_frame(self) -> tuple[str, str]:
        """Return what stands before and after a user's message."""
        try:
            message = [{"role": "user", "content": SLOT}]
            template = TODAY + self.tokenizer.get_chat_template()
            written = self.tokenizer.apply_chat_template(
                message, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # a template of others raises anything
            raise DataError(
                f"encoder.model: its chat template cannot be used ({' '.join(str(error).split())[:200]}); set "
                f"encoder.chat=false"
            ) from error
        before, slot, after = str(written).partition(SLOT)
        if not slot or SLOT in after:
            raise DataError(
                "encoder.model: its chat template does not hold the message once, as it is; set encoder.chat=false"
            )
        return before, after


def _marks(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return the spellings of a tokenizer's special tokens, longest first."""
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted((mark for mark in special if len(mark) > 1), key=lambda mark: (-len(mark), mark)))


def _plain(values: Sequence[str], marks: Sequence[str]) -> tuple[str, ...]:
    """Break special tokens that stand in texts of the data: a title may not end the user's message."""
    plain = []
    for value in values:
        for mark in marks:
            value = value.replace(mark, f"{mark[0]} {mark[1:]}")
        plain.append(value)
    return tuple(plain)


def _check_question(question: Template, items: Iterable[str], users: Iterable[str]) -> None:
    """Raise RequestError where a question asks for what is no column, or says nothing of the item."""
    question.check([*items, *users])
    if not set(question.names) & set(items):
        raise RequestError(
            f"{question.setting}: names no column of the item, so that all items would have one answer; write {{NAME}} "
            f"of one of {', '.join(items)}"
        )


def _check_phrase(phrase: Template) -> None:
    """Raise RequestError where a phrase of the history asks for anything but its events, or says nothing of them."""
    phrase.check([EVENTS])
    if EVENTS not in phrase.names and phrase.render({}).strip():
        raise RequestError(
            f"{phrase.setting}: holds no {{{EVENTS}}}, so that no item of the history would be named; write "
            f'{{{EVENTS}}} where they stand, or "" to leave them out'
        )


def _values(columns: Mapping[str, Sequence[str]], row: int) -> dict[str, str]:
    return {name: values[row] for name, values in columns.items()}
