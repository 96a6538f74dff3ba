"""A study's table as LaTeX: booktabs, every name escaped."""

from __future__ import annotations

from causalrec.plain_text import sentence
from causalrec.reporting.numbers import decimals_of, format_number
from causalrec.reporting.paper_table import PaperCell, PaperTable
from causalrec.reporting.submodels import MARK

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "–": "--",
    "▽": r"$\triangledown$",
}
MARKS = {"reproduced": r"\checkmark", "not reproduced": r"$\times$", "undecided": "?"}  # of gains


def escape(text: str) -> str:
    r"""Escape what LaTeX reads as a command; what stands between backticks becomes code.

    >>> escape("dr_jl & 5 %")
    'dr\\_jl \\& 5 \\%'
    >>> escape("`clip=5`: of weights")
    '\\texttt{clip=5}: of weights'
    """
    pieces = ["".join(ESCAPES.get(letter, letter) for letter in piece) for piece in sentence(text).split("`")]
    if len(pieces) % 2 == 0:  # one without another
        return _protect_start("'".join(pieces))
    return _protect_start("".join(rf"\texttt{{{piece}}}" if k % 2 else piece for k, piece in enumerate(pieces)))


def _protect_start(text: str) -> str:
    r"""Keep `\\` of the row before from reading its optional argument or its star in a cell."""
    return f"{{{text[0]}}}{text[1:]}" if text.startswith(("[", "*")) else text


def latex(table: PaperTable) -> str:
    """Write a `table` environment: published and obtained under each column run; needs booktabs and amssymb.

    A check mark follows a published gain that is there, a cross one that is not, `?` one that cannot be told from none;
    a star a real difference, a triangle a special case that is better.
    """
    columns, count = table.run_columns, len(table.run_columns)
    spans = " ".join(rf"\cmidrule(lr){{{2 * k + 2}-{2 * k + 3}}}" for k in range(count))
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{escape(column)}}}" for column in columns)
    lines = [
        r"% \usepackage{booktabs,amssymb}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.study.title)}}}",
        rf"\begin{{tabular}}{{l{'rr' * count}}}",
        r"\toprule",
        rf" & {heads} \\",
        spans,
        "row & " + " & ".join(["published & obtained"] * count) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        entries = [entry for column in columns for entry in _format_pair(table.cells.get((row, column)))]
        lines.append(" & ".join([escape(row), *entries]) + r" \\")
        if table.baselines and row == table.baselines[-1]:
            lines.append(r"\midrule")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {escape(note)}" for note in table.footnotes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _format_pair(cell: PaperCell | None) -> tuple[str, str]:
    if cell is None:
        return "--", "--"
    published = escape(cell.published.text) if cell.published else "--"
    if cell.obtained is None:
        return published, "--"
    decimals = decimals_of([cell.obtained.mean], 3)
    sd = "" if cell.obtained.sd is None else rf" $\pm$ {format_number(cell.obtained.sd, decimals)}"
    star = "*" if cell.comparison and cell.comparison.real else ""
    star += rf" {escape(MARK)}" if cell.loses_to else ""
    mark = MARKS.get(cell.gain.word, "") if cell.gain else ""
    return published, f"{format_number(cell.obtained.mean, decimals)}{sd}{star}" + (f" {mark}" if mark else "")
