"""`causalrec gains`: several finished studies on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from causalrec.commands.terminal import print_json
from causalrec.errors import RequestError


def gains(options: argparse.Namespace) -> int:
    """`causalrec gains DIR.. --out FILE.md`: the gains of the studies in these folders, printed beside ours."""
    from causalrec.reporting.gains_overview import write_gains
    from causalrec.reporting.study_gains import read_gains

    out: Path = options.out
    if out.suffix != ".md":
        raise RequestError(f"--out {out}: the name must end in .md; its figure is written beside it, as .svg")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise RequestError(f"--out {out}: name a file in a folder that is there")
    studies = [read_gains(folder) for folder in options.folders]
    write_gains(studies, options.command, out)
    if options.json:
        print_json({"out": str(out), "figure": str(out.with_suffix(".svg")), "studies": [s.title for s in studies]})
    else:
        print(out)
    return 0
