"""`causalrec data`: list the data sets; fetch, check or audit one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalrec.commands.terminal import check_overrides, log, print_json, print_pairs
from causalrec.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from causalrec.data.dataset import CausalDataset
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.data.split.base import AbstractSplit


def data(options: argparse.Namespace) -> int:
    """`causalrec data list | fetch NAME | check NAME | audit NAME`."""
    from causalrec.config.compose import compose_and_check, normalise_overrides, package_folder, validate_group

    roots = [package_folder("conf"), *options.config_dir]
    names = sorted({path.stem for root in roots for path in (root / "dataset").glob("*.yaml")})
    if options.what == "list":
        return _list(names, options.config_dir, options.json)
    if options.dataset not in names:
        raise RequestError(f"data {options.what}: name a data set; {did_you_mean(options.dataset or '', names)}")
    overrides = [f"dataset={options.dataset}", *check_overrides(options.overrides)]
    plain = compose_and_check(normalise_overrides(overrides, options.config_dir))
    dataset, root = validate_group(plain, "dataset").build(), Path(plain["paths"]["data"])
    code = 0
    if options.what == "fetch":
        result = _fetch(dataset, root)
    elif options.what == "check":
        result, code = _check_files(dataset, root)
    else:
        result = _audit(dataset.load(root), validate_group(plain, "split").build())
    if options.json:
        print_json({"name": options.dataset, **result})
    elif options.what == "fetch":
        print(result["folder"])  # alone, for a shell to use
    else:
        print_pairs({key: value for key, value in result.items() if key != "problems"})
    return code


def _check_files(dataset: AbstractDataset, root: Path) -> tuple[dict[str, Any], int]:
    """Report every problem, errors first; what was loaded, where there is none but warnings."""
    problems = sorted(dataset.problems(root), key=lambda problem: problem.severity)
    for problem in problems:
        log(f"{problem.severity}: {problem}")
    errors = sum(problem.severity == "error" for problem in problems)
    counts = {"errors": errors, "warnings": len(problems) - errors, "problems": [asdict(p) for p in problems]}
    return (counts, 1) if errors else ({**_load(dataset, root), **counts}, 0)


def _fetch(dataset: AbstractDataset, root: Path) -> dict[str, Any]:
    from causalrec.data.sources import fetch_first

    if not dataset.sources:
        raise RequestError(f"data fetch {dataset.card.name}: these are your own files; put them where the YAML says")
    return {"folder": fetch_first(dataset.sources, root)[1]}


def _load(dataset: AbstractDataset, root: Path) -> dict[str, Any]:
    loaded = dataset.load(root)
    randomised = None if loaded.randomised is None else str(loaded.randomised)
    return {"logged": str(loaded.logged), "randomised": randomised, "sha256": dict(loaded.raw_sha256)}


def _audit(dataset: CausalDataset, split: AbstractSplit) -> dict[str, Any]:
    from causalrec.data.audit import audit

    split.check(dataset.card)
    return {**asdict(audit(dataset, split(dataset), split)), "unseen_users_by_cut": _unseen_users(dataset, split)}


def _unseen_users(dataset: CausalDataset, split: AbstractSplit) -> dict[str, str]:
    """Say how many test rows would have a user without a training row under each cut by time."""
    from causalrec.data.split.temporal import Temporal, unseen_user_rows

    logged = dataset.logged
    if dataset.randomised is not None or logged.time is None or logged.user is None:
        return {}
    chosen = split.choose(logged, None)
    shares = chosen if isinstance(chosen, Temporal) else Temporal()
    counts = unseen_user_rows(logged, shares.validation, shares.test)
    comparable = ["user", *(["global"] if dataset.card.times_compare else [])]
    return {f"split.cut={cut}": "{} of {}".format(*counts[cut]) for cut in comparable}


def _list(names: Sequence[str], config_dirs: Sequence[Path], as_json: bool) -> int:
    from rich.console import Console
    from rich.table import Table as RichTable

    rows = [_describe(name, dataset, root) for name, dataset, root in _build_all(names, config_dirs)]
    if as_json:
        print_json(rows)
        return 0
    rich_table = RichTable(*rows[0])
    for row in rows:
        rich_table.add_row(*(str(value or "none") for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(rich_table)
    return 0


def _build_all(names: Sequence[str], config_dirs: Sequence[Path]) -> list[tuple[str, AbstractDataset, Path]]:
    """Return each data set and the folder of raw data: in one composition, which takes a third of a second."""
    from causalrec.config.compose import compose_config, normalise_overrides, validate_group

    together = [f"+dataset@every.{name}={name}" for name in names]
    plain = compose_config([*normalise_overrides([], config_dirs), *together])
    root = Path(plain["paths"]["data"])
    return [(name, validate_group({"dataset": plain["every"][name]}, "dataset").build(), root) for name in names]


def _describe(name: str, dataset: AbstractDataset, root: Path) -> dict[str, str | None]:
    origins = [f"wheel {s.wheel}" if s.wheel else str(s.url or s.page) for s in dataset.sources]
    here = any(source.is_present(root) for source in dataset.sources)
    card = dataset.card
    return {
        "name": name,
        "domain": card.domain,
        "size": card.size,
        "outcome": card.outcome,
        "unbiased part": card.randomised,
        "licence": card.licence,
        "where": "on this machine" if here else f"fetch from {' or '.join(origins)}" if origins else "your own files",
    }
