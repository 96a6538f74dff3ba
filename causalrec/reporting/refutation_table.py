"""What refuters said of a run's effect, as tables of text: their verdicts, and what hidden causes would leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from causalrec.estimators.effect.detectable import SAMPLES
from causalrec.reporting.text_table import TextTable

Report = dict[str, Any]  # refute.json, a verdict or a scenario of it
LABELS = "passes: the attempt did not break the effect, which proves nothing; fails: it did"
JUDGED = "refuters that pass or fail judge by 95 % intervals, whatever the run's level"
STRENGTHS = {"measured", "nothing to explain"}
NO_REST = "without an interval: such a cause would explain all that is left of the outcome"
MOST_SCENARIOS = 9  # of a verdict: three columns at three strengths


def verdict_table(refutation: Report) -> TextTable:
    """Return a row for each verdict of `refute.json`, and what is to be read with them."""
    values = [
        format_value(*ends) for ends in zip(refutation["value"], refutation["low"], refutation["high"], strict=True)
    ]
    level = f" ({interval_words(refutation)})" if any(end is not None for end in refutation["low"]) else ""
    verdicts = refutation["verdicts"]
    caveat = [refutation["caveat"]] if refutation["caveat"] is not None else []
    return TextTable(
        title=f"{refutation['run']}: {'; '.join(values)}{level}",
        header=("refuter", "arm", "verdict", "value"),
        rows=tuple((v["refuter"], str(v["arm"]), v["finding"] or v["verdict"], _value(v)) for v in verdicts),
        left=frozenset({0, 2}),
        notes=(
            *null_notes(refutation),
            LABELS,
            JUDGED,
            *_explanations(verdicts),
            f"estimated by {refutation['estimator']}",
            *caveat,
        ),
    )


def null_notes(refutation: Report) -> Iterator[str]:
    """Yield a line for each arm whose interval holds 0: what the design could have shown."""
    for arm, least in enumerate(refutation.get("detectable", ()), start=1):
        if least is not None:
            yield (
                f"arm {arm}: its interval holds 0; an effect of {least:.3g} would have shown {SAMPLES}, a smaller one "
                f"in fewer"
            )


def _explanations(verdicts: list[Report]) -> Iterator[str]:
    """Yield a line for each refuter: its rule, of each arm where arms differ, and its limitation."""
    for name in dict.fromkeys(verdict["refuter"] for verdict in verdicts):
        same = [verdict for verdict in verdicts if verdict["refuter"] == name]
        rules = list(dict.fromkeys(verdict["rule"] for verdict in same))
        if len(rules) > 1:
            rules = [f"arm {verdict['arm']}: {verdict['rule']}" for verdict in same]
        yield f"{name}: {'; '.join(rules)}; {same[0]['limitation']}"


def scenario_table(refutation: Report) -> TextTable | None:
    """Return what hidden causes would leave of the effect, a row for each strength; None where no refuter says."""
    verdicts = [verdict for verdict in refutation["verdicts"] if verdict["scenarios"]]
    if not verdicts:
        return None
    lines = [line for verdict in verdicts for line in _scenarios(verdict)]
    left_out = sum(max(0, len(verdict["scenarios"]) - MOST_SCENARIOS) for verdict in verdicts)
    certain = any(line["value"] is not None and line["low"] is None for v in verdicts for line in v["scenarios"])
    return TextTable(
        title=f"what a hidden cause would leave of the effect ({interval_words(refutation)}; of Gamma, bounds)",
        header=("hidden cause", "arm", "of the estimate", "of a linear regression"),
        rows=tuple(lines),
        notes=(*[NO_REST] * certain, *[f"{left_out} more, of weaker columns, are in refute.json"] * (left_out > 0)),
    )


def _scenarios(verdict: Report) -> Iterator[tuple[str, ...]]:
    for line in verdict["scenarios"][:MOST_SCENARIOS]:
        linear = format_value(*(line[f"linear_{end}"] for end in ("value", "low", "high")))
        estimate = line["note"] or format_value(line["value"], line["low"], line["high"])
        yield line["hidden_cause"], str(verdict["arm"]), estimate, linear


def interval_words(refutation: Report) -> str:
    """Write the level of a run's intervals.

    >>> interval_words({"level": 0.95}), interval_words({"level": 0.975})
    ('95 % interval', '97.5 % interval')
    """
    return f"{100 * refutation['level']:g} % interval"


def _value(verdict: Report) -> str:
    """Write what a refuter looked at; a strength stands in its finding."""
    if verdict["verdict"] in STRENGTHS and not verdict["value_is_effect"]:
        return ""
    return format_value(verdict["value"], verdict["low"], verdict["high"])


def format_value(value: float | None, low: float | None, high: float | None) -> str:
    """Write a number and its interval, or bounds alone.

    >>> format_value(0.5, 0.25, 0.75), format_value(None, 0.25, 0.75), format_value(0.5, None, None)
    ('0.500 [0.250, 0.750]', '[0.250, 0.750]', '0.500')
    """
    ends = "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
    return " ".join(text for text in ("" if value is None else f"{value:.3f}", ends) if text)
