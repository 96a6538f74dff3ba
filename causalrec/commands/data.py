"""`causalrec data`: list the data sets; fetch, check or audit one; write a first YAML for a table of your own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import check_overrides, log, print_json
from causalrec.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from causalrec.config.compose import PlainConfig
    from causalrec.data.dataset import CausalDataset
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.data.split.base import AbstractSplit
    from causalrec.data.table_problems import Problem


def data(options: argparse.Namespace) -> int:
    """`causalrec data list [NAME] | new FILE | fetch NAME | check NAME | audit NAME | embed FOLDER`."""
    from causalrec.config.compose import package_folder, validate_group

    if options.what == "new":
        from causalrec.commands.data_new import write_first_yaml

        return write_first_yaml(options)
    if options.what == "embed":
        from causalrec.commands.data_embed import embed_files

        return embed_files(options)
    if unused := [f"--{key}" for key in ("model", "out", "ids") if getattr(options, key)]:
        raise RequestError(f"data {options.what}: {', '.join(unused)} is of `data embed` alone; leave it out")
    if unused := [f"--{key}" for key in ("name", "users", "items") if getattr(options, key)]:
        raise RequestError(f"data {options.what}: {', '.join(unused)} is of `data new` alone; leave it out")
    roots = [package_folder("conf"), *options.config_dir]
    names = sorted({path.stem for root in roots for path in (root / "dataset").glob("*.yaml")})
    if options.dataset not in names and not (options.what == "list" and options.dataset is None):
        what = "name a data set" if options.dataset is None else f"there is no data set {options.dataset!r}"
        raise RequestError(f"data {options.what}: {what}; {did_you_mean(options.dataset or '', names)}")
    if options.what == "list":
        return _list(names, options)
    plain = _compose(options)
    dataset, root = validate_group(plain, "dataset").build(), Path(plain["paths"]["data"])
    if options.what == "check":
        return _check(options, plain, dataset, root)
    return _fetch(options, dataset, root) if options.what == "fetch" else _audit(options, plain, dataset, root)


def _compose(options: argparse.Namespace) -> PlainConfig:
    """Compose the request; where effects can be learnt and no task is named, that task asks for them."""
    from causalrec.config.compose import compose_and_check, normalise_overrides, validate_group

    overrides = [f"dataset={options.dataset}", *check_overrides(options.overrides)]
    plain = compose_and_check(normalise_overrides(overrides, options.config_dir))
    names_task = any(override.startswith("task=") for override in overrides)
    if options.what != "check" or names_task or not validate_group(plain, "dataset").build().card.arms:
        return plain
    return compose_and_check(normalise_overrides(["task=effect", *overrides], options.config_dir))


def _check(options: argparse.Namespace, plain: PlainConfig, dataset: AbstractDataset, root: Path) -> int:
    """Report every problem of the files and of the request, warnings first; what was loaded, where it was."""
    from causalrec.commands.data_check import RequestCheck
    from causalrec.commands.data_text import describe_loaded
    from causalrec.data.table_problems import count_rows

    problems = dataset.problems(root)
    loaded = None if count_rows(problems, "error") else dataset.load(root)
    check = RequestCheck(plain, dataset)
    of_request = check(loaded)
    code = 1 if loaded is None else 2 if count_rows(of_request, "error") else 0
    problems = [*problems, *of_request]
    if options.json:
        print_json({"name": options.dataset, **({} if loaded is None else _log_facts(loaded)), **_counts(problems)})
        return code
    if loaded is not None:
        print(describe_loaded(loaded, check.views.propensity if check.views else None))
    _print_problems(dataset.card.name, problems)
    return code


def _counts(problems: Sequence[Problem]) -> dict[str, object]:
    """Return the problems as JSON has them, errors first, and how many rows have one."""
    from causalrec.data.table_problems import count_rows

    ordered = sorted(problems, key=lambda problem: problem.severity)
    listed = [{k: v for k, v in asdict(problem).items() if k not in ("kind", "count")} for problem in ordered]
    return {"errors": count_rows(problems, "error"), "warnings": count_rows(problems, "warning"), "problems": listed}


def _print_problems(name: str, problems: Sequence[Problem]) -> None:
    """Print each fault once, the errors last in sight, and how many there are."""
    from causalrec.commands.data_text import count_words
    from causalrec.data.table_problems import count_rows, summarise

    for severity, line in summarise(problems):
        log(f"{severity}: {line}")
    counts = [(count_rows(problems, severity), severity) for severity in ("error", "warning")]
    words = [count_words(count, severity) for count, severity in counts]
    log(f"{name}: {', '.join(words)}")


def _log_facts(loaded: CausalDataset) -> dict[str, object]:
    randomised = None if loaded.randomised is None else str(loaded.randomised)
    return {"logged": str(loaded.logged), "randomised": randomised, "sha256": dict(loaded.raw_sha256)}


def _fetch(options: argparse.Namespace, dataset: AbstractDataset, root: Path) -> int:
    from causalrec.data.sources import fetch_first

    if not dataset.sources:
        raise RequestError(f"data fetch {dataset.card.name}: these are your own files; put them where the YAML says")
    dataset.check_files(root)
    folder = fetch_first(dataset.sources, root)[1]
    if options.json:
        print_json({"name": options.dataset, "folder": folder})
    else:
        print(folder)  # alone, for a shell to use
    return 0


def _audit(options: argparse.Namespace, plain: PlainConfig, dataset: AbstractDataset, root: Path) -> int:
    from causalrec.commands.data_text import describe_audit
    from causalrec.config.compose import validate_group
    from causalrec.config.run_config import Evaluation
    from causalrec.data.assignment_unit import mark_units
    from causalrec.data.audit import audit
    from causalrec.data.clusters import check_clusters, cluster_axes
    from causalrec.data.domain_distance import domain_distance

    split = validate_group(plain, "split").build()
    split.check(dataset.card)
    evaluation = Evaluation.model_validate(plain["evaluation"])
    check_clusters(dataset.card, evaluation.cluster)
    dataset.check_files(root)
    loaded = mark_units(dataset.load(root), evaluation.cluster_columns)
    splits = split(loaded)
    axes = cluster_axes(loaded, splits.train, evaluation.cluster, splits.train.unit_level)
    result, by_cut = audit(loaded, splits, split, cluster_axes=axes), _unseen_users(loaded, split)
    distance = domain_distance(loaded, splits.train, splits.test)
    if options.json:
        named = {"distance": asdict(distance), "unseen_users_by_cut": by_cut}
        print_json({"name": options.dataset, **asdict(result), **named})
    else:
        print(describe_audit(dataset.card.name, result, by_cut, distance))
    return 0


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


def _list(names: Sequence[str], options: argparse.Namespace) -> int:
    from causalrec.commands.data_text import describe_dataset, describe_list

    chosen = names if options.dataset is None else [options.dataset]
    rows = [_describe(name, dataset, root) for name, dataset, root in _build_all(chosen, options.config_dir)]
    if options.json:
        print_json(rows)
    else:
        print(describe_list(rows) if options.dataset is None else describe_dataset(rows[0]))
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
        "unbiased part": card.randomised or ("the log itself" if card.randomised_training else None),
        "licence": card.licence,
        "where": "on this machine" if here else f"fetch from {' or '.join(origins)}" if origins else "your own files",
    }
