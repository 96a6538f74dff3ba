"""A user's behaviour and an item as one text, assembled from tokens that were made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from causalrec.encoders.language.model import LanguageModel

BETWEEN, END, NEW_LINE = ";", ".", "\n"


@dataclass(frozen=True)
class Frame:
    """The special tokens around two texts: `before A between B after`.

    Attributes:
        before: token ids in front of the first text.
        between: token ids between the texts.
        after: token ids behind the second text.
        types: whether the second text's tokens have a type id of their own.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    types: bool

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def frame_of(language: LanguageModel) -> Frame:
    """Find a tokenizer's frame by what it makes of a pair; one without any (a GPT) gets a new line in between."""
    tokenizer = language.tokenizer
    first_tokens, second_tokens = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "b"))
    pair_tokens = tokenizer("a", "b")["input_ids"]
    start = _find_tokens(pair_tokens, first_tokens, 0)
    second = _find_tokens(pair_tokens, second_tokens, start + len(first_tokens))
    between = (
        pair_tokens[start + len(first_tokens) : second] or tokenizer(NEW_LINE, add_special_tokens=False)["input_ids"]
    )
    types = int(getattr(language.backbone.config, "type_vocab_size", 1)) > 1
    return Frame(pair_tokens[:start], between, pair_tokens[second + len(second_tokens) :], types)


def _find_tokens(tokens: Sequence[int], pattern: Sequence[int], start: int) -> int:
    return next(k for k in range(start, len(tokens)) if list(tokens[k : k + len(pattern)]) == list(pattern))


class PairTexts:
    """Makes the tokens of (behaviour, item) pairs, at most `max_tokens` each.

    Behaviour: a profile, then the liked events and the others, each group a phrase of item texts. A pair that is too
    long loses its oldest events, then the end of its profile; the item keeps up to half of the tokens.

    Args:
        language: the model whose tokenizer is used.
        items: one text for each item.
        profiles: one text for each user; none where profiles are not read.
        liked: phrase before the events that were liked.
        disliked: phrase before the other events.
        max_tokens: number of tokens of a pair at most.
        event_tokens: number of tokens at which the text of an event is cut.
    """

    def __init__(
        self,
        language: LanguageModel,
        items: Sequence[str],
        profiles: Sequence[str],
        *,
        liked: str,
        disliked: str,
        max_tokens: int,
        event_tokens: int,
    ) -> None:
        language.check(max_tokens)
        self.language, self.max_tokens, self.event_tokens = language, max_tokens, event_tokens
        self.frame = frame_of(language)
        self.items = self._read(items)
        self.profiles = self._read(profiles)
        self.liked, self.disliked, self.between, self.end = self._read([liked, disliked, BETWEEN, END], spaced=False)

    @cached_property
    def room(self) -> int:
        """Tokens that a pair has for its two texts."""
        return self.max_tokens - len(self.frame)

    def _read(self, texts: Sequence[str], spaced: bool = True) -> list[list[int]]:
        """Tokenise without special tokens; to byte-level tokenizers a word within a text begins with its space."""
        words = [f" {text}" if spaced else text for text in texts]
        rows: list[list[int]] = self.language.tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        return rows

    def pair(self, item: int, events: Sequence[tuple[int, bool]], user: int | None = None) -> tuple[list[int], int]:
        """Return the tokens of a pair and where its second text begins; `events` (item, liked), oldest first."""
        second = self.items[item][: max(self.room // 2, self.room - self._behaviour_length(events, user))]
        left = self.room - len(second)
        profile = [] if user is None else self.profiles[user][:left]
        first = profile + self._behaviour(events, left - len(profile))
        frame = self.frame
        head = [*frame.before, *first, *frame.between]
        return [*head, *second, *frame.after], len(head)

    def _behaviour_length(self, events: Sequence[tuple[int, bool]], user: int | None) -> int:
        """Return how many tokens the behaviour takes without any cut."""
        return len(self._phrases(events)) + (0 if user is None else len(self.profiles[user]))

    def _behaviour(self, events: Sequence[tuple[int, bool]], room: int) -> list[int]:
        while len(tokens := self._phrases(events)) > room:
            events = events[1:]
        return tokens

    def _phrases(self, events: Sequence[tuple[int, bool]]) -> list[int]:
        tokens: list[int] = []
        for phrase, wanted in ((self.liked, True), (self.disliked, False)):
            texts = [self.items[item][: self.event_tokens] for item, liked in events if liked is wanted]
            if texts:
                tokens += phrase
                for event, text in enumerate(texts):
                    tokens += [*(self.between if event else []), *text]
                tokens += self.end
        return tokens
