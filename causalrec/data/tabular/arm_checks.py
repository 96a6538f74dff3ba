"""What a log must hold for its effects to be learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.tabular.ingest import StreamedFile
from causalrec.errors import DataError


def note_wrong_exposures(streamed: StreamedFile, arms: int, column: str) -> None:
    """Note the rows of an exposure above `arms`, and a table that has no row of some exposure up to it."""
    treatment = np.asarray(streamed.array("treatment"))
    levels = [level for level in np.unique(treatment).tolist() if level >= 0]
    if not levels or levels == list(range(arms + 1)):
        return
    listed = ", ".join(map(str, levels[:10])) + (", .." if len(levels) > 10 else "")
    what = f"exposures are 0 to {arms} without a gap (0 = not exposed, then dataset.arms), but the file has {listed}"
    if len(levels) == arms + 1:
        order = ", ".join(map(str, levels))
        what += f"; set dataset.exposure_levels: [{order}] (the first = not exposed)"
    elif len(levels) > arms + 1:
        what += f"; name {len(levels) - 1} arms in dataset.arms"
    else:
        what += f"; add rows of {min(set(range(arms + 1)) - set(levels))}"
        if levels[0] == 0 and len(levels) > 1:
            order = ", ".join(map(str, levels))
            what += f", or name the {len(levels) - 1} it has in dataset.arms, and dataset.exposure_levels: [{order}]"
    wrong = treatment > arms
    streamed.bad_rows.add(what, column, wrong if wrong.any() else np.arange(len(treatment)) == 0)


def note_unnamed_exposures(streamed: StreamedFile, arms: int, column: str) -> None:
    """Note the rows of a file of random rows of an exposure above `arms`, of which nothing is learnt."""
    treatment = np.asarray(streamed.array("treatment"))
    what = (
        f"exposure {{value}} is no arm of dataset.arms, which has {arms}; drop the row, or name the arm where the "
        f"interactions have rows of it too"
    )
    streamed.bad_rows.add(what, column, treatment > arms)


def check_arms(log: InteractionLog, arms: Sequence[str], name: str, learns: bool = True) -> None:
    """Raise DataError on a row without an outcome, and on an arm of which nothing can be learnt.

    Args:
        log: Rows.
        arms: Names of the exposures 1, 2 and so on; empty where rows without exposure have no outcome.
        name: Of the data set.
        learns: Whether effects are learnt from the log, so that every arm needs a row.
    """
    if not arms:
        return
    if (bad := np.isnan(log.outcome)).any():
        what = "no outcome, which an effect needs of unexposed rows too; drop the row"
        raise DataError(f"{name}: {log.name} row {int(np.argmax(bad)) + 1}: {what} ({int(bad.sum())} such rows)")
    if learns and (missing := set(range(len(arms) + 1)) - set(np.unique(log.treatment).tolist())):
        what = ("not exposed", *arms)[min(missing)]
        raise DataError(
            f"{name}: no logged row has exposure {min(missing)} ({what}), so nothing is learnt of it; leave it out "
            f"of dataset.arms, and its rows out of the random ones"
        )
