"""Templates of prompts: text with `{name}` of declared columns, and nothing that is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter

from causalrec.errors import RequestError, did_you_mean


@dataclass(frozen=True)
class Template:
    """A parsed template: literal texts, each followed by the name whose value stands there, or by none.

    Attributes:
        setting: where it was given, in messages.
        pieces: literal and name by turns.
    """

    setting: str
    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, setting: str, text: str) -> Template:
        """Parse `{name}`; `{{` and `}}` are braces. Raises RequestError for anything else between braces.

        >>> Template.parse("encoder.question", "Will they like {title}?").render({"title": "Heat"})
        'Will they like Heat?'
        """
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise RequestError(f"{setting}: {text!r}: {error}; write a brace that is none of a name twice") from error
        for _, name, form, conversion in parsed:
            if name is not None and (not name.isidentifier() or form or conversion):
                raise RequestError(
                    f"{setting}: {{{name}}} is no plain name of a column; write {{NAME}} alone, without dots, brackets "
                    f"or formats"
                )
        return cls(setting, tuple((literal, name) for literal, name, _, _ in parsed))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it asks for, in the order of the text."""
        return tuple(name for _, name in self.pieces if name is not None)

    def check(self, known_names: Iterable[str]) -> None:
        """Raise RequestError for a name that is none of these: a column that the graph hides, or none."""
        names = list(known_names)
        for name in self.names:
            if name not in names:
                raise RequestError(
                    f"{self.setting}: {{{name}}} is no column of the outcome view, which the graph has chosen; "
                    f"{did_you_mean(name, names)}"
                )

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text with each name's value in its place."""
        return "".join(literal + (values[name] if name is not None else "") for literal, name in self.pieces)
