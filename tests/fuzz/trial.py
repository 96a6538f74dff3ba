"""One command, or several, in a process of their own that starts warm: what it answered, and whether it ended."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECRET = "s3cr3t-of-the-fuzz"  # the value of a variable that says so; it may stand nowhere
PRELOADED = ["causalrec.cli", "causalrec.commands.train", "causalrec.running.run", "causalrec.reporting.html.page"]
PRELOADED += [
    "causalrec.sweeps.driver",
    "pytorch_lightning",
    "sklearn.linear_model",
    "polars",
    "causalrec.sweeps.packed_launcher",
]
LARGEST = 12 << 30  # bytes of address space: what grows without end stops there
LIMIT = 60.0  # seconds after which a command counts as hanging
_server = multiprocessing.get_context("forkserver")  # a child of it has imported all, and started no thread
_server.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        command: as it was typed.
        code: exit code; None where it raised, was killed, or did not end.
        text: stdout and stderr.
        raised: whether it ended by a traceback.
        hung: whether it did not end in time.
    """

    command: str
    code: int | None
    text: str
    raised: bool = False
    hung: bool = False

    @property
    def messages(self) -> list[str]:
        """The lines that the command says of itself."""
        return [line for line in self.text.splitlines() if line.startswith("causalrec: ")]


def run(
    folder: Path,
    *commands: Sequence[str],
    variables: Mapping[str, str] | None = None,
    file_limit: int | None = None,
    kill_after: float | None = None,
) -> list[Answer]:
    """Run commands one after another in `folder`, in one process.

    Args:
        folder: the working directory; data, cache and records lie below it.
        commands: the arguments of `causalrec`, of each.
        variables: of the environment, beside those that are set here.
        file_limit: bytes above which no file can be written, as on a full disk.
        kill_after: seconds after which the process is killed (-9).
    """
    answers = folder / ".answers"
    answers.unlink(missing_ok=True)
    work = ([list(map(str, command)) for command in commands], str(folder), dict(variables or {}), file_limit)
    process = _server.Process(target=_answer, args=work)
    process.start()
    process.join(LIMIT * len(commands) if kill_after is None else kill_after)
    hung = process.is_alive() and kill_after is None
    if process.is_alive():
        process.kill()
    process.join()
    lines = answers.read_text(encoding="utf-8").splitlines() if answers.exists() else []
    given = [Answer(**json.loads(line)) for line in lines if line.endswith("}")]
    if hung:
        given.append(Answer(" ".join(map(str, commands[len(given)])), None, "", hung=True))
    elif kill_after is None and len(given) < len(commands):
        text = f"the process ended with exit code {process.exitcode}"
        given.append(Answer(" ".join(map(str, commands[len(given)])), None, text, raised=True))
    return given


def _answer(commands: list[list[str]], folder: str, variables: dict[str, str], file_limit: int | None) -> None:
    """Run commands in this process and write down what each answered."""
    os.chdir(folder)
    os.environ |= {"CAUSALREC_DATA": f"{folder}/data", "CAUSALREC_CACHE": f"{folder}/cache", "FUZZ_API_KEY": SECRET}
    os.environ |= {"MARK": f"{folder}/code-ran", "COLUMNS": "200", **variables}
    sys.dont_write_bytecode = True
    signal.alarm(int(LIMIT * len(commands)) + 10)  # ends what hangs, should nobody be left who waits for it
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST, LARGEST))
    for command in commands:
        with _file_limit(file_limit):
            answer = _ask(command)
        with Path(".answers").open("a", encoding="utf-8") as answers:
            answers.write(json.dumps(answer) + "\n")


def _ask(command: list[str]) -> dict[str, object]:
    """Run one command; return the fields of its Answer."""
    from causalrec import cli

    out, code, raised = io.StringIO(), None, False
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = cli.main(command)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            raised = True
            traceback.print_exc()
    text = out.getvalue()
    raised = raised or "Traceback (most recent call last)" in text
    return {"command": " ".join(command)[:300], "code": code, "text": text, "raised": raised}


@contextlib.contextmanager
def _file_limit(size: int | None) -> Iterator[None]:
    """Let no file grow above `size` bytes, as on a full disk."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
