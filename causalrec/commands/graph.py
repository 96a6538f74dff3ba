"""`causalrec graph`: what is identified, and from which columns; whether the data contradict the graph."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.edges_file import read_edges
from causalrec.commands.graph_text import describe_falsification, describe_identification, edge_table
from causalrec.commands.terminal import check_overrides, log, print_json, print_text_table, width
from causalrec.data.files import require_creatable
from causalrec.errors import RequestError
from causalrec.limits import plural

if TYPE_CHECKING:
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.graph.causal_graph import CausalGraph
    from causalrec.graph.falsify import Falsification
    from causalrec.graph.proposed_edges import ProposedEdge


def graph(options: argparse.Namespace) -> int:
    """`causalrec graph show | check key=value ...`: what is identified, and by which columns; `check` asks the data."""
    from causalrec.config.compose import compose_and_check, normalise_overrides, validate_group
    from causalrec.features.views import choose_views
    from causalrec.graph.draw import draw
    from causalrec.graph.identify import identify

    out: Path | None = options.out
    if out is not None:
        _check_drawing(out)
    if options.edges is not None and options.what == "show":
        raise RequestError("graph show: --edges asks the data; write graph check --edges FILE")
    proposed = None if options.edges is None else read_edges(options.edges)
    plain = compose_and_check(normalise_overrides(check_overrides(options.overrides), options.config_dir))
    causal, dataset = validate_group(plain, "graph").build(), validate_group(plain, "dataset").build()
    causal, task = causal.for_columns(dataset.card), validate_group(plain, "task").target
    adjustment = identify(
        causal,
        dataset.card,
        estimand=task.estimand,
        contrasts_exposure=task.contrasts_exposure,
        use_logged_propensity=validate_group(plain, "propensity").target.uses_logged,
    )
    views = choose_views(causal, dataset.card, adjustment)
    identification = {
        **asdict(adjustment),
        "expression": adjustment.expression(causal),
        "propensity_view": views.propensity,
        "outcome_view": views.outcome,
    }
    for warning in causal.warnings:
        log(f"warning: {warning}")
    if out is not None:
        left_out = draw(causal, adjustment, out)
        log(f"drawn: {out}{f' ({left_out})' if left_out else ''}")
    if proposed is not None:
        return _check_edges(proposed, causal, dataset, options, Path(plain["paths"]["data"]))
    falsification = None if options.what == "show" else _falsify(causal, dataset, Path(plain["paths"]["data"]))
    if options.json:
        print_json(identification | ({"falsification": asdict(falsification)} if falsification else {}))
        return 0
    print(describe_identification(adjustment, adjustment.expression(causal), views, width()))
    if falsification:
        print(describe_falsification(falsification, width()))
    return 0


def _check_drawing(out: Path) -> None:
    """Raise RequestError where no drawing can be written under that name."""
    if out.suffix not in (".svg", ".png"):
        raise RequestError(f"--out {out}: the name must end in .svg or .png")
    if out.is_dir() or not out.parent.is_dir():
        why = (
            "is a folder; name a file" if out.is_dir() else f"there is no folder {out.parent}; make it, or name another"
        )
        raise RequestError(f"--out {out}: {why}")
    require_creatable(out.parent, "--out")


def _check_edges(
    edges: Sequence[ProposedEdge],
    causal: CausalGraph,
    dataset: AbstractDataset,
    options: argparse.Namespace,
    root: Path,
) -> int:
    """Say of each proposed edge whether it is kept, contradicted or not testable."""
    from causalrec.graph.falsify import ROWS
    from causalrec.graph.proposed_edges import check_names, check_proposed_edges

    card = dataset.card
    check_names(edges, causal, card, str(options.edges))
    if dataset.sources and not any(source.is_present(root) for source in dataset.sources):
        raise RequestError(f"graph check --edges: the data are not below {root}; causalrec data fetch {card.name}")
    log(f"testing {plural(len(edges), 'edge')} on at most {ROWS} rows of {card.name}, one of each user")
    checks = check_proposed_edges(edges, causal, dataset.load(root))
    if options.json:
        print_json({"dataset": card.name, "edges": [asdict(check) for check in checks]})
    else:
        print_text_table(edge_table(checks, card.name))
    return 0


def _falsify(causal: CausalGraph, dataset: AbstractDataset, root: Path) -> Falsification:
    """Test the graph against the data where they lie here: nothing is fetched for it."""
    from causalrec.graph.falsify import ROWS, Falsification, falsify, untestable_reason

    card = dataset.card
    why = untestable_reason(causal, card)
    if why is None and dataset.sources and not any(source.is_present(root) for source in dataset.sources):
        why = f"the data are not below {root}; causalrec data fetch {card.name}"
    if why is not None:
        return Falsification("not testable", why)
    log(f"testing the graph on at most {ROWS} rows of {card.name}, one of each user")
    return falsify(causal, dataset.load(root), progress=sys.stderr.isatty())
