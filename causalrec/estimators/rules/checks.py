"""Can rules be grounded? Judged by their names alone, before any data are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import networkx as nx

from causalrec.data.card import ColumnKind, DatasetCard
from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.rules.grammar import Atom, Rule, rule_error

TASTES = ("likes", "dislikes")
GRAPH = "knowledge."  # before the name of a relation
LEVEL_KINDS: tuple[ColumnKind, ...] = ("category", "multi_hot")
MAX_RULES = 100


def check_rules(rules: Sequence[Rule], predicates: Collection[str]) -> None:
    """Raise RequestError where a rule, or all of them together, cannot be grounded.

    Args:
        rules: as they were parsed.
        predicates: the names that stand for columns or relations.
    """
    if not 0 < len(rules) <= MAX_RULES:
        raise RequestError(f"penalty=rules: {len(rules)} rules; give 1 to {MAX_RULES} under penalty.rules.rules")
    for name in predicates:
        if name in TASTES:
            raise RequestError(
                f"penalty=rules: predicates.{name}: is what the model says; give the column another name"
            )
    for rule in rules:
        _check_atoms(rule, predicates)
        _check_head(rule)
        _check_variables(rule, predicates)
    read = {atom.predicate for rule in rules for atom in rule.body}
    if unread := sorted(set(predicates) - read):
        raise RequestError(f"penalty=rules: predicates.{unread[0]}: no rule reads it; drop it")
    _check_cycles(rules)


def _check_atoms(rule: Rule, predicates: Collection[str]) -> None:
    for atom in (*rule.body, rule.head):
        if atom.predicate not in (*TASTES, *predicates):
            raise rule_error(
                rule.number,
                f"unknown predicate {atom.predicate!r}; {did_you_mean(atom.predicate, (*TASTES, *predicates))}; name "
                f"its column under penalty.rules.predicates",
            )
        if len(atom.terms) != 2:
            raise rule_error(
                rule.number, f"{atom} has {len(atom.terms)} arguments, and predicates have two: of whom, and what"
            )


def _check_head(rule: Rule) -> None:
    head = rule.head
    user, item = head.terms
    if head.predicate not in TASTES or head.negated or user.is_constant or item.is_constant or user == item:
        raise rule_error(
            rule.number, f"the head {head} says nothing that the model predicts; write likes(u, i) or dislikes(u, i)"
        )


def _check_variables(rule: Rule, predicates: Collection[str]) -> None:
    pair = rule.head.terms
    for variable in pair:
        if not any(variable in atom.terms for atom in rule.body):
            raise rule_error(
                rule.number, f"the variable {variable.name} of the head is unbound: the body says nothing of it"
            )
    for atom in rule.body:
        first, second = atom.terms
        if first not in pair or (atom.predicate in TASTES and first != pair[0]):
            raise rule_error(
                rule.number,
                f"the first argument of {atom} is unbound: it must be {_first(atom, rule)} of the head",
            )
        if second in pair and (atom.predicate in predicates or second == pair[0]):
            raise rule_error(rule.number, f"the second argument of {atom} must be a level of the column, not an id")
        if second not in pair and not _binders(rule, atom, predicates):
            kind = "constant" if second.is_constant else "variable"
            raise rule_error(
                rule.number,
                f"the {kind} {second.name} is unbound: no column of the item holds it; add one, as has(i, g)",
            )


def _first(atom: Atom, rule: Rule) -> str:
    user, item = (term.name for term in rule.head.terms)
    return f"the user {user}" if atom.predicate in TASTES else f"the user {user} or the item {item}"


def _binders(rule: Rule, atom: Atom, predicates: Collection[str]) -> list[Atom]:
    """Return the atoms that say which levels the second argument of one stands for; of a taste, those of the item."""
    if atom.terms[1].is_constant and atom.predicate in predicates:
        return [atom]
    item = rule.head.terms[1]
    return [
        other
        for other in rule.body
        if other.predicate in predicates and other.terms[1] == atom.terms[1] and not other.negated
        if atom.predicate not in TASTES or other.terms[0] == item
    ]


def _check_cycles(rules: Sequence[Rule]) -> None:
    """Refuse rules whose heads feed their own bodies."""
    feeds: nx.DiGraph[str] = nx.DiGraph()
    for rule in rules:
        about_pair = (atom.predicate for atom in rule.body if atom.terms == rule.head.terms)
        feeds.add_edges_from((predicate, rule.head.predicate) for predicate in about_pair)
    if not nx.is_directed_acyclic_graph(feeds):
        cycle = [edge[0] for edge in nx.find_cycle(feeds)]
        steps = " -> ".join(f"{name}(u, i)" for name in [*cycle, cycle[0]])
        raise RequestError(
            f"penalty=rules: the rules go in a cycle, {steps}, so that what follows rests on itself; drop one of them"
        )


def check_sources(rules: Sequence[Rule], predicates: Mapping[str, str], card: DatasetCard) -> None:
    """Raise RequestError on a predicate whose column the data set lacks, or that is not of what its rule asks.

    Args:
        rules: checked.
        predicates: by name, a column, or a relation as `knowledge.NAME`.
        card: of the data set.
    """
    columns = {column.name: column for column in card.columns if column.entity in ("user", "item")}
    fit = [name for name, column in columns.items() if column.kind in LEVEL_KINDS]
    for name, source in predicates.items():
        if source.startswith(GRAPH):
            continue
        if source not in columns:
            raise RequestError(
                f"penalty=rules: predicates.{name}={source!r}: no column of a user or item of {card.name}; "
                f"{did_you_mean(source, fit)}; a relation is written {GRAPH}NAME"
            )
        if source not in fit:
            raise RequestError(
                f"penalty=rules: predicates.{name}={source!r}: is of kind {columns[source].kind}, and rules read "
                f"categories and lists; {did_you_mean(source, fit)}"
            )
    for rule in rules:
        for atom in rule.body:
            if atom.predicate not in predicates:
                continue
            source = predicates[atom.predicate]
            entity = "item" if source.startswith(GRAPH) else columns[source].entity
            if atom.terms[0] != rule.head.terms[entity == "item"]:
                raise rule_error(
                    rule.number,
                    f"{atom}: {source} is of the {entity}; its first argument must be "
                    f"{rule.head.terms[entity == 'item'].name}",
                )
