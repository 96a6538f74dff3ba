"""The grammar of rules: `dislikes(u, g) and not recent(i, "1990s") and has(i, g) -> dislikes(u, i)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from causalrec.errors import RequestError

TOKEN = re.compile(r"\s*(?:(?P<arrow>->)|(?P<mark>[(),])|(?P<name>[A-Za-z_]\w*)|(?P<text>\"[^\"]*\"|'[^']*'))")
WORDS = ("and", "not")
END = "its end"


@dataclass(frozen=True)
class Argument:
    """An argument: a variable, or a constant, which is written in quotes.

    Attributes:
        name: of the variable, or the constant's text.
        is_constant: whether it is one.
    """

    name: str
    is_constant: bool = False


@dataclass(frozen=True)
class Atom:
    """A predicate of two arguments; the first is the user or the item of the pair that the rule speaks of.

    Attributes:
        predicate: its name.
        terms: its arguments.
        negated: whether `not` stands before it.
    """

    predicate: str
    terms: tuple[Argument, ...]
    negated: bool = False

    def __str__(self) -> str:
        listed = (f'"{term.name}"' if term.is_constant else term.name for term in self.terms)
        return f"{'not ' if self.negated else ''}{self.predicate}({', '.join(listed)})"


@dataclass(frozen=True)
class Rule:
    """`body -> head`: where all of the body holds, the head does.

    Attributes:
        number: its place in the list, from 1, for messages.
        body: the atoms before the arrow.
        head: the one behind it.
    """

    number: int
    body: tuple[Atom, ...]
    head: Atom

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.body))} -> {self.head}"


def rule_error(number: int, why: str) -> RequestError:
    """Make the error that names a rule."""
    return RequestError(f"penalty=rules: rule {number}: {why}")


def parse_rule(text: str, number: int = 1) -> Rule:
    """Read a rule; raise RequestError where it is none.

    >>> str(parse_rule("dislikes(u,g) and has(i,g) -> dislikes(u,i)"))
    'dislikes(u, g) and has(i, g) -> dislikes(u, i)'
    """
    reader = _Reader(text, number)
    body = [reader.atom()]
    while reader.accept("and"):
        body.append(reader.atom())
    reader.expect("->")
    head = reader.atom()
    if reader.next_token != END:
        raise reader.error("nothing")
    return Rule(number, tuple(body), head)


class _Reader:
    """Reads a rule from left to right, a token ahead.

    Args:
        text: of the rule.
        number: for messages.
    """

    def __init__(self, text: str, number: int) -> None:
        self.text, self.number = text, number
        self.tokens = self._tokenize()
        self.position = 0

    def _tokenize(self) -> list[str]:
        tokens, start = [], 0
        while self.text[start:].strip():
            match = TOKEN.match(self.text, start)
            if match is None:
                rest = self.text[start:].strip()
                raise rule_error(
                    self.number, f"{rest[:20]!r} cannot be read; write name(u, g) and name(i, g) -> likes(u, i)"
                )
            tokens.append(match.group().strip())
            start = match.end()
        return tokens

    @property
    def next_token(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else END

    def error(self, expected: str) -> RequestError:
        return rule_error(
            self.number,
            f"expected {expected}, but read {self.next_token}; write name(u, g) and name(i, g) -> likes(u, i)",
        )

    def accept(self, token: str) -> bool:
        if self.next_token != token:
            return False
        self.position += 1
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.error(token)

    def name(self, what: str) -> str:
        token = self.next_token
        if token == END or not re.fullmatch(r"[A-Za-z_]\w*", token) or token in WORDS:
            raise self.error(what)
        self.position += 1
        return token

    def atom(self) -> Atom:
        negated = self.accept("not")
        predicate = self.name("the name of a predicate")
        self.expect("(")
        terms = [self.term()]
        while self.accept(","):
            terms.append(self.term())
        self.expect(")")
        return Atom(predicate, tuple(terms), negated)

    def term(self) -> Argument:
        token = self.next_token
        if token[0] in "\"'":
            self.position += 1
            return Argument(token[1:-1], True)
        return Argument(self.name("a variable, or a constant in quotes"))
