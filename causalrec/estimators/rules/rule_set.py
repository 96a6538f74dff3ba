"""What the predicates and variables of a set of rules are, judged against a data set's card before any file is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.rules.grammar import Atom, Rule, parse_rule

LIKES: Final = ("likes", "dislikes")
HAS: Final = "has"
MODEL: Final = "likes or dislikes of a user and an item"  # what the fit decides
LEVELLED: Final = ("category", "multi_hot")
MAX_LEVELS_OF_A_RULE: Final = 2  # variables over levels: their groundings are multiplied
Sort = Literal["user", "item", "level"]


@dataclass(frozen=True)
class LevelSource:
    """What an atom of two arguments reads: which levels of a column, or entities of a relation, a user or item has.

    Attributes:
        name: of the column or relation.
        entity: whose it is.
    """

    name: str
    entity: Literal["user", "item"]


@dataclass(frozen=True)
class RuleSet:
    """Rules whose predicates are known: what they are, and what each variable over levels runs over.

    Attributes:
        rules: as they are written.
        levels: what the predicates read that are columns or relations, by the predicate's name.
    """

    rules: tuple[Rule, ...]
    levels: Mapping[str, LevelSource]

    @property
    def derived(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules by the predicate that they define, in the order of the rules; what the fit decides left out."""
        heads = dict.fromkeys(rule.head.predicate for rule in self.rules if rule.head.predicate not in LIKES)
        return {name: tuple(rule for rule in self.rules if rule.head.predicate == name) for name in heads}

    @property
    def of_outcomes(self) -> tuple[Rule, ...]:
        """The rules whose head is what the fit decides."""
        return tuple(rule for rule in self.rules if rule.head.predicate in LIKES)

    def ranges(self, rule: Rule) -> dict[str, LevelSource]:
        """Return what each variable over levels of a rule runs over, in the order of the rule.

        Raises:
            RequestError: Where one runs over two columns.
        """
        ranges: dict[str, LevelSource] = {}
        for atom in rule.body:
            if atom.predicate not in self.levels or atom.arguments[1].is_level:
                continue
            variable, levels = atom.arguments[1].name, self.levels[atom.predicate]
            if ranges.setdefault(variable, levels) != levels:
                raise RequestError(
                    f"rule '{rule}': {variable} runs over {ranges[variable].name} and over {levels.name}; give each a "
                    f"variable of its own"
                )
        return ranges

    def sorts(self, rule: Rule) -> dict[str, Sort]:
        """Return what each variable of a rule stands for; RequestError where two atoms do not agree."""
        sorts: dict[str, Sort] = dict.fromkeys(self.ranges(rule), "level")
        for atom in (*rule.body, rule.head):
            for argument, sort in zip(atom.arguments, self._sorts_of(atom, sorts), strict=False):
                if argument.is_level or sort is None:
                    continue
                if sorts.setdefault(argument.name, sort) != sort:
                    raise RequestError(
                        f"rule '{rule}': {argument} is a {sorts[argument.name]} elsewhere, and in {atom} a {sort}"
                    )
        return sorts

    def _sorts_of(self, atom: Atom, sorts: Mapping[str, Sort]) -> tuple[Sort | None, ...]:
        if atom.predicate in self.levels:
            return self.levels[atom.predicate].entity, "level"
        if atom.predicate in LIKES:
            return "user", "level" if sorts.get(atom.arguments[-1].name) == "level" else "item"
        return (None,) * len(atom.arguments)  # of another rule, which says it


