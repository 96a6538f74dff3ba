"""Two sentences on what a study shows, written from its numbers: what was measured, not what one hopes."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.reporting.record import Saved
from causalrec.reporting.table import Cell, Table


def two_sentences(saved: Sequence[Saved], shown: Sequence[Table]) -> str:
    """Say how far each adjustment set brings the estimate of the mean to the truth, and which row ranks best."""
    done = [one for one in saved if one.record["status"] == "done"]
    return " ".join(filter(None, [_estimate(done), *(_ranking(table) for table in shown)]))


def _estimate(done: Sequence[Saved]) -> str:
    sets: dict[tuple[str, ...], dict[str, float]] = {}
    for one in done:
        sets.setdefault(tuple(one.record["adjustment"]["training"]["columns"]), one.record["overlap"]["mean_outcome"])
    if not sets or "true" not in next(iter(sets.values())):
        return ""
    first = next(iter(sets.values()))
    told = " and ".join(
        f"{means['snips']:.3f} (error {means['snips'] - means['true']:+.3f}) given {', '.join(columns) or 'nothing'}"
        for columns, means in sets.items()
    )
    effect = done[0].record["adjustment"]["estimand"] == "effect"
    what = "average effect on the training rows" if effect else "mean outcome over all pairs"
    return (
        f"The true {what} is {first['true']:.3f}; the logged rows say {first['naive']:.3f}, and "
        f"weighting them by the learned propensity gives {told}."
    )


def _ranking(table: Table) -> str:
    column = next((c for c in table.columns if c.startswith("auc@")), None)
    models = {name: cells[column] for name, cells in table.rows.items() if column in cells}
    if column is None or not models:
        return ""
    best = max(models, key=lambda name: models[name].mean)
    naive = {name: cell for name, cell in models.items() if name.endswith("naive")}
    text = f"On the {column.partition('@')[2]} test {best} ranks best (AUC {_with_interval(models[best])})"
    if naive and best not in naive:
        rival = max(naive, key=lambda name: naive[name].mean)
        apart = models[best].low > naive[rival].high
        text += f", against {_with_interval(naive[rival])} for {rival}: "
        text += "their intervals are apart" if apart else "their intervals overlap, so no order is claimed"
    biases = [f"{name} {cells[b].mean:+.3f}" for b in _bias(table) for name, cells in table.rows.items() if b in cells]
    return f"{text}; mean bias of prediction: {', '.join(biases)}." if biases else f"{text}."


def _bias(table: Table) -> list[str]:
    return [column for column in table.columns if column.startswith("bias@")][:1]


def _with_interval(cell: Cell) -> str:
    return f"{cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}]"
