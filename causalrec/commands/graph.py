"""`causalrec graph`: what is identified, and from which columns."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from causalrec.commands.shared import checked, document, lines, say
from causalrec.errors import RequestError


def graph(options: argparse.Namespace) -> int:
    """`causalrec graph show | check key=value ...`: what is identified, and from which columns."""
    from causalrec import config
    from causalrec.features.views import views
    from causalrec.graph.draw import draw
    from causalrec.graph.identify import identify
    from causalrec.leaf import leaf

    out = options.out or (Path("graph.svg") if options.what == "show" else None)
    if out is not None and out.suffix not in (".svg", ".png"):
        raise RequestError(f"--out {out}: the name must end in .svg or .png")
    plain = config.compose(config.prepared(checked(options.overrides), options.config_dir))
    chosen = {key: leaf(key, plain[key]) for key in ("dataset", "graph", "propensity")}
    causal, card = chosen["graph"].build(), chosen["dataset"].build().card
    adjustment = identify(causal, card, use_logged_propensity=chosen["propensity"].target.uses_logged)
    features = views(causal, card, adjustment)
    found = {
        **asdict(adjustment),
        "expression": adjustment.expression(causal),
        "propensity_view": features.propensity,
        "outcome_view": features.outcome,
    }
    document(found) if options.json else lines(found)
    if out is not None:
        draw(causal, adjustment, out)
        say(f"drawn: {out}")
    return 0
