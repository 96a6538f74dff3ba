"""`causalrec predict RUN --pairs FILE`: the outcome or effect of the pairs of a file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from causalrec.commands.opened_run import open_run
from causalrec.commands.terminal import log, print_json
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.running.pair_file import PairFile
    from causalrec.running.trained_run import TrainedRun


def predict(options: argparse.Namespace) -> int:
    """`causalrec predict RUN --pairs FILE [--out FILE]`: the rows of a file, each with what the run predicts of it.

    The file has columns `user` and `item`, raw ids (`item` alone where the data have no users); its other columns are
    carried through. All rows are checked before the first is predicted. Without --out they are printed as CSV.
    """
    if options.out is not None:
        from causalrec.data.table_parts import check_out

        check_out(options.out)
        if options.out.absolute() == options.pairs.absolute():
            raise RequestError(f"--out {options.out}: is the file of the pairs; name another")
    if not options.pairs.is_file():
        raise RequestError(f"--pairs {options.pairs}: there is no such file; name a table with columns user, item")
    run = open_run(options).run
    from causalrec.running.pair_file import pair_file

    memory = int((options.memory_mb or run.config.run.evaluation.memory_mb) * 1e6)
    with pair_file(run, options.pairs, options.arm, memory) as pairs:
        rows = pairs.check()
        if options.out is None:
            _print(pairs, run, options)
        else:
            _write(pairs, run, options, rows)
    return 0


def _print(pairs: PairFile, run: TrainedRun, options: argparse.Namespace) -> None:
    if options.json:
        predictions = [row for _, table in pairs.predict() for row in table.to_dicts()]
        print_json({**_words(run), "predictions": predictions})
        return
    for number, (_, table) in enumerate(pairs.predict()):
        sys.stdout.write(table.write_csv(include_header=number == 0))
    if (caveat := run.prepared.dataset.card.caveat) is not None:
        log(caveat)


def _write(pairs: PairFile, run: TrainedRun, options: argparse.Namespace, rows: int) -> None:
    from causalrec.commands.recommend_many import request_key
    from causalrec.data.table_parts import write_table

    resumed = write_table(options.out, request_key(run, options), pairs.predict, rows, "predicting", "pairs")
    if resumed:
        log(f"{resumed:,} of {rows:,} pairs were predicted before; they were taken as they stand")
    result = {**_words(run), "out": str(options.out), "rows": rows, "column": pairs.value_name}
    print_json(result) if options.json else print("\n".join(f"{k}: {v}" for k, v in result.items() if v is not None))


def _words(run: TrainedRun) -> dict[str, str | None]:
    return {
        "run": run.config.run.name,
        "estimand": run.prepared.plan.adjustment.estimand,
        "caveat": run.prepared.dataset.card.caveat,
    }
