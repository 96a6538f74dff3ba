"""What `causalrec data` prints for people: sentences and short tables of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from causalrec.plain_text import display_width, one_line
from causalrec.types import Ints

if TYPE_CHECKING:
    from causalrec.data.audit import Audit
    from causalrec.data.dataset import CausalDataset
    from causalrec.data.domain_distance import DomainDistance
    from causalrec.data.log import InteractionLog

WIDTH = 80


def wrap(label: str, text: str) -> str:
    """Return `label: text` in lines of at most 80 columns, those after the first indented."""
    return textwrap.fill(
        f"{label}: {text}" if label else text,
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def shorten(text: str, most: int) -> str:
    """Return at most that many characters of a text, two dots where it is cut.

    >>> shorten("headline", 8), shorten("headlines", 8)
    ('headline', 'headli..')
    """
    return text if len(text) <= most else f"{text[: most - 2].rstrip()}.."


def count_words(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> count_words(1, "test row"), count_words(2000, "test row")
    ('1 test row', '2,000 test rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def align(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return rows of cells as columns two spaces apart; `right`: the columns set to the right.

    >>> print(align([["", "rows"], ["train", "5,568"], ["test", "9"]], frozenset({1})))
            rows
    train  5,568
    test       9
    """
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            _pad(cell, width, k in right) for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    )


def _pad(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - display_width(cell))
    return blanks + cell if right else cell + blanks


def describe_list(rows: Sequence[Mapping[str, str | None]]) -> str:
    """Write the data sets one a line, and where the rest stands."""
    table = [["name", "domain", "outcome", "random rows", "files"]]
    for row in rows:
        where = str(row["where"])
        short = "here" if where == "on this machine" else "fetch" if where.startswith("fetch") else "yours"
        random = "yes" if row["unbiased part"] and not str(row["unbiased part"]).startswith("not random") else "no"
        table.append([str(row["name"]), str(row["domain"]), str(row["outcome"]), random, short])
    more = "causalrec data list NAME: size, licence and source of one; data fetch NAME gets it; data new FILE: your own"
    return f"{align(table)}\n\n{textwrap.fill(more, WIDTH)}"


def describe_dataset(row: Mapping[str, str | None]) -> str:
    """Write all that is known of one data set."""
    return "\n".join(wrap(key, str(value or "none")) for key, value in row.items())


def describe_loaded(data: CausalDataset, columns: Sequence[str] | None) -> str:
    """Write what a data set holds; `columns`: what is adjusted for, None where that is not known."""
    sizes = {"user": data.logged.num_users, "item": data.logged.num_items}
    counts = [count_words(count, word) for word, count in sizes.items() if count]
    lines = [f"{one_line(data.card.name)}: {', '.join(counts)}"]
    lines.append(wrap("logged", _describe_log(data.logged)))
    itself = "the log itself: exposure was drawn at random in every row"
    without = itself if data.card.randomised_training else "no rows"
    lines.append(wrap("randomised", without if data.randomised is None else _describe_log(data.randomised)))
    names = [f"{column.name} ({column.kind})" for column in data.card.columns if column.kind != "id"]
    lines.append(wrap("columns", ", ".join(names) or "ids alone"))
    if columns is not None:
        lines.append(wrap("adjusted for", ", ".join(columns) or "nothing"))
    return "\n".join(lines)


def _describe_log(log: InteractionLog) -> str:
    outcome = log.outcome[log.outcome == log.outcome]
    words = count_words(len(log), "row")
    if len(outcome):
        words += f", outcome {outcome.min():g} to {outcome.max():g}, mean {outcome.mean(dtype=float):.3g}"
    if log.time is not None and len(log):
        words += f", times {_times(log.time)}"
    if log.has_arms:
        exposed = (log.treatment > 0).mean()
        words += f", {exposed:.0%} exposed"
    return words


def _times(time: Ints) -> str:
    low, high = int(time.min()), int(time.max())
    if low < 10**8:  # places in a sequence, or not seconds since 1970
        return f"{low} to {high}"
    return " to ".join(datetime.fromtimestamp(moment, UTC).date().isoformat() for moment in (low, high))


def describe_audit(name: str, audit: Audit, unseen_users_by_cut: Mapping[str, str], distance: DomainDistance) -> str:
    """Write the splits as they are used, and what could make a number untrue.

    Args:
        name: of the data set.
        audit: what was counted.
        unseen_users_by_cut: test rows without a training row of their user, by another cut of time.
        distance: of the test from the training rows.
    """
    facts = [wrap("data set", name), wrap("held out", audit.split), wrap("test", audit.test)]
    if audit.threshold is not None:
        facts.append(wrap("outcome", f"1 from {audit.threshold:g} on, else 0"))
    elif audit.bin_edges:
        facts.append(wrap("outcome", f"class, cut at {', '.join(f'{edge:g}' for edge in audit.bin_edges)}"))
    lines = [*facts, "", _splits_table(audit), ""]
    lines += [wrap(label, text) for label, text in _audit_sentences(audit).items()]
    lines += [
        wrap(cut, f"{rows} test rows would have a user without a training row")
        for cut, rows in unseen_users_by_cut.items()
    ]
    lines.append(wrap("distance of the test", str(distance)))
    lines += [wrap("warning", warning) for warning in audit.warnings]
    return "\n".join(lines)


def _splits_table(audit: Audit) -> str:
    rows = [["split", "rows", "users", "items", "mean outcome", "hash"]]
    for split, count in audit.rows.items():
        users = f"{audit.users[split]:,}" if split in audit.users else "-"
        mean = f"{audit.mean_outcome[split]:.4g}"
        rows.append([split, f"{count:,}", users, f"{audit.items[split]:,}", mean, audit.hashes.get(split, "")[:12]])
    return align(rows, frozenset(range(1, 5)))


def _audit_sentences(audit: Audit) -> dict[str, str]:
    sentences = {
        "duplicates": f"{count_words(audit.duplicates, 'test pair')} logged too; rule: {audit.duplicate_rule}",
        "leaked rows": f"{count_words(audit.leaked_rows, 'test row')} whose pair is trained or selected on",
        "unseen ids": (
            f"{count_words(audit.unseen_rows, 'test row')} of a user or item without a training row; "
            f"rule: {audit.unseen_rule}"
        ),
        "cold test rows left": f"{audit.cold_users:,} by user, {audit.cold_items:,} by item",
    }
    if audit.candidates_per_user is not None:
        positives = (
            ""
            if audit.positives_per_user is None
            else f", {audit.positives_per_user:.4g} of them positive; "
            f"{count_words(audit.users_without_positive or 0, 'user')} without a positive"
        )
        sentences["per test user"] = f"{audit.candidates_per_user:.4g} rows{positives}"
    if audit.future_rows is not None:
        sentences["time"] = f"{count_words(audit.future_rows, 'test row')} older than the newest training row"
    if audit.assignment_unit != "row":
        sentences["unit of assignment"] = f"{audit.assignment_unit}: treatment is constant within each"
    if audit.cluster_axes != ("row",):
        sentences["rows depend by"] = " and ".join(audit.cluster_axes)
    if audit.with_duplicates:
        sentences["random rows read beside the test"] = f"{audit.randomised_rows_used:,}"
    return sentences
