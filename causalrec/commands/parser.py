"""The verbs of the command, their arguments and what each is for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_JOBS

DESCRIPTION = "`causalrec VERB [hydra overrides]`: exit code 0 done, 1 the work failed, 2 the request was wrong."
EPILOG = "key=value is a Hydra override: causalrec train -m encoder=mf,bert objective=naive,ips,dr_jl seed=0,1"


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise RequestError where argparse would print its usage and leave."""
        verb = self.prog.removeprefix("causalrec").strip()
        text = message.removeprefix("argument ").removeprefix("WHAT: ")
        raise RequestError(f"{verb}: {text}; see {self.prog} --help" if verb else f"{text}; see {self.prog} --help")

    def refusal(self, text: str) -> str:
        """Say what is wrong with a word that is none of its arguments."""
        if not text.startswith("-"):
            return "one word too many"
        options = [option for action in self._actions for option in action.option_strings]
        return f"no such option; {did_you_mean(text.partition('=')[0], options)}"


def _one_of(*names: str) -> Callable[[str], str]:
    """Return a type of argument: one of these words."""

    def check(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"no {text!r}; {did_you_mean(text, names)}")
        return text

    return check


def parser() -> Parser:
    """Describe the verbs."""
    from causalrec.commands import (
        certify,
        data,
        export,
        graph,
        predict,
        recommend,
        refute,
        reproduce,
        sweep,
        table,
        train,
        vectors,
    )

    top = Parser("causalrec", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"causalrec {version('causalrec')}")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")

    def add(name: str, run: Callable[..., int], help_text: str) -> Parser:
        subparser = verbs.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        subparser.set_defaults(run=run, parser=subparser)
        subparser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return subparser

    verb = add("train", train.train, "run one job, or with -m a sweep of jobs, each into its own record.json")
    verb.add_argument("-m", "--multirun", action="store_true", help="sweep over comma-separated values")
    verb.add_argument("--max-jobs", type=int, default=MAX_JOBS, metavar="N", help=f"of this launch ({MAX_JOBS:,})")
    verb.add_argument("--rerun", action="store_true", help="run what is finished too, from its start")
    verb.add_argument(
        "--cfg", type=_one_of("job"), metavar="job", help="print the composed configuration as YAML, and run nothing"
    )
    _add_dry_run(verb)
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add(
        "refute",
        refute.refute,
        "try to break what a run learnt, an effect or its sources; say what each attempt misses",
    )
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    verb.add_argument("--seed", type=int, default=0, help="of what is drawn")
    verb.add_argument("--repeats", type=int, default=20, metavar="R", help="how often what is random is drawn")
    verb.add_argument(
        "--negative-control", action="append", metavar="NAME", help="a column that exposure cannot change"
    )

    verb = add(
        "recommend",
        recommend.recommend,
        "rank items by their expected outcome or effect, for one user or as a file for many; or draw items by a policy",
    )
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument("--user", metavar="ID", help="a user's id in the raw files; its row where they name none")
    verb.add_argument("--top", type=int, metavar="N", help="how many items (10, or those there are)")
    verb.add_argument("--arm", type=int, default=1, metavar="K", help="the treatment, where there are several")
    verb.add_argument("--include-seen", action="store_true", help="rank items the user has met, too")
    verb.add_argument("--reranker", metavar="NAME", help="orders the best items anew: mmr, ..")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the re-ranker or policy (several: once each)",
    )
    many = verb.add_argument_group("lists of many users, as a file that appears when it is complete")
    many.add_argument("--all", action="store_true", help="for every user")
    many.add_argument("--users", type=Path, metavar="FILE", help="for the users whose ids it holds, one a line")
    many.add_argument(
        "--out", type=Path, metavar="FILE", help="where they are written: .parquet or .csv, not there yet"
    )
    _add_batches(many)
    policy = verb.add_argument_group("drawing items by a policy, with the probability that each had, into a .csv")
    policy.add_argument("--policy", metavar="NAME", help="softmax, top_k, epsilon_greedy, .. of what the run ranks by")
    policy.add_argument("--rounds", type=int, metavar="N", help="how many items are drawn for each user (1)")
    policy.add_argument("--seed", type=int, metavar="S", help="of the draws (0)")

    verb = add("predict", predict.predict, "predict the outcome or effect of the pairs of a file")
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument(
        "--pairs", type=Path, required=True, metavar="FILE", help="CSV, JSON lines or Parquet with columns user, item"
    )
    verb.add_argument("--arm", type=int, default=1, metavar="K", help="the treatment, where there are several")
    verb.add_argument("--out", type=Path, metavar="FILE", help="a .parquet or .csv, not there yet (printed by default)")
    _add_batches(verb)

    verb = add("vectors", vectors.vectors, "write a run's vectors of users and items, as .npy beside their ids")
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder to make, which is not there yet")

    verb = add("export", export.export, "write a run as a folder that scores pairs without causalrec, with its card")
    verb.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of one job, runs/SWEEP/ROW/seedN-KEY")
    verb.add_argument("--to", type=_one_of("onnx", "pt2"), required=True, metavar="FORM", help="onnx, or pt2 of torch")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder to make, which is not there yet")
    verb.add_argument(
        "--ids",
        type=_one_of("plain", "hashed", "none"),
        metavar="FORM",
        help="plain, hashed, none (by default plain, hashed where the licence forbids redistribution)",
    )

    verb = add("table", table.table, "print rows x columns from the records below a folder")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--columns", default="", help="metric@slice, by comma")
    verb.add_argument("--rows", default="", help="names of rows, by comma, in this order; all by default")
    verb.add_argument("--submodels", action="store_true", help="show the special cases of rows as rows of their own")
    verb.add_argument("--cost", action="store_true", help="and parameters, seconds, rows a second and memory of rows")
    verb.add_argument(
        "--intervals", action=argparse.BooleanOptionalAction, default=True, help="below each number (shown by default)"
    )
    forms = verb.add_mutually_exclusive_group()
    for form, help_text in (
        ("csv", "print one line for each number, unrounded"),
        ("latex", "print LaTeX tables (booktabs)"),
        ("markdown", "print markdown tables"),
    ):
        forms.add_argument(f"--{form}", action="store_const", dest="form", const=form, default="text", help=help_text)
    verb.add_argument(
        "--paste", type=_existing_file, help="also paste it as markdown between the markers of this document"
    )

    verb = add("sweep", sweep.sweep, "show where the jobs of a sweep stand; queue failed ones again; free its disk")
    verb.add_argument("what", type=_one_of("status", "retry", "gc"), metavar="WHAT", help="status, retry, gc")
    verb.add_argument("folder", type=Path, metavar="DIR", help="the sweep's folder, runs/SWEEP")

    verb = add("report", _report, "write one self-contained HTML page of the records below a folder")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--out", type=Path, metavar="FILE", help="where to write it (report.html in DIR by default)")
    verb.add_argument("--columns", default="", help="metric@slice, by comma")

    verb = add("wandb", _wandb, "send the records of a sweep to Weights & Biases, or make its workspace there")
    verb.add_argument("what", type=_one_of("sync", "workspace"), metavar="WHAT", help="sync, workspace")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--entity", help="user or team of the workspace; by default WANDB_ENTITY or the account's own")
    verb.add_argument("--project", help="by default WANDB_PROJECT or the one the jobs were logged to")

    verb = add("reproduce", reproduce.reproduce, "run a study, published beside obtained; goes on where it was cut")
    verb.add_argument("study")
    verb.add_argument("--smoke", action="store_true", help="one seed, seconds, nothing judged")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes, one thread each")
    verb.add_argument("--max-jobs", type=int, default=MAX_JOBS, metavar="N", help=f"of this launch ({MAX_JOBS:,})")
    verb.add_argument("--packed", action="store_true", help="train jobs that differ in numbers as one stacked program")
    _add_dry_run(verb)
    verb.add_argument("--tables", type=Path, metavar="DIR", help="also write the whole table and its figure there")
    verb.add_argument(
        "--paste", type=_existing_file, help="also paste its summary between the markers of this document"
    )
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add("gains", _gains, "put the gains of several reproduced studies on one page, printed beside ours")
    verb.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="the folder of a study, runs/SWEEP")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page, .md; its figure beside it")

    help_text = "list the data sets; fetch, check or audit one; write a first YAML for your table; embed images, sounds"
    verb = add("data", data.data, help_text)
    actions = ("list", "fetch", "check", "audit", "new", "embed")
    verb.add_argument("what", type=_one_of(*actions), metavar="WHAT", help=", ".join(actions))
    verb.add_argument(
        "dataset", nargs="?", metavar="NAME", help="a data set; new: the FILE of your table; embed: a FOLDER"
    )
    verb.add_argument("--name", help="new: what to call it (by default as the file)")
    verb.add_argument("--users", type=Path, metavar="FILE", help="new: the table of users beside it")
    verb.add_argument("--items", type=Path, metavar="FILE", help="new: the table of items beside it")
    verb.add_argument("--model", type=Path, metavar="DIR", help="embed: a model of images or sound and its processor")
    verb.add_argument("--out", type=Path, metavar="FILE", help="embed: the vectors, .npy; their ids beside them")
    verb.add_argument("--ids", type=Path, metavar="FILE", help="embed: an id in each line, whose files are read")
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    help_text = (
        "print the identified estimand; draw the graph (--out FILE.svg or .png); check: do the data contradict it?"
    )
    verb = add("graph", graph.graph, help_text)
    verb.add_argument("what", type=_one_of("show", "check"), metavar="WHAT", help="show, check")
    _add_config_dir(verb)
    verb.add_argument("--out", type=Path, help="draw the graph: FILE.svg or .png", metavar="FILE")
    edges_help = "check: judge proposed edges instead, a YAML list of 'cause -> effect' or a CSV of from,to"
    verb.add_argument("--edges", type=Path, help=edges_help, metavar="FILE")
    verb.add_argument("overrides", nargs="*", metavar="key=value")

    verb = add(
        "certify", certify.certify, "judge what a training objective claims to estimate, where the truth is known"
    )
    verb.add_argument("--all", action="store_true", help="every objective, in turn")
    verb.add_argument(
        "--paste", type=_existing_file, help="also paste a markdown table between the markers of this document"
    )
    _add_config_dir(verb)
    verb.add_argument("overrides", nargs="*", metavar="objective=NAME")
    return top


def _add_batches(verb: argparse._ActionsContainer) -> None:
    for side in ("user", "item"):
        help_text = f"new {side}s: a table of a column {side} and the columns of {side}s that the model reads"
        verb.add_argument(f"--new-{side}s", type=Path, metavar="FILE", help=help_text)
    help_text = "megabytes that scores may take (evaluation.memory_mb of the run)"
    verb.add_argument("--memory-mb", type=_positive, metavar="MB", help=help_text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number above 0")
    return value


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return path


def _add_dry_run(verb: Parser) -> None:
    verb.add_argument(
        "--dry-run", action="store_true", help="print jobs, fits, expected seconds and memory, and start nothing"
    )


def _add_config_dir(verb: Parser) -> None:
    help_text = "a further folder of YAML components (several: once each)"
    verb.add_argument("--config-dir", type=Path, action="append", default=[], metavar="DIR", help=help_text)


def _report(options: argparse.Namespace) -> int:
    from causalrec.commands.report import report

    return report(options)


def _gains(options: argparse.Namespace) -> int:
    from causalrec.commands.gains import gains

    return gains(options)


def _wandb(options: argparse.Namespace) -> int:
    from causalrec.commands.wandb import wandb

    return wandb(options)
