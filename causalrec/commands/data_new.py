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
from causalrec.data.tabular.stated_guesses import OPEN, stated_guesses
from causalrec.errors import RequestError
from causalrec.redaction import holds_secret


def write_first_yaml(options: argparse.Namespace) -> int:
    """Write `conf/dataset/NAME.yaml` and `conf/graph/NAME.yaml`, and print what was guessed and what comes next."""
    roles = dict(text.partition("=")[::2] for text in check_overrides(options.overrides))
    if options.dataset is None or len(options.config_dir) > 1:
        raise RequestError("data new: name one table, as `causalrec data new ratings.csv --config-dir conf`")
    path = Path(options.dataset)
    if not path.is_file():
        why = "is a folder; name a table in it" if path.is_dir() else "there is no such file"
        raise RequestError(f"data new: {path}: {why}")
    conf = options.config_dir[0] if options.config_dir else Path("conf")
    name = options.name or re.sub(r"\W+", "_", path.name.split(".")[0].lower()).strip("_") or "mine"
    files = {group: conf / group / f"{name}.yaml" for group in ("dataset", "graph")}
    _require_free(path, name, files)
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
    print(f"written: {files['dataset']} and\n  {files['graph']}: each line is a guess, read them")
    print("next:")
    print("\n".join(f"  {command}" for command in commands))
    return 0


def _require_free(path: Path, name: str, files: dict[str, Path]) -> None:
    """Raise RequestError on a name that is no file's, that one of our data sets has, or that was written before."""
    from causalrec.config.compose import package_folder

    if holds_secret(name) or holds_secret(path.name):
        raise RequestError(
            f"data new: {path}: its name or --name holds a secret of the environment or a login, and would name files; "
            "rename it, or give another --name"
        )
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
    from causalrec.commands.data_text import align, shorten, wrap

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
        name, guess = shorten(column.name, 20), shorten(guess, 24)
        table.append([name, guess, f"{column.distinct:,}", f"{column.missing:,}", column.sample])
    lines = [shorten(line, 80) for line in align(table, frozenset({2, 3})).splitlines()]
    stated = [wrap(what, words) for what, words in stated_guesses(guesses)]
    if any(line.startswith(OPEN) for line in stated):
        stated.append("(?: the cells do not tell; change it in the YAML where it is wrong)")
    head = wrap(raw.path.name, ", ".join([seen, *form]))
    return "\n".join([head, "", *lines, "", *stated, *([""] if stated else [])])
