"""`causalrec graph`: what is identified, and from which columns; whether the data contradict the graph."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalrec.commands.shared import check_overrides, log, print_json, print_pairs
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.graph.causal_graph import CausalGraph


def graph(options: argparse.Namespace) -> int:
    """`causalrec graph show | check key=value ...`: what is identified, and by which columns; `check` asks the data."""
    from causalrec.config.compose import compose_config, normalise_overrides, validate_group
    from causalrec.features.views import views
    from causalrec.graph.draw import draw
    from causalrec.graph.identify import identify

    out = options.out or (Path("graph.svg") if options.what == "show" else None)
    if out is not None and out.suffix not in (".svg", ".png"):
        raise RequestError(f"--out {out}: the name must end in .svg or .png")
    plain = compose_config(normalise_overrides(check_overrides(options.overrides), options.config_dir))
    causal, dataset = validate_group(plain, "graph").build(), validate_group(plain, "dataset").build()
    task = validate_group(plain, "task").target
    adjustment = identify(
        causal,
        dataset.card,
        estimand=task.estimand,
        contrasts_exposure=task.contrasts_exposure,
        use_logged_propensity=validate_group(plain, "propensity").target.uses_logged,
    )
    features = views(causal, dataset.card, adjustment)
    found = {
        **asdict(adjustment),
        "expression": adjustment.expression(causal),
        "propensity_view": features.propensity,
        "outcome_view": features.outcome,
    }
    if out is not None:
        draw(causal, adjustment, out)
        log(f"drawn: {out}")
    asked = {} if options.what == "show" else _falsification(causal, dataset, Path(plain["paths"]["data"]))
    if options.json:
        print_json({**found, "falsification": asked} if asked else found)
        return 0
    print_pairs(found)
    if asked:
        _show(asked)
    return 0


def _falsification(causal: CausalGraph, dataset: AbstractDataset, root: Path) -> dict[str, Any]:
    """Test the graph against the data where they lie here: nothing is fetched for it."""
    from causalrec.graph.falsify import ROWS, Falsification, falsify, untestable

    card = dataset.card
    why = untestable(causal, card)
    if why is None and dataset.sources and not any(source.present(root) for source in dataset.sources):
        why = f"the data are not below {root}; causalrec data fetch {card.name}"
    if why is not None:
        return asdict(Falsification("not testable", why))
    log(f"testing the graph on at most {ROWS} rows of {card.name}, one of each user")
    return asdict(falsify(causal, dataset.load(root), progress=sys.stderr.isatty()))


def _show(asked: dict[str, Any]) -> None:
    rows = f" ({asked['rows']} rows)" if asked["rows"] else ""
    print(f"falsification: {asked['verdict']}: {asked['why']}{rows}")
    for one in asked["violated"]:
        given = f" given {', '.join(one['given'])}" if one["given"] else ""
        print(f"  contradicted: {one['left']} and {one['right']} are independent{given}: p = {one['p_value']:.1e}")
    if asked["untested"]:
        print(f"  untested, as no column of numbers or categories holds them: {', '.join(asked['untested'])}")
    if asked["tested"]:
        print(f"  graphs with permuted nodes: {asked['no_worse']:.0%} no worse, {asked['alike']:.0%} alike")
    print(f"  blind to: {asked['limitation']}")
