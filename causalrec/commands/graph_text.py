"""What `causalrec graph` says, in sentences that fit a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalrec.features.views import Views
    from causalrec.graph.falsify import Falsification
    from causalrec.graph.identify import Adjustment, Identification
    from causalrec.graph.proposed_edges import EdgeCheck
    from causalrec.reporting.text_table import TextTable

WAYS = {
    "backdoor": "by backdoor adjustment",
    "randomised": "by randomised exposure",
    "logged propensity": "by the logged propensities",
}


def describe_identification(adjustment: Adjustment, expression: str, views: Views, width: int) -> str:
    """Say what is estimated, what identifies it on either set of rows, and what the models read.

    Args:
        adjustment: what identifies the estimand.
        expression: its formula.
        views: what propensity and outcome model read.
        width: of a line.
    """
    sentences = [
        f"Estimand: {adjustment.estimand}, {expression}.",
        f"Training rows: identified {_way(adjustment.training)}.",
        _of_test(adjustment.evaluation),
        *(f"Assumed, not identified: {assumption}." for assumption in adjustment.training.assumed),
        f"The propensity may read {_names(views.propensity)}.",
        f"The outcome model reads {_names(views.outcome)}.",
    ]
    return "\n".join(line for sentence in sentences for line in _wrap(sentence, width))


def _of_test(evaluation: Identification) -> str:
    if evaluation.strategy == "none":
        return "Test rows: not identified; scores on them describe logged exposure only."
    return f"Test rows: identified {_way(evaluation)}."


def _way(identification: Identification) -> str:
    way = WAYS.get(identification.strategy, f"by {identification.strategy}")
    if identification.instruments:
        way += f" ({_names(identification.instruments)})"
    if identification.mediator:
        way += f" (through {identification.mediator})"
    return way + (f" given {_names(identification.columns)}" if identification.columns else "")


def describe_falsification(falsification: Falsification, width: int) -> str:
    """Say whether the data contradict the graph, where, and what the test cannot see."""
    lines = list(_falsification(falsification))
    return "\n".join(line for sentence in lines for line in _wrap(sentence, width))


def _falsification(falsification: Falsification) -> Iterator[str]:
    rows = f" ({falsification.rows} rows)" if falsification.rows else ""
    yield f"falsification: {falsification.verdict}: {falsification.why}{rows}"
    for pair in falsification.violated:
        given = f" given {', '.join(pair.given)}" if pair.given else ""
        yield f"  contradicted: {pair.left} and {pair.right} are independent{given}: p = {pair.p_value:.1e}"
    if falsification.untested:
        yield f"  untested, as no column of numbers or categories holds them: {', '.join(falsification.untested)}"
    if falsification.tested:
        no_worse, alike = falsification.no_worse, falsification.alike
        yield f"  graphs with permuted nodes: {no_worse:.0%} no worse, {alike:.0%} alike"
    yield f"  blind to: {falsification.limitation}"


def edge_table(checks: Sequence[EdgeCheck], dataset: str) -> TextTable:
    """Return what graph and data say of proposed edges, a row each."""
    from causalrec.reporting.text_table import TextTable

    rows = [
        (
            f"{check.cause} -> {check.effect}",
            check.verdict,
            *(_number(value) for value in (check.statistic, check.p_value, check.adjusted)),
            "-" if check.rows is None else str(check.rows),
            ", ".join(check.given) or "-",
            check.why,
        )
        for check in checks
    ]
    notes = (
        "kept: the data contradict the edge's absence (independence of its ends, given what separates them without it, "
        "is rejected at 3% by Holm). It may run the other way.",
        "contradicted: no such dependence in so many rows, or the order of causes rules it out. A weak one passes for "
        "none.",
        "p (Holm) holds for all edges tested; statistic and p are of the kernel test.",
    )
    header = ("edge", "verdict", "statistic", "p", "p (Holm)", "rows", "given", "why")
    return TextTable(
        title=f"Proposed edges, {dataset}", header=header, rows=tuple(rows), left=frozenset({0, 1, 6, 7}), notes=notes
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "no column"


def _wrap(sentence: str, width: int) -> list[str]:
    indent = " " * (len(sentence) - len(sentence.lstrip()) + 2)
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
