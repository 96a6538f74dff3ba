"""The leaderboard of a table, sortable and filterable, and the differences to a row that the reader chooses."""

from __future__ import annotations

import math

from causalrec.records.names import parse_column
from causalrec.reporting.html.charts import interval
from causalrec.reporting.html.differences import (
    ZERO_IS_BEST,
    best_row,
    direction,
    first_reference,
    order_rows,
    reference_rows,
)
from causalrec.reporting.html.markup import (
    Html,
    count_phrase,
    grid,
    number,
    paragraph,
    scroll_box,
    section,
    tag,
)
from causalrec.reporting.html.page_data import PageTable
from causalrec.reporting.score_table import Cell, ScoreTable, format_seeds
from causalrec.reporting.submodels import MARK

Scale = tuple[tuple[float, float], int]  # of a column: ends of its bars, digits of its numbers
ARROWS = {1: "↑ more is better", -1: "↓ less is better"}


def leaderboard(page_table: PageTable, anchor: str) -> Html:
    """Build the table: mean over seeds ± sd, interval as number and bar; the best of a column first and in bold."""
    table = page_table.table
    spans = {column: _span(page_table, column) for column in table.columns}
    scales = {column: (spans[column], page_table.table.decimals(column)) for column in table.columns}
    best = {column: best_row(page_table, column) for column in table.columns}
    first = table.columns[0] if table.columns else None
    order = order_rows(page_table)
    heads = [_head(page_table, column, column == first) for column in table.columns]
    head = tag("tr", _plain_head("row", "l"), *heads, _plain_head("seeds", None))
    body = [_row(page_table, row, scales, best) for row in order]
    caption_text = f"{table.dataset}: mean over seeds ± standard deviation, [interval]"
    caption = tag("caption", caption_text, class_="unseen")
    leader_table = tag("table", caption, tag("thead", head), tag("tbody", *body), class_="leader sortable")
    search = tag("input", type="search", class_="filter", placeholder="Filter rows", aria_label="Filter rows by text")
    count = tag("output", count_phrase(len(order), "row"), class_="count", aria_live="polite")
    notes = tag("ul", *(tag("li", note) for note in dict.fromkeys(table.footnotes)), class_="notes")
    legend = "Bold: the best mean of its column, which is no claim of a difference: see the differences below. "
    legend += "Bars: one scale for each column, that of the rows that were trained; an arrow lies outside."
    tools = tag("div", search, count, class_="tools")
    return section(anchor, "Leaderboard", tools, scroll_box("Leaderboard", leader_table), paragraph(legend), notes)


def _span(page_table: PageTable, column: str) -> tuple[float, float]:
    """Return the scale of a column's bars: a trivial baseline far off must not squeeze what was trained."""
    cells = {row: of[column] for row, of in page_table.table.rows.items() if column in of}
    ends = {row: [e for e in (c.low, c.high, c.mean) if math.isfinite(e)] for row, c in cells.items()}
    trained = [end for row in page_table.rows for end in ends.get(row, [])] or [
        end for of in ends.values() for end in of
    ]
    if not trained:
        return 0.0, 1.0
    low, high = min(trained), max(trained)
    near = [end for of in ends.values() if all(2 * low - high <= end <= 2 * high - low for end in of) for end in of]
    return min([low, *near]), max([high, *near])


def _plain_head(name: str, side: str | None) -> Html:
    return tag("th", tag("button", name, type="button"), scope="col", class_=side, aria_sort="none")


def _head(page_table: PageTable, column: str, sorted_: bool) -> Html:
    metric, where = parse_column(column)
    counts = sorted({cells[column].n for cells in page_table.table.rows.values() if column in cells})
    n = f"n {counts[0]:,}" if len(counts) == 1 else f"n {counts[0]:,} to {counts[-1]:,}" if counts else "no value"
    sign = direction(page_table, column)
    better = ARROWS.get(sign, "0 is best" if metric in ZERO_IS_BEST else "an estimate")
    small = tag("small", f"{where} · {n}", tag("br"), better)
    order = ("ascending" if sign < 0 else "descending") if sorted_ else "none"
    button = tag("button", tag("b", metric), small, type="button")
    return tag("th", button, scope="col", aria_sort=order, data_first="ascending" if sign < 0 else "descending")


