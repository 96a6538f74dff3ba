"""Rules as text: `dislikes(u, g) and has(i, g) -> dislikes(u, i)`, read by a grammar of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from causalrec.errors import RequestError

TOKEN: Final = re.compile(r"\s*(?:(->)|([(),])|([^\W\d][\w.]*)|(\"[^\"]*\"|'[^']*')|(\S))")
WORDS: Final = ("and", "not")
MAX_LENGTH: Final = 1000  # characters of a rule


@dataclass(frozen=True)
class Argument:
    """A variable, or a level by its name.

    Attributes:
        name: of the variable, or of the level.
        is_level: it stood in quotes.
    """

    name: str
    is_level: bool = False

    def __str__(self) -> str:
        return f'"{self.name}"' if self.is_level else self.name


@dataclass(frozen=True)
class Atom:
    """A predicate of one or two arguments, or its negation.

    Attributes:
        predicate: its name.
        arguments: what it is said of.
        negated: `not` stands before it.
    """

    predicate: str
    arguments: tuple[Argument, ...]
    negated: bool = False

    def __str__(self) -> str:
        return f"{'not ' * self.negated}{self.predicate}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class Rule:
    """`body -> head`: where all atoms of the body hold, so does the head.

    Attributes:
        body: at least one atom.
        head: one atom.
    """

    body: tuple[Atom, ...]
    head: Atom

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.body))} -> {self.head}"


def parse_rule(text: str) -> Rule:
    """Return the rule that a text says.

    Grammar: `rule = atom {"and" atom} "->" atom`, `atom = ["not"] NAME "(" argument {"," argument} ")"`, and
    `argument = VARIABLE | "LEVEL"`.

    Raises:
        RequestError: Where it says none, with what was expected where.

    >>> str(parse_rule('dislikes(u, g) and not has(i, "Drama") -> dislikes(u,i)'))
    'dislikes(u, g) and not has(i, "Drama") -> dislikes(u, i)'
    """
    if len(text) > MAX_LENGTH:
        raise RequestError(f"a rule of {len(text):,} characters; write at most {MAX_LENGTH:,}, or several rules")
    return _Reader(text).rule()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0
        self.token = ""
        self._next()

    def rule(self) -> Rule:
        body = [self._atom()]
        while self.token == "and":
            self._next()
            body.append(self._atom())
        self._take("->", "'and' or '->'")
        rule = Rule(tuple(body), self._atom())
        if self.token:
            raise self._error("the end")
        return rule

    def _atom(self) -> Atom:
        negated = self.token == "not"
        if negated:
            self._next()
        predicate = self._name("a predicate")
        self._take("(", "'('")
        arguments = [self._argument()]
        while self.token == ",":
            self._next()
            arguments.append(self._argument())
        self._take(")", "',' or ')'")
        return Atom(predicate, tuple(arguments), negated)

    def _argument(self) -> Argument:
        if self.token[:1] in ('"', "'") and len(self.token) > 1:
            level = self.token[1:-1]
            self._next()
            return Argument(level, is_level=True)
        return Argument(self._name("a variable, or a level in quotes"))

    def _name(self, expected: str) -> str:
        name = self.token
        if name in WORDS or not re.match(r"[^\W\d]", name):
            raise self._error(expected)
        self._next()
        return name

    def _take(self, token: str, expected: str) -> None:
        if self.token != token:
            raise self._error(expected)
        self._next()

    def _next(self) -> None:
        match = TOKEN.match(self.text, self.position)
        self.token = match[0].strip() if match else ""
        self.position = match.end() if match else len(self.text)

    def _error(self, expected: str) -> RequestError:
        met = repr(self.token) if self.token else "its end"
        return RequestError(f"rule {self.text!r}: {expected} was expected at character {self.position}, but {met} came")
