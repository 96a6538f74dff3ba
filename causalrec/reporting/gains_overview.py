"""Several finished studies on one page: what each method gained over its reference row, beside what was printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from causalrec.data.files import write_text
from causalrec.reporting.compare import half_width
from causalrec.reporting.escapes import markdown_text
from causalrec.reporting.gains_overview_figure import draw_overview
from causalrec.reporting.study_gains import GainCell, StudyGains

HEADER = "| method | printed gain | ours | 95 % interval | differs from none | printed gain is there | loses to |"


def write_gains(studies: Sequence[StudyGains], command: str, out: Path) -> None:
    """Write the page, and its figure beside it under the same name.

    Args:
        studies: in the order of the page.
        command: that makes it.
        out: of the page, `.md`.
    """
    figure = out.with_suffix(".svg")
    draw_overview(studies, figure)
    write_text(out, "\n".join(_page(studies, command, figure.name)) + "\n")


def _page(studies: Sequence[StudyGains], command: str, figure: str) -> Iterator[str]:
    yield from ("# Gains over the reference rows", "", f"`{command}`", "", f"![printed gains and ours]({figure})", "")
    yield from _counts(studies)
    for study in studies:
        yield from ("", f"## {markdown_text(study.title)}")
        for column in study.columns:
            yield from ("", f"### {markdown_text(column)}", "", HEADER, "|---|---|---|---|---|---|---|")
            yield from map(_line, study.of_column(column))


def _counts(studies: Sequence[StudyGains]) -> Iterator[str]:
    yield "| study | column | printed gains there | not there | undecided | ours above none | below none | neither |"
    yield "|---|---|---|---|---|---|---|---|"
    for study in studies:
        for column in study.columns:
            cells = study.of_column(column)
            words = Counter(cell.gain.word for cell in cells if cell.gain)
            real = Counter(c.comparison.difference > 0 for c in cells if c.comparison and c.comparison.real)
            compared = sum(cell.comparison is not None for cell in cells)
            verdicts = (words[word] for word in ("reproduced", "not reproduced", "undecided"))
            ours = (real[True], real[False], compared - real[True] - real[False])
            names = (markdown_text(study.title), markdown_text(column))
            yield f"| {' | '.join(map(str, (*names, *verdicts, *ours)))} |"
    yield ""
    yield (
        "Differences are paired by seed and test row, clustered by user and item; `above` and `below none` are "
        "corrected for all rows of the column (Holm). A printed gain is there where ours agrees with it and not with "
        "none, within three standard errors of both."
    )


def _line(cell: GainCell) -> str:
    gain, ours = cell.gain, cell.comparison
    printed = "-" if gain is None or gain.published is None else f"{gain.published:+.3f}"
    numbers = ("-", "-", "-")
    if ours is not None:
        half = half_width(ours)
        ends = f"[{ours.difference - half:+.4f}, {ours.difference + half:+.4f}]"
        numbers = (f"{ours.difference:+.4f}", ends, "yes" if ours.real else "no")
    verdict = "-" if gain is None else gain.word
    lost = ", ".join(cell.loses_to) or "-"
    return f"| {' | '.join(map(markdown_text, (cell.row, printed, *numbers, verdict, lost)))} |"
