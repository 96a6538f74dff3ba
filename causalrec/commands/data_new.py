"""`causalrec data new FILE`: look at a table, and write a first data set YAML and graph YAML for it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path

from causalrec.commands.terminal import check_overrides, print_json
from causalrec.data.files import require_creatable, write_text
from causalrec.data.tabular.column_guesses import ColumnGuesses
from causalrec.data.tabular.companion import look_at_companion
from causalrec.data.tabular.first_yaml import FirstYaml
from causalrec.data.tabular.rawfile import JSON, PARQUET
from causalrec.data.tabular.role_guesses import guess_roles
from causalrec.data.tabular.sniff import look_at
from causalrec.errors import RequestError


def write_first_yaml(options: argparse.Namespace) -> int:
    """Write `conf/dataset/NAME.yaml` and `conf/graph/NAME.yaml`, and print what was guessed and what comes next."""
    roles = dict(text.partition("=")[::2] for text in check_overrides(options.overrides))
    if options.dataset is None or len(options.config_dir) > 1:
        raise RequestError("data new: name one table, as `causalrec data new ratings.csv --config-dir conf`")
    path = Path(options.dataset)
    if not path.is_file():
        raise RequestError(f"data new: {path}: there is no such file")
    conf = options.config_dir[0] if options.config_dir else Path("conf")
    name = options.name or re.sub(r"\W+", "_", path.name.split(".")[0].lower()).strip("_") or "mine"
    files = {group: conf / group / f"{name}.yaml" for group in ("dataset", "graph")}
    _require_free(name, files)
    require_creatable(conf, "--config-dir")
    look = look_at(path)
    guesses = guess_roles(look, roles)
    sides = {"user": options.users, "item": options.items}
    companions = {side: look_at_companion(file, side, look, guesses) for side, file in sides.items() if file}
    columns = ColumnGuesses(look, guesses, companions)
    first = FirstYaml(columns, name, _folder_of(path))
    for group, text in (("dataset", first.dataset()), ("graph", first.graph())):
        write_text(files[group], text)
    where = shlex.quote(str(conf))
    commands = [
        f"causalrec data check {name} --config-dir {where}",
        f"causalrec train --config-dir {where} dataset={name} {columns.train_options} logger=none",
    ]
    if options.json:
        written = [str(file) for file in files.values()]
        roles |= guesses.columns
        print_json({"name": name, "files": written, "guessed": {**roles, "kind": guesses.kind}, "next": commands})
        return 0
    print(_describe(columns))
    print(f"written: {files['dataset']} and\n  {files['graph']}: each line is a guess, read them\nnext:")
    print("\n".join(f"  {command}" for command in commands))
    return 0


def _require_free(name: str, files: dict[str, Path]) -> None:
    """Raise RequestError on a name that is no file's, that one of our data sets has, or that was written before."""
    from causalrec.config.compose import package_folder

    if not re.fullmatch(r"\w[\w-]{0,60}", name):
        raise RequestError(f"data new: --name {name!r}: use letters, digits, _ and -")
    for group, file in files.items():
        if file.exists():
            raise RequestError(f"data new: {file} is there already and stays; remove it, or give another --name")
        if (package_folder("conf") / group / f"{name}.yaml").exists():
            raise RequestError(f"data new: {group}={name} is one of causalrec's own; give another --name")


def _folder_of(path: Path) -> str:
    """Return the table's folder as YAML names it: from here where it lies below, else from the root."""
    folder = path.resolve().parent
    here = Path.cwd().resolve()
    return f"./{os.path.relpath(folder, here)}" if folder.is_relative_to(here) else str(folder)


def _describe(guesses: ColumnGuesses) -> str:
    """Say what was found, a line for each thing, in at most 80 columns."""
    from causalrec.commands.data_text import align, wrap

    look, raw = guesses.look, guesses.look.raw
    seen = f"{look.rows:,} rows" if look.is_complete else f"more than {look.rows:,} rows"
    form = [] if raw.suffix in JSON | PARQUET else [f"separator {raw.declared_separator!r}"]
    form += [] if look.header else ["no header"]
    form += [raw.encoding] if raw.encoding != "utf-8" else []
    roles = {column: role for role, column in guesses.roles.columns.items()}
    roles |= {column: f"truth {k}" for k, column in enumerate(guesses.roles.potential)}
    roles |= {name: f"{kind} of the {side}" for side, kinds in guesses.sides.items() for name, kind in kinds.items()}
    table = [["column", "guess", "values", "missing", "as"]]
    companions = [column for table in guesses.companions.values() for column in table.columns]
    for column in (*look.columns, *companions):
        guess = roles.get(column.name, "left out")
        row = [column.name[:20], guess[:24], f"{column.distinct:,}", f"{column.missing:,}", column.sample]
        table.append(row)
    lines = [line[:80].rstrip() for line in align(table, frozenset({2, 3})).splitlines()]
    more = [wrap(label, text) for label, text in _describe_rules(guesses).items()]
    return "\n".join([wrap(raw.path.name, ", ".join([seen, *form])), "", *lines, "", *more, *([""] if more else [])])


def _describe_rules(guesses: ColumnGuesses) -> dict[str, str]:
    """Say what was guessed beside the columns, and decides what a result says."""
    rules = {}
    if guesses.repeats is not None:
        rule, count = guesses.repeats
        fate = "and all are kept" if rule == "allowed" else "and leave: the last one of each pair is kept"
        rules["repeats"] = f"{rule}: {count:,} rows have the user and item of another {fate}"
    return rules
