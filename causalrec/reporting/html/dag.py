"""The causal graph of a record as inline SVG: causes left of effects, each node's role in it written there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from causalrec.errors import CausalRecError
from causalrec.graph.causal_graph import CausalGraph, NodeKind
from causalrec.graph.layered_layout import Box, Cubic, GraphLayout, graph_layout, text_width
from causalrec.reporting.html.charts import picture, text
from causalrec.reporting.html.markup import Child, Html, paragraph, tag

NAME_SIZE, ROLE_SIZE = 12.0, 9.5  # of the fonts, as the style sheet has them
HEIGHT, PADDING = 32.0, 9.0  # of a box
MOST_EDGES = 400  # that a page draws
TIP = 5.0  # length of an arrow's head


def dag(config: Mapping[str, Any], adjusted: tuple[str, ...], anchor: str) -> Html:
    """Draw a record's `config.graph`, the adjustment set marked; says so where the graph cannot be read."""
    try:
        if len(config["edges"]) > MOST_EDGES:
            return paragraph(f"The graph of these records has {len(config['edges']):,} edges, too many to draw.")
        graph = CausalGraph(**{key: config[key] for key in ("edges", "latent", "exposure", "outcome")})
        kinds = {node: _kind(node, graph, adjusted) for node in graph.digraph}
    except (CausalRecError, LookupError, TypeError, ValueError, AttributeError) as error:
        return paragraph(f"The graph of these records cannot be drawn: {error}")
    placed = layout(graph, kinds)
    arrows: list[Child] = [_arrow(curve, anchor) for curve in placed.curves.values()]
    boxes = [_node(node, kinds[node], box) for node, box in placed.boxes.items()]
    description = "; ".join(f"{a} causes {b}" for a, b in placed.curves)
    drawing = picture(
        placed.width,
        placed.height,
        "Causal graph",
        f"{description}.",
        _head(anchor),
        *arrows,
        *boxes,
        class_="dag",
        style=f"width:{placed.width:g}px",
    )
    note = [paragraph(f"{placed.left_out[0].upper()}{placed.left_out[1:]}.")] if placed.left_out else []
    return tag("div", drawing, *note, class_="box", tabindex=0, role="region", aria_label="Causal graph")


def layout(graph: CausalGraph, kinds: Mapping[str, NodeKind]) -> GraphLayout:
    """Place the nodes and edges of a drawing, in pixels."""
    widths = {node: max(text_width(node, NAME_SIZE), text_width(kind, ROLE_SIZE)) for node, kind in kinds.items()}
    return graph_layout(graph.digraph, {node: (width + 2 * PADDING, HEIGHT) for node, width in widths.items()})


def _kind(node: str, graph: CausalGraph, adjusted: tuple[str, ...]) -> NodeKind:
    if node == graph.exposure:
        return "exposure"
    if node == graph.outcome:
        return "outcome"
    return "latent" if node in graph.latent else "adjusted" if node in adjusted else "observed"


def _head(anchor: str) -> Html:
    tip = tag("path", d="M0 0L5 2.5L0 5z", class_="tip")
    marker = tag("marker", tip, id=f"{anchor}-tip", markerWidth=5, markerHeight=5, refX=0, refY=2.5, orient="auto")
    return tag("defs", marker)


def _arrow(curve: Sequence[Cubic], anchor: str) -> Html:
    (x0, y0), (start, (bend, _), _, (x3, y3)) = curve[0][0], curve[-1]
    last = start, (bend, start[1]), (bend, y3), (x3 - TIP, y3)
    bends = "".join("C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in cubic[1:]) for cubic in (*curve[:-1], last))
    return tag("path", d=f"M{x0:.1f} {y0:.1f}{bends}", class_="arrow", marker_end=f"url(#{anchor}-tip)")


def _node(node: str, kind: NodeKind, box: Box) -> Html:
    x, y = box.centre
    rectangle = tag("rect", x=f"{box.left:g}", y=f"{box.top:g}", width=f"{box.width:g}", height=f"{box.height:g}", rx=4)
    name = text(x, y - 1, node, "middle")
    role = tag("text", kind, x=f"{x:g}", y=f"{y + 11:g}", text_anchor="middle", class_="role")
    return tag("g", rectangle, name, role, class_=f"node {kind}")


def legend() -> Html:
    """Say what the words in the drawing mean."""
    return paragraph(
        "An arrow is a direct cause. Adjusted: in the adjustment set. Observed: has a column, is not adjusted for. "
        "Latent: has no column (dashed)."
    )
