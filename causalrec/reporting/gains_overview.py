"""Several finished studies on one page: what each method gained over its reference row, beside what was printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from causalrec.data.files import write_text
from causalrec.errors import RequestError
from causalrec.records.json_records import read_json
from causalrec.reporting.compare import Comparison, half_width
from causalrec.reporting.escapes import markdown_text
from causalrec.reporting.verdict import GainVerdict

HEADER = "| method | printed gain | ours | 95 % interval | differs from none | printed gain is there | loses to |"


@dataclass(frozen=True, kw_only=True)
class GainCell:
    """A cell of `result.json`, as far as gains go; what else it holds is not read.

    Attributes:
        row: name of the row.
        column: `metric@slice`.
        gain: the verdict on the printed gain; None where none is printed.
        comparison: the difference to the reference row; None where it was not tested.
        loses_to: special cases of the row that are better.
    """

    row: str
    column: str
    gain: GainVerdict | None = None
    comparison: Comparison | None = None
    loses_to: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyGains:
    """The gains of a study.

    Attributes:
        title: of the study.
        baselines: names of the rows that are baselines, which are left out.
        cells: of its table.
    """

    title: str
    baselines: tuple[str, ...]
    cells: tuple[GainCell, ...]

    @property
    def gains(self) -> tuple[GainCell, ...]:
        """The cells of trained rows that were compared to the reference row, or whose gain was printed."""
        return tuple(c for c in self.cells if c.row not in self.baselines and (c.comparison or c.gain))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that were compared, in the order of the table."""
        return tuple(dict.fromkeys(cell.column for cell in self.gains if cell.comparison))

    def of_column(self, column: str) -> tuple[GainCell, ...]:
        """Return the gains of one column."""
        return tuple(cell for cell in self.gains if cell.column == column)


def read_gains(folder: Path) -> StudyGains:
    """Read what a study has left in its folder; raise RequestError where there is nothing, or something else."""
    path = folder / "result.json"
    try:
        document = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RequestError(f"{folder}: holds no result.json; name the folder of a study that was reproduced") from error
    try:
        study = TypeAdapter(StudyGains).validate_python(
            {name: document.get(name) for name in StudyGains.__annotations__}
        )
    except ValidationError as error:
        raise RequestError(f"{path}: is no result of a study of today; run `causalrec reproduce` again") from error
    if document.get("smoke") or not study.columns:
        what = "a smoke test" if document.get("smoke") else "a study without a reference row"
        raise RequestError(f"{folder}: is {what}, which has no gains; leave it out")
    return study


def write_gains(studies: Sequence[StudyGains], command: str, out: Path) -> None:
    """Write the page, and its figure beside it under the same name.

    Args:
        studies: in the order of the page.
        command: that makes it.
        out: of the page, `.md`.
    """
    from causalrec.reporting.gains_overview_figure import draw_overview

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