def read_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules of texts; RequestError where one is none, or defines what no rule uses."""
    rules = tuple(parse_rule(text) for text in texts)
    used = {atom.predicate for rule in rules for atom in rule.body}
    for rule in rules:
        if rule.head.predicate not in (*LIKES, *used):
            raise RequestError(
                f"rule '{rule}': no other rule uses {rule.head.predicate}; a head is likes(u, i), dislikes(u, i), or "
                f"what the body of another rule names"
            )
        if rule.head.negated and rule.head.predicate not in LIKES:
            raise RequestError(
                f"rule '{rule}': a head that other rules use cannot be negated; negate it in their bodies"
            )
    return rules


def resolve(rules: tuple[Rule, ...], card: DatasetCard, column: str | None, relations: Collection[str]) -> RuleSet:
    """Return the rules with what their predicates are.

    Args:
        rules: of `read_rules`.
        card: of the data set.
        column: of items, which `has` reads; None: the only list of levels among its columns.
        relations: of its graph of items.

    Raises:
        RequestError: Where a predicate is none, has the wrong number of arguments, a variable is unbound, or they run
            in a circle.
    """
    derived = {rule.head.predicate for rule in rules} - set(LIKES)
    names = {atom.predicate for rule in rules for atom in rule.body} - derived - set(LIKES)
    rule_set = RuleSet(rules, {name: _levels(name, card, column, relations, derived) for name in sorted(names)})
    for rule in rules:
        _check_atoms(rule, rule_set)
        _check_variables(rule, rule_set)
    _refuse_circles(rule_set)
    return rule_set


def is_outcome(atom: Atom, sorts: Mapping[str, Sort]) -> bool:
    """Whether an atom says what the fit decides: that a user likes or dislikes an item."""
    return atom.predicate in LIKES and sorts.get(atom.arguments[1].name) == "item"


def _levels(
    name: str, card: DatasetCard, column: str | None, relations: Collection[str], derived: Collection[str]
) -> LevelSource:
    if name == HAS:
        return LevelSource(_column_of_has(card, column), "item")
    columns = {each.name: each for each in card.columns if each.kind in LEVELLED and each.entity in ("user", "item")}
    if name in columns:
        return LevelSource(name, "user" if columns[name].entity == "user" else "item")
    if name in relations:
        return LevelSource(name, "item")
    listed = [*LIKES, HAS, *derived, *columns, *relations]
    raise RequestError(
        f"rules: {name}: no predicate, no category or list of {card.name}, and no relation of its graph; "
        f"{did_you_mean(name, listed)}"
    )


def _column_of_has(card: DatasetCard, column: str | None) -> str:
    of_items = {each.name: each.kind for each in card.columns if each.entity == "item" and each.kind in LEVELLED}
    if column is not None:
        if column not in of_items:
            raise RequestError(
                f"rules: column={column}: no category or list of items; {did_you_mean(column, list(of_items))}"
            )
        return column
    lists = [name for name, kind in of_items.items() if kind == "multi_hot"]
    if len(lists) != 1:
        raise RequestError(
            f"rules: has: {card.name} has {len(lists)} lists of levels among its columns of items; say which column it "
            f"reads (column=NAME), or write the column in place of has: {', '.join(of_items) or 'none'}"
        )
    return lists[0]


def _check_atoms(rule: Rule, rule_set: RuleSet) -> None:
    derived = rule_set.derived
    for atom in (*rule.body, rule.head):
        wanted = len(derived[atom.predicate][0].head.arguments) if atom.predicate in derived else 2
        if len(atom.arguments) != wanted:
            raise RequestError(
                f"rule '{rule}': {atom.predicate} has {wanted} arguments, and here {len(atom.arguments)}"
            )
        first_is_level = atom.arguments[0].is_level
        if first_is_level or (atom.arguments[-1].is_level and atom.predicate not in rule_set.levels):
            raise RequestError(f"rule '{rule}': {atom}: a level stands second, in a column or relation")


def _check_variables(rule: Rule, rule_set: RuleSet) -> None:
    bound = {argument.name for atom in rule.body for argument in atom.arguments if not argument.is_level}
    for argument in rule.head.arguments:
        if argument.name not in bound:
            raise RequestError(f"rule '{rule}': {argument} is unbound: it stands in the head and not in the body")
    sorts = rule_set.sorts(rule)
    by_sort = {sort: [name for name in sorts if sorts[name] == sort] for sort in ("user", "item", "level")}
    for sort, most in (("user", 1), ("item", 1), ("level", MAX_LEVELS_OF_A_RULE)):
        if len(by_sort[sort]) > most:
            unbound = " (or unbound: in no column or relation of the body)" if sort == "item" else ""
            raise RequestError(
                f"rule '{rule}': {' and '.join(by_sort[sort])} are variables of {sort}s{unbound}; at most {most} is "
                f"grounded"
            )
    if rule.head.predicate in LIKES and not is_outcome(rule.head, sorts):
        raise RequestError(f"rule '{rule}': the head speaks of a level; what is learnt is of a user and an item")
    if rule.head.predicate not in LIKES and any(sorts.get(each.name) == "level" for each in rule.head.arguments):
        raise RequestError(f"rule '{rule}': a head is said of a user, an item, or both; {rule.head} names a level")


def _refuse_circles(rule_set: RuleSet) -> None:
    """Raise RequestError where a head is needed for its own body, through whichever rules."""
    needs: dict[str, set[str]] = {}
    for rule in rule_set.rules:
        sorts = rule_set.sorts(rule)
        nodes = [MODEL if is_outcome(atom, sorts) else atom.predicate for atom in (*rule.body, rule.head)]
        of_levels = [node in LIKES for node in nodes]  # training rows say these
        needs.setdefault(nodes[-1], set()).update(
            node for node, is_known in zip(nodes[:-1], of_levels, strict=False) if not is_known
        )
    for start in needs:
        if path := _path_back(start, needs):
            raise RequestError(f"rules: run in a circle: {' <- '.join(path)}; a rule may not need what it says")


def _path_back(start: str, needs: Mapping[str, set[str]]) -> list[str]:
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for need in sorted(needs.get(path[-1], ())):
            if need == start:
                return [*path, start]
            if need not in seen:
                seen.add(need)
                paths.append([*path, need])
    return []
