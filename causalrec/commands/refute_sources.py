"""`causalrec refute RUN` of sources: trains the run anew without them, and with them destroyed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalrec.commands.terminal import log, print_text_table

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.evaluation.refuter.sources import AbstractSourceRefuter
    from causalrec.prepared import PreparedData
    from causalrec.records.json_records import Json
    from causalrec.records.run_record import RunRecord

FIGURE = "placebo_source.png"


def refute_sources(
    config: ExperimentConfig, record: RunRecord, prepared: PreparedData, refuters: Sequence[AbstractSourceRefuter]
) -> list[Json]:
    """Return verdicts on the sources of a finished run as JSON holds them, and draw them beside its record.

    Args:
        config: request of the run.
        record: its record.
        prepared: its data.
        refuters: what to run.
    """
    from causalrec.data.files import replace_atomically
    from causalrec.reporting.source_gains import source_figure, source_json
    from causalrec.running.prepare import select_slices
    from causalrec.sweeps.sources import SourceRuns

    slices = {
        rows.name: name for name, yielded in reversed(select_slices(config, prepared).items()) for rows in yielded
    }
    problem = SourceRuns.from_record(config, record, slices, log).problem
    verdicts = [verdict for refuter in refuters for verdict in refuter(problem)]
    figure = source_figure(config.run.name, verdicts, prepared.dataset.card.caveat)
    with replace_atomically(config.folder / FIGURE) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    log(f"drawn: {config.folder / FIGURE}")
    return [source_json(verdict) for verdict in verdicts]


def print_sources(run: str, sources: Sequence[Json], caveat: str | None) -> None:
    """Print verdicts on the sources of a run, as `refute.json` holds them.

    Args:
        run: its name.
        sources: a verdict each.
        caveat: what must be read with any result on the data.
    """
    from causalrec.reporting.source_gains import source_of_json, source_table

    print_text_table(source_table(run, [source_of_json(plain) for plain in sources], caveat))
