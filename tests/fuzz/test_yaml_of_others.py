"""Three hundred broken or hostile YAMLs of components and studies: one line each, no code, no secret, no wait."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from tally import Tally
from trial import run
from world import FILES, QUICK, write_world

STUDY = """title: a study
sweep: mine
seeds: [0]
base: [dataset=ml100k_semisynthetic, logger=none, selection.candidates=none]
rows:
  a: [objective=naive]
  b: [objective=ips]
columns: [auc@randomised]
"""
CODE = "__import__('os').system('touch $MARK')"
HOSTILE = [  # added to a component: each would run code, read a secret, write elsewhere or never end
    f'hydra:\n  callbacks:\n    x: {{_target_: sympy.sympify, a: "{CODE}"}}\n',
    f"hydra:\n  job_logging: {{version: 1, formatters: {{x: {{'()': sympy.sympify, a: \"{CODE}\"}}}}}}\n",
    "hydra:\n  job: {env_set: {PATH: /nowhere}}\n",
    "hydra:\n  run: {dir: /tmp/elsewhere}\n",
    "hydra:\n  launcher: {_target_: os.system}\n",
    "hydra:\n  searchpath: [file:///]\n",
    "defaults:\n  - override /hydra/launcher: joblib\n",
    "name: ${oc.env:FUZZ_API_KEY}\n",
    "licence: ${oc.env:FUZZ_API_KEY}\n",
    "licence: ${oc.decode:${oc.env:FUZZ_API_KEY}}\n",
    "threshold: ${oc.env:FUZZ_API_KEY}\n",
    "folder: ${oc.env:PATH}\n",
    'items: {_target_: subprocess.getoutput, cmd: "touch $MARK"}\n',
    "items: {_target_: causalrec.data.sources.subprocess.getoutput, cmd: touch $MARK}\n",
    "items: !!python/object/apply:os.system ['touch $MARK']\n",
    "items: !!python/name:os.system\n",
    "name: ..\n",
    "name: .ledger\n",
    'name: "a\\u001b[2J"\n',
    "folder: ../../../../etc\n",
    "interactions: /etc/passwd\n",
    "interactions: /dev/zero\n",
    "arms: " + "[" * 3000 + "]" * 3000 + "\n",
    "licence: ${licence}\n",
    "a: ${b}${b}\nb: ${c}${c}\nc: ${d}${d}\nd: xxxxxxxx\n",
    "_partial_: true\n",
    "_args_: [1]\n",
    "_recursive_: false\n",
]
STUDIES = [
    "sweep: ..\n",
    "sweep: .ledger\n",
    "title: ${oc.env:FUZZ_API_KEY}\n",
    'base: ["hydra.callbacks.x._target_=sympy.sympify"]\n',
    'base: ["hydra.searchpath=[file:///]"]\n',
    'base: ["paths.runs=/"]\n',
    "seeds: [" + ", ".join(map(str, range(200_000))) + "]\n",
    "grid: {" + ", ".join(f"k{n}: [{', '.join(map(str, range(10)))}]" for n in range(7)) + "}\n",
    "rows: {'..': []}\n",
    'rows: {"a\\u001b[2J": []}\n',
    "title: " + "[" * 3000 + "]" * 3000 + "\n",
]
MARKS = [
    "\t",
    "\x00",
    "\x07",
    "ÿ",
    "\u202e",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "*",
    "&",
    "!",
    "|",
    ">",
    "%",
    "@",
    "`",
    "\r",
    "#",
    "${",
    "~",
    "?",
]
NOISE = [*MARKS, ": ", "- ", "<<: ", "---\n", "...\n", "9" * 400]
BOMB = "a: &a [x, x]\nk0: &k0 [*a, *a]\n" + "".join(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]\n" for n in range(1, 40))


def with_lines(text: str, lines: str) -> bytes:
    """Return a YAML with further lines, without those of its own that set the same key."""
    key = lines.partition(":")[0]
    others = re.sub(rf"^{re.escape(key)}:.*\n(?:[ ].*\n)*", "", text, flags=re.MULTILINE)
    return f"{others}{lines}".encode()


def change_at_random(text: str, draw: random.Random) -> str:
    """Return a text with noise put in, a stretch cut out, its end cut off, or its lines moved."""
    at = draw.randrange(len(text) + 1)
    how = draw.randrange(4)
    if how == 0:
        return text[:at] + draw.choice(NOISE) + text[at:]
    if how == 1:
        return text[:at] + text[at + draw.randint(1, 12) :]
    lines = text.splitlines(keepends=True)
    return text[:at] if how == 2 else "".join(draw.sample(lines, len(lines)))


def break_at_random(text: str, draw: random.Random) -> bytes:
    """Return a YAML changed one to three times at random, one in five by a flipped bit as well."""
    for _ in range(draw.randint(1, 3)):
        text = change_at_random(text, draw)
    content = bytearray(text.encode("utf-8", errors="surrogatepass") or b" ")
    if draw.random() < 0.2:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


@pytest.mark.long
def test_yaml_of_others_is_answered_in_one_line(tmp_path: Path) -> None:
    draw = random.Random(0)
    component, study = FILES["conf/dataset/mine.yaml"], STUDY
    trials = [("component", with_lines(component, text)) for text in (*HOSTILE, BOMB)]
    trials += [("component", b"# @package _global_\n" + with_lines(component, text)) for text in HOSTILE]
    trials += [("study", with_lines(study, text)) for text in (*STUDIES, BOMB)]
    trials += [("component", break_at_random(component, draw)) for _ in range(160)]
    trials += [("study", break_at_random(study, draw)) for _ in range(90)]
    tally = Tally("a broken or hostile YAML of a component or a study, composed, checked and launched")
    folder = write_world(tmp_path)
    outside = set(tmp_path.parent.iterdir())
    for number, (kind, content) in enumerate(trials):
        name = folder / ("conf/dataset/mine.yaml" if kind == "component" else "study.yaml")
        name.write_bytes(content)
        composing = ["train", "--cfg", "job", *QUICK]
        commands = [composing, ["data", "check", "mine", "--config-dir", "conf"], ["train", "-m", *QUICK, "sweep=t"]]
        requests = commands if kind == "component" else [["reproduce", "study.yaml", "--smoke", "paths.runs=runs"]]
        tally.judge(f"{kind} {number}: {content[-80:]!r}", run(folder, *requests), folder)
    assert set(tmp_path.parent.iterdir()) == outside
    tally.finish(least=300)
