"""The command `causalrec VERB [hydra overrides]`: exit code 0 done, 1 the work failed, 2 the request was wrong."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from causalrec.errors import CausalRecError, did_you_mean

VERBS = ("train", "refute", "recommend", "table", "sweep", "report", "wandb", "reproduce", "data", "graph", "certify")
EPILOG = "key=value is a Hydra override: causalrec train -m encoder=mf,bert objective=naive,ips,dr_jl seed=0,1"


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM, as clusters send before they take a machine away)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; errors we know are one line on stderr.

    An interrupt or a termination ends it from within, so that claims are given back and the next launch goes on.
    """
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    options.command = shlex.join(["causalrec", *(sys.argv[1:] if arguments is None else arguments)])
    verb: Callable[[argparse.Namespace], int] = options.run
    try:
        with _terminable():
            return verb(options)
    except CausalRecError as error:
        print(f"causalrec: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("causalrec: interrupted", file=sys.stderr)
        return 1
    except Terminated:
        print("causalrec: terminated; what was finished is kept, launch again to go on", file=sys.stderr)
        return 128 + signal.SIGTERM


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
    """Parse, taking overrides before and after options (argparse alone stops at the first option)."""
    top = parser()
    verb = next((text for text in arguments if not text.startswith("-")), None)
    if verb is not None and verb not in VERBS and arguments[0] == verb:
        top.error(f"argument VERB: no verb {verb!r}; {did_you_mean(verb, VERBS)}")
    options, late = top.parse_known_args(arguments)
    wrong = [text for text in late if text.startswith("-") or not hasattr(options, "overrides")]
    if wrong:
        top.error(f"unrecognized arguments: {' '.join(wrong)}")
    if late:
        options.overrides = [*options.overrides, *late]
    return options


def parser() -> argparse.ArgumentParser:
    """Describe the verbs."""
    from causalrec.commands import certify, data, graph, recommend, refute, reproduce, sweep, table, train

    top = argparse.ArgumentParser("causalrec", description=__doc__, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"causalrec {version('causalrec')}")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")

    def add(name: str, run: Callable[..., int], help_text: str) -> argparse.ArgumentParser:
        subparser = verbs.add_parser(name, help=help_text, description=help_text)
        subparser.set_defaults(run=run)
        subparser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return subparser

    verb = add("train", train.train, "run one job, or with -m a sweep of jobs, each into its own record.json")
    verb.add_argument("-m", "--multirun", action="store_true", help="sweep over comma-separated values")
    verb.add_argument("--rerun", action="store_true", help="run what is finished too, from its start")
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add(
        "refute", refute.refute, "try to break the average effect a run estimated; say what each attempt cannot see"
    )
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    verb.add_argument("--seed", type=int, default=0, help="of what is drawn")
    verb.add_argument("--repeats", type=int, default=20, metavar="R", help="how often what is random is drawn")
    verb.add_argument(
        "--negative-control", action="append", metavar="NAME", help="a column that exposure cannot change"
    )

    verb = add("recommend", recommend.recommend, "rank items for one user by what recommending them would change")
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument(
        "--user", required=True, metavar="ID", help="a user's id in the raw files; its row where they name none"
    )
    verb.add_argument("--top", type=int, default=10, metavar="N")
    verb.add_argument("--arm", type=int, default=1, metavar="K", help="the treatment, where there are several")
    verb.add_argument("--all", action="store_true", help="items the user has met, too")

    verb = add("table", table.table, "print rows x columns from the records below a folder")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--columns", default="", help="metric@slice, by comma")
    verb.add_argument("--submodels", action="store_true", help="show the special cases of rows as rows of their own")
    verb.add_argument("--paste", type=Path, help="also paste it as markdown between the markers of this document")

    verb = add("sweep", sweep.sweep, "show where the jobs of a sweep stand; queue failed ones again; free its disk")
    verb.add_argument("what", choices=["status", "retry", "gc"])
    verb.add_argument("folder", type=Path, metavar="DIR", help="the sweep's folder, runs/SWEEP")

    verb = add("report", _report, "write one self-contained HTML page of the records below a folder")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--out", type=Path, metavar="FILE", help="where to write it (report.html in DIR by default)")
    verb.add_argument("--columns", default="", help="metric@slice, by comma")

    verb = add("wandb", _wandb, "send the records of a sweep to Weights & Biases, or make its workspace there")
    verb.add_argument("what", choices=["sync", "workspace"])
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--entity", help="user or team of the workspace; by default WANDB_ENTITY or the account's own")
    verb.add_argument("--project", help="by default WANDB_PROJECT or the one the jobs were logged to")

    verb = add("reproduce", reproduce.reproduce, "run a study, published beside obtained; goes on where it was cut")
    verb.add_argument("study")
    verb.add_argument("--smoke", action="store_true", help="one seed, seconds, nothing judged")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes, one thread each")
    verb.add_argument("--packed", action="store_true", help="train jobs that differ in numbers as one stacked program")
    verb.add_argument("--tables", type=Path, metavar="DIR", help="also write the whole table and its figure there")
    verb.add_argument("--paste", type=Path, help="also paste its summary between the markers of this document")
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add("data", data.data, "list the data sets; fetch, check or audit one; write a first YAML for your table")
    verb.add_argument("what", choices=["list", "fetch", "check", "audit", "new"])
    verb.add_argument("dataset", nargs="?", metavar="NAME", help="a data set; new: the FILE of your table")
    verb.add_argument("--name", help="new: what to call it (by default as the file)")
    verb.add_argument("--users", type=Path, metavar="FILE", help="new: the table of users beside it")
    verb.add_argument("--items", type=Path, metavar="FILE", help="new: the table of items beside it")
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    help_text = (
        "print the identified estimand; draw the graph (--out FILE.svg or .png); check: do the data contradict it?"
    )
    verb = add("graph", graph.graph, help_text)
    verb.add_argument("what", choices=["show", "check"])
    _add_config_dir(verb)
    verb.add_argument("--out", type=Path, help="where to draw it (show: graph.svg by default)")
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add(
        "certify", certify.certify, "judge what a training objective claims to estimate, where the truth is known"
    )
    verb.add_argument("--all", action="store_true", help="every objective, in turn")
    verb.add_argument("--paste", type=Path, help="also paste a markdown table between the markers of this document")
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="objective=NAME")
    return top


def _add_config_dir(verb: argparse.ArgumentParser) -> None:
    help_text = "a further folder of YAML components (several: once each)"
    verb.add_argument("--config-dir", type=Path, action="append", default=[], metavar="DIR", help=help_text)


def _report(options: argparse.Namespace) -> int:
    from causalrec.commands.report import report

    return report(options)


def _wandb(options: argparse.Namespace) -> int:
    from causalrec.commands.wandb import wandb

    return wandb(options)
