"""What README.md and docs/ tell a reader to type: README's lines are run as they stand, those of docs/ compose."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from causalrec import cli
from causalrec.config.compose import compose_and_check, expand_sweep, normalise_overrides
from causalrec.data.sources import Source
from tests.encoders import tiny_models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 200
QUICK = ["trainer=smoke", "selection.folds=1", "evaluation.replicates=20"]  # of what a reader would wait for
Capture = pytest.CaptureFixture[str]


def commands(text: str) -> list[list[str]]:
    """Return the `causalrec ...` lines of the fenced blocks of a page, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("causalrec ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def stand_in_for_minilm(newcomer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny BERT where the wheel's model would be fetched to."""
    monkeypatch.setattr(tiny_models, "LIMIT", 64)  # tokens, as many as the encoder asks for by default
    tiny, real = tiny_models.write_bert(newcomer / "tiny"), Source.fetch
    monkeypatch.setattr(Source, "fetch", lambda source, root: tiny if source.folder == "minilm" else real(source, root))


def test_every_command_of_the_readme_does_as_it_says(
    newcomer: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = commands(README)
    assert len(lines) == 8
    stand_in_for_minilm(newcomer, monkeypatch)
    rows = [f"u{k % 60},i{k * 7 % 40},{1 + k % 5}" for k in range(900)]
    (newcomer / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")
    for line in lines:
        trains = line[0] == "train" and "task=effect" not in line
        code = cli.main([*line, *(QUICK if trains else [])])
        out, err = capsys.readouterr()
        assert code == 0, (line, err)
        assert out and "Traceback" not in err, line
    assert (newcomer / "graph.svg").is_file() and (newcomer / "runs/mine/report.html").is_file()


def test_the_python_of_the_readme_runs_as_it_stands(newcomer: Path, capsys: Capture) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 8
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert "| mf-ips |" in capsys.readouterr().out


def test_the_readme_is_short_and_every_link_of_it_and_of_docs_leads_somewhere() -> None:
    assert len(README.splitlines()) <= MOST_LINES
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not re.match(r"https?:|mailto:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


TRAINING = [
    pytest.param(line, id=f"{page.stem}-{k}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for k, line in enumerate(commands(page.read_text(encoding="utf-8")))
    if line[0] == "train" and "--config-dir" not in line
]


@pytest.mark.parametrize("line", TRAINING)
def test_what_docs_say_to_train_composes(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    overrides = normalise_overrides([word for word in line[1:] if word not in ("-m", "--dry-run", "...")])
    for job in expand_sweep(overrides)[:2]:
        compose_and_check(job)


def test_this_file_reads_the_commands_of_a_page() -> None:
    page = "```\ncausalrec train 'seed=range(2)'  # two\nmake run\n```\ncausalrec no\n"
    assert commands(page) == [["train", "seed=range(2)"]]
