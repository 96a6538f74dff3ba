"""The model card of an exported folder, in markdown: what its number is, what it rests on, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import AdjustmentSection, IdentificationSection, ScoreRecord
from causalrec.reporting.numbers import format_interval, format_number

DECIMALS = 4
NOT_FOR = (
    "Pairs that the scorer calls outside the support: no training row is like them.",
    "Decisions about people with consequences for them: no number here was judged for that.",
    "Another catalogue, other users or another time than the data's: nothing here says that they would be alike.",
)


def model_card(record: RunRecord, card: Mapping[str, object]) -> str:
    """Return the README of an exported folder.

    Args:
        record: of the run.
        card: what `card.json` holds.
    """
    sections = {
        "Intended use": _intended_use(record),
        "What the number is": [record.task.description, *record.task.footnotes],
        "Data": _data(card),
        "What it assumes": _assumptions(record.adjustment),
        "Test scores": _scores(record),
        "Support": _support(card),
        "Warnings": [*map(_bullet, _texts(card, "warnings"))] or ["None was raised by the run."],
        "Not to be used for": [*map(_bullet, (*_not_this_estimand(record), *NOT_FOR))],
        "How to score": _how_to_score(card),
    }
    blocks = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return f"# {record.name}\n\n" + "\n\n".join(blocks) + "\n"


def _intended_use(record: RunRecord) -> list[str]:
    return [
        f"Ranking the items of `{record.data.name}` for its users by `{record.task.estimand}`, in research. Trained by "
        f"causalrec {record.versions.get('causalrec', 'unknown')}: `{record.command}`"
    ]


def _not_this_estimand(record: RunRecord) -> Iterable[str]:
    yield f"Any other question than `{record.task.estimand}`."


def _data(card: Mapping[str, object]) -> list[str]:
    data = _mapping(card, "data")
    rows = ", ".join(f"{count:,} {name}" for name, count in _mapping(data, "rows").items())
    lines = [
        f"- {data['name']} ({data['domain']}): {data['size']}",
        f"- Rows: {rows}. Held out: {data['split']}. Test: {data['test']}.",
        f"- Licence of the data: {data['licence']}. Redistribution: {data['redistribution']}. The graph and the "
        f"support table hold numbers of each user and item, derived from these data.",
    ]
    return lines + ([f"- {data['caveat']}."] if data["caveat"] else [])


def _assumptions(adjustment: AdjustmentSection) -> list[str]:
    return [
        _identification("The training rows", adjustment.training),
        _identification("The test", adjustment.evaluation),
        f"- The model reads: {', '.join(adjustment.outcome_view) or 'nothing'}.",
        "- The causal graph is in `card.json`, under `graph`.",
    ]


def _identification(rows: str, identification: IdentificationSection) -> str:
    by = ", ".join([*identification.instruments, *filter(None, [identification.mediator])])
    way = f"{identification.strategy} ({by})" if by else identification.strategy
    given = ", ".join(identification.columns) or "nothing"
    assumed = "; ".join(identification.assumed) or "nothing beyond the graph"
    return f"- {rows}: identified by {way} given {given}; assumed: {assumed}."


def _scores(record: RunRecord) -> list[str]:
    header = [f"| score | value | {record.level:.0%} interval | rows | best baseline |", "|---|---|---|---|---|"]
    return [*header, *(_score_line(score, record.baselines) for score in record.scores)]


def _score_line(score: ScoreRecord, baselines: Sequence[ScoreRecord]) -> str:
    rivals = [each for each in baselines if (each.slice, each.metric) == (score.slice, score.metric)]
    rivals = [each for each in rivals if each.value is not None and score.higher_is_better is not None]
    best = ""
    if rivals:
        choose = max if score.higher_is_better else min
        top = choose(rivals, key=lambda each: each.value or 0.0)
        best = f"{top.model} {_number(top.value)}"
    low, high = (float("nan") if end is None else end for end in (score.low, score.high))
    interval = format_interval(low, high, DECIMALS)
    return f"| {score.metric}@{score.slice} | {_number(score.value)} | {interval} | {score.n:,} | {best} |"


def _number(value: float | None) -> str:
    return format_number(float("nan") if value is None else value, DECIMALS)


def _support(card: Mapping[str, object]) -> list[str]:
    support = _mapping(card, "support")
    rare = sum(_mapping(support, "cells_too_rare_to_judge").values())
    unchecked = [f"- Not checked: {name} ({why})." for name, why in _mapping(support, "not_checked").items()]
    return [
        f"- {support['rule']}.",
        f"- {support['cells_outside']:,} cells are outside; {rare:,} more are empty, but too rare to be judged: they "
        f"are not flagged.",
        *(unchecked[:10] + ([f"- And {len(unchecked) - 10:,} more, in `card.json`."] if len(unchecked) > 10 else [])),
    ]


def _how_to_score(card: Mapping[str, object]) -> list[str]:
    reader = "torch" if str(_mapping(card, "graph_file")["name"]).endswith(".pt2") else "onnxruntime"
    return [
        f"`python scorer.py USER ITEM`, or from Python, with numpy and {reader}:",
        "",
        "```python",
        "from scorer import Scorer",
        "",
        "scores, outside = Scorer()(users, items)",
        "```",
        "",
        f"Ids: {_mapping(card, 'ids')['note']}. The scorer refuses a folder of which a file was changed since it was "
        f"written: it compares each file's SHA-256 with `card.json`, and that of `card.json` with `card.sha256`. That "
        f"finds damage and edits; it proves no author. Load no `.pt2` of a stranger.",
    ]


def _mapping(values: Mapping[str, object], name: str) -> Mapping[str, int]:
    section = values[name]
    assert isinstance(section, Mapping)
    return section


def _texts(values: Mapping[str, object], name: str) -> list[str]:
    section = values[name]
    assert isinstance(section, list)
    return section


def _bullet(text: str) -> str:
    return f"- {text}"