def _row(page_table: PageTable, row: str, scales: dict[str, Scale], best: dict[str, str | None]) -> Html:
    table, baseline = page_table.table, row in page_table.table.baselines
    badge = tag("span", "baseline", class_="badge") if baseline else None
    cells = [_cell(table.rows[row].get(column), scales[column], best[column] == row) for column in table.columns]
    seeds = format_seeds(row, table)
    name = tag("th", tag("span", row), badge, scope="row", data_v=row)
    last = tag("td", seeds or "–", data_v=seeds or 0)
    return tag("tr", name, *cells, last, class_="base" if baseline else None, style=page_table.style(row))


def _cell(cell: Cell | None, scale: Scale, best: bool) -> Html:
    if cell is None:
        return tag("td", "–")
    span, digits = scale
    sd = None if cell.sd is None else tag("i", f"±{number(cell.sd, digits)}")
    best_label = tag("span", " best", class_="unseen") if best else None
    mean = tag("b" if best else "span", number(cell.mean, digits), best_label, class_="mean")
    lost = f"loses to its special case {', '.join(cell.loses_to)}"
    mark = tag("span", MARK, tag("span", lost, class_="unseen"), title=lost) if cell.loses_to else None
    ends = tag("span", f"[{number(cell.low, digits)}, {number(cell.high, digits)}]", class_="ends")
    note = tag("span", f"({cell.note})", class_="ends") if cell.note else None
    bar = interval(cell.mean, cell.low, cell.high, span)
    return tag("td", mean, sd, mark, bar, ends, note, data_v=f"{cell.mean:.6g}")


def forest(page_table: PageTable, anchor: str) -> Html:
    """Build the empty forest plot and its controls; the script of the page fills it from the embedded differences."""
    names, start = list(page_table.table.rows), first_reference(page_table)
    options = [tag("option", row, value=names.index(row), selected=row == start) for row in reference_rows(page_table)]
    columns = [tag("option", column, value=column) for column in page_table.table.columns]
    tools = tag(
        "div",
        tag("label", "compared to ", tag("select", *options, class_="rival")),
        tag("label", "in ", tag("select", *columns, class_="column")),
        class_="tools",
    )
    level = page_table.runs[0].record.level
    heads = ["row", "on one scale", "difference", f"{level:.0%} interval", "p (Holm)", "runs"]
    plot_box = tag(
        "div",
        grid("Paired differences", heads, [], left=[1], titled=False),
        class_="forest",
        data_part=anchor.split("-")[0],
    )
    explanation = paragraph(
        "Row minus the chosen row, paired by seed; standard errors are clustered by user and by item (of full rankings "
        "and sampled lists by user alone, items held fixed) and add the spread over seeds; intervals are per row; p is "
        "corrected over the rows of the column. A filled dot and a star mark p ≤ 0.05; an arrow lies outside the "
        "scale. Rows without leave-groups-out values are absent."
    )
    few = len(options) < len(names)
    fewer = paragraph(f"With {len(names)} rows, only baselines and best rows are offered.") if few else None
    scale = tag("p", class_="note scale", aria_live="polite")
    return section(anchor, "Differences", tools, scale, plot_box, explanation, fewer)


def plain_table(table: ScoreTable, anchor: str) -> Html:
    """Build a table of estimates, which has neither baselines nor directions."""
    rows = [[row, *(_format(cells.get(column)) for column in table.columns)] for row, cells in table.rows.items()]
    notes = [paragraph(note) for note in table.footnotes]
    return section(anchor, table.dataset, grid(table.dataset, ["row", *table.columns], rows), *notes)


def _format(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    sd = "" if cell.sd is None else f" ±{number(cell.sd)}"
    return f"{number(cell.mean)}{sd} [{number(cell.low)}, {number(cell.high)}], {cell.seeds:,} draws"
