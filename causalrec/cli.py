"""The command `causalrec VERB [hydra overrides]`: exit code 0 done, 1 the work failed, 2 the request was wrong."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from causalrec.commands.parser import parser
from causalrec.deferred_imports import defer_imports
from causalrec.errors import CausalRecError, RequestError, did_you_mean
from causalrec.plain_text import one_line
from causalrec.redaction import redact_command
from causalrec.working_folder import check_working_folder, import_nothing_from_here

VERBS = (
    *("train", "refute", "recommend", "predict", "vectors", "export", "table", "sweep", "report"),
    *("wandb", "reproduce", "gains", "data", "graph", "certify"),
)


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM, as clusters send before they take a machine away)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; errors we know are one line on stderr.

    An interrupt or a termination ends it from within, so that claims are given back and the next launch goes on.
    """
    from causalrec.commands.encoding import plain_terminal

    with plain_terminal():
        return _answer(list(sys.argv[1:] if arguments is None else arguments))


def _answer(arguments: list[str]) -> int:
    """Run one verb; print in one line why it did not end well."""
    try:
        return _run(arguments)
    except CausalRecError as error:
        print(f"causalrec: {one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except Terminated:
        print("causalrec: terminated; what was finished is kept, launch again to go on", file=sys.stderr)
        return 128 + signal.SIGTERM
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except BaseException as error:
        if _is_interrupt(error):
            print("causalrec: interrupted; what was finished is kept, the same command goes on", file=sys.stderr)
        elif (problem := _disk_problem(error)) is not None:
            print(f"causalrec: {problem}", file=sys.stderr)
        elif isinstance(error, Exception):
            traceback.print_exc()  # here, where what is printed is plain and redacted
        else:
            raise
        return 1


def _run(arguments: list[str]) -> int:
    options = _parse(arguments)
    options.command = redact_command(["causalrec", *arguments])
    verb: Callable[[argparse.Namespace], int] = options.run
    check_working_folder()
    with _terminable(), import_nothing_from_here():
        code = verb(options)
        sys.stdout.flush()
    return code


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Lightning makes it a SystemExit, a module's import an ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _disk_problem(error: BaseException) -> str | None:
    """Return the line of what the disk refused, wherever it was; None where it is not the reason, or all is asked for.

    Standard output that cannot be written is closed, so that Python does not try again as it ends.
    """
    from causalrec.data.disk_errors import disk_problem

    if os.environ.get("HYDRA_FULL_ERROR") or isinstance(error, SystemExit):
        return None
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return disk_problem(error, "standard output")
    return disk_problem(error)


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise Terminated on SIGTERM; Lightning alone would end the process with exit code 0."""

    def terminate(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # Python sets handlers there alone
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse, taking overrides before and after options (argparse alone stops at the first option).

    `help VERB` is `VERB --help`.
    """
    if arguments and arguments[0] == "help":
        if arguments[2:]:
            raise RequestError(f"help {shlex.join(arguments[1:])}: one verb at a time")
        arguments = [*arguments[1:2], "--help"]
    top = parser()
    verb = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if not arguments or (verb is None and arguments[0] not in ("-h", "--help", "--version")):
        raise RequestError(f"{''.join(arguments[:1])}: name a verb, {', '.join(VERBS)}".removeprefix(": "))
    if verb is not None and verb not in VERBS:
        raise RequestError(f"no verb {verb!r}; {did_you_mean(verb, VERBS)}")
    options, late = top.parse_known_args(arguments)
    wrong = [text for text in late if text.startswith("-") or not hasattr(options, "overrides")]
    if wrong:
        raise RequestError(f"{verb} {wrong[0]}: {options.parser.refusal(wrong[0])}; see causalrec {verb} --help")
    if late:
        options.overrides = [*options.overrides, *late]
    return options


def program() -> int:
    """Run the command in a process of its own, which imports what it reads alone."""
    defer_imports()
    return main()


if __name__ == "__main__":
    sys.exit(program())
