"""The causal graph of a record as inline SVG: causes left of effects, each node's role in it written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from causalrec.errors import RequestError
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.draw import layout
from causalrec.reporting.html.charts import picture, text
from causalrec.reporting.html.markup import Child, Html, paragraph, tag

ROW, LETTER, GAP = 40.0, 7.0, 110.0


def dag(config: Mapping[str, Any], adjusted: tuple[str, ...], anchor: str) -> Html:
    """Draw a record's `config.graph`, the adjustment set marked; says so where the graph cannot be read."""
    try:
        graph = CausalGraph(**{key: config[key] for key in ("edges", "latent", "exposure", "outcome")})
        digraph = graph.digraph
    except (RequestError, KeyError, TypeError, AttributeError) as error:
        return paragraph(f"The graph of these records cannot be drawn: {error}")
    kinds = {node: _kind(node, graph, adjusted) for node in digraph}
    width = LETTER * max(len(node) for node in digraph) + 20
    grid_positions = layout(digraph)
    top, columns = max(y for _, y in grid_positions.values()), max(x for x, _ in grid_positions.values())
    spots = {node: (x * (width + GAP) + 8, (top - y) * ROW + 22) for node, (x, y) in grid_positions.items()}
    height = max(y for _, y in spots.values()) + 30
    arrows: list[Child] = [
        _arrow(spots[a], spots[b], width, anchor, grid_positions[b][0] - grid_positions[a][0] > 1, height)
        for a, b in digraph.edges
    ]
    boxes = [_node(node, kinds[node], *spots[node], width) for node in digraph]
    description = "; ".join(f"{a} causes {b}" for a, b in digraph.edges)
    total_width = columns * (width + GAP) + width + 16
    drawing = picture(
        total_width,
        height,
        "Causal graph",
        f"{description}.",
        _head(anchor),
        *arrows,
        *boxes,
        class_="dag",
        style=f"width:{total_width:g}px",
    )
    return tag("div", drawing, class_="box", tabindex=0, role="region", aria_label="Causal graph")


def _kind(node: str, graph: CausalGraph, adjusted: tuple[str, ...]) -> str:
    if node in (graph.exposure, graph.outcome):
        return "exposure" if node == graph.exposure else "outcome"
    return "latent" if node in graph.latent else "adjusted" if node in adjusted else "observed"


def _head(anchor: str) -> Html:
    tip = tag("path", d="M0 0L7 3.5L0 7z", class_="tip")
    marker = tag("marker", tip, id=f"{anchor}-tip", markerWidth=7, markerHeight=7, refX=6.5, refY=3.5, orient="auto")
    return tag("defs", marker)


def _arrow(
    cause: tuple[float, float], effect: tuple[float, float], width: float, anchor: str, far: bool, height: float
) -> Html:
    """Join two boxes; an arrow over several columns bows away from the boxes between."""
    (x0, y0), (x1, y1) = cause, effect
    x0, x1 = x0 + width, x1 - 2
    bow = 0.0 if not far else (-1 if y0 <= height / 2 else 1) * min(ROW * 1.6, height / 3)
    reach = (x1 - x0) / 2
    curve = f"M{x0:g} {y0:g}C{x0 + reach:g} {y0 + bow:g} {x1 - reach:g} {y1 + bow / 4:g} {x1:g} {y1:g}"
    return tag("path", d=curve, class_="arrow", marker_end=f"url(#{anchor}-tip)")


def _node(node: str, kind: str, x: float, y: float, width: float) -> Html:
    box = tag("rect", x=f"{x:g}", y=f"{y - 15:g}", width=f"{width:g}", height=30, rx=4)
    name = text(x + width / 2, y - 1, node, "middle")
    role = tag("text", kind, x=f"{x + width / 2:g}", y=f"{y + 11:g}", text_anchor="middle", class_="role")
    return tag("g", box, name, role, class_=f"node {kind}")


def legend() -> Html:
    """Say what the words in the drawing mean."""
    return paragraph(
        "An arrow is a direct cause. Adjusted: in the adjustment set. Observed: has a column, is not adjusted for. "
        "Latent: has no column (dashed)."
    )
