"""Two sentences on what a study shows, written from its numbers: what was measured, not what one hopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from causalrec.records.field_types import Number
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.records.run_record import RunRecord
from causalrec.reporting.numbers import format_interval, format_number
from causalrec.reporting.score_table import Cell, ScoreTable


def two_sentences(folders: Sequence[RunFolder], shown: Sequence[ScoreTable]) -> str:
    """Say how far each adjustment set brings the estimate of the mean to the truth, and which row ranks best."""
    done = [run.record for run in finished_runs(folders)]
    return " ".join(filter(None, [_estimate(done), *(_ranking(table) for table in shown)]))


def _estimate(done: Sequence[RunRecord]) -> str:
    sets: dict[tuple[str, ...], Mapping[str, Number]] = {}
    for record in done:
        sets.setdefault(record.adjustment.training.columns, record.overlap.mean_outcome)
    first = next(iter(sets.values()), {})
    truth, naive = first.get("true"), first.get("naive")
    if truth is None or naive is None:
        return ""
    estimates = " and ".join(
        f"{weighted:.3f} (error {weighted - truth:+.3f}) given {', '.join(columns) or 'nothing'}"
        for columns, means in sets.items()
        if (weighted := means.get("snips")) is not None
    )
    return (
        f"The true {done[0].task.summary} is {truth:.3f}; the logged rows say {naive:.3f}, and "
        f"weighting them by the learned propensity gives {estimates}."
    )


def _ranking(table: ScoreTable) -> str:
    column = next((c for c in table.columns if c.startswith("auc@")), None)
    models = {name: cells[column] for name, cells in table.rows.items() if column in cells}
    if column is None or not models:
        return ""
    best = max(models, key=lambda name: models[name].mean)
    naive = {name: cell for name, cell in models.items() if name.endswith("naive")}
    text = f"On the {column.partition('@')[2]} test {best} ranks best (AUC {_format_with_interval(models[best])})"
    if naive and best not in naive:
        reference = max(naive, key=lambda name: naive[name].mean)
        apart = models[best].low > naive[reference].high
        text += f", against {_format_with_interval(naive[reference])} for {reference}: "
        text += "their intervals are apart" if apart else "their intervals overlap, so no order is claimed"
    biases = [f"{name} {cells[b].mean:+.3f}" for b in _bias(table) for name, cells in table.rows.items() if b in cells]
    return f"{text}; mean bias of prediction: {', '.join(biases)}." if biases else f"{text}."


def _bias(table: ScoreTable) -> list[str]:
    return [column for column in table.columns if column.startswith("bias@")][:1]


def _format_with_interval(cell: Cell) -> str:
    return f"{format_number(cell.mean, 3)} {format_interval(cell.low, cell.high, 3)}".rstrip()
