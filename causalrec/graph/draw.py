"""Draw a causal graph to SVG or PNG: latent nodes dashed, the adjustment set filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.data.files import replace_atomically
from causalrec.graph.causal_graph import CausalGraph, NodeKind
from causalrec.graph.identify import Adjustment
from causalrec.graph.layered_layout import Cubic, GraphLayout, graph_layout, text_width
from causalrec.plain_text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Curve

FILL: dict[NodeKind, str] = {
    "exposure": "#ffd9a8",
    "outcome": "#b9e3c6",
    "latent": "#ffffff",
    "adjusted": "#b7d3f2",
    "observed": "#eeeeee",
}
INK, EDGE = "#222222", "#6b6b6b"
FONT_SIZE, BOX_HEIGHT, PADDING = 10.0, 24.0, 9.0  # points, of which the drawing has 72 an inch
MAX_PIXELS = 30_000.0  # of one side of a PNG; matplotlib draws no 2^16
LEGEND_HEIGHT, LEGEND_ENTRY = 30.0, 84.0


def kind_of(node: str, graph: CausalGraph, adjustment: Adjustment | None) -> NodeKind:
    """Say how a node is drawn."""
    if node == graph.exposure:
        return "exposure"
    if node == graph.outcome:
        return "outcome"
    if node in graph.latent:
        return "latent"
    return "adjusted" if adjustment is not None and node in adjustment.training.columns else "observed"


def layout(graph: CausalGraph) -> GraphLayout:
    """Place the nodes and edges of a drawing, in points."""
    digraph = graph.digraph
    sizes = {node: (text_width(node, FONT_SIZE) + 2 * PADDING, BOX_HEIGHT) for node in digraph}
    return graph_layout(digraph, sizes)


def draw(graph: CausalGraph, adjustment: Adjustment | None, path: Path) -> str:
    """Write the drawing; the file's ending (`.svg`, `.png`) chooses the format.

    Returns which edges it leaves out, a sentence; empty where it leaves out none.
    """
    placed = layout(graph)
    figure = graph_figure(graph, adjustment, placed)
    with replace_atomically(path, through_link=True) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=_dots_per_inch(figure))
    return placed.left_out


def _dots_per_inch(figure: Figure) -> float:
    """Return 150, or as many as a picture may have that is very large."""
    return min(150.0, MAX_PIXELS / max(map(float, figure.get_size_inches())))


def graph_figure(graph: CausalGraph, adjustment: Adjustment | None, placed: GraphLayout | None = None) -> Figure:
    """Return the drawing, with a legend of the kinds of node that occur."""
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    placed = placed or layout(graph)
    kinds = {node: kind_of(node, graph, adjustment) for node in placed.boxes}
    shown = sorted(set(kinds.values()))
    width, height = max(placed.width, LEGEND_ENTRY * len(shown)), placed.height + LEGEND_HEIGHT
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for curve in placed.curves.values():
        head = "-|>,head_length=4.5,head_width=2"
        axes.add_patch(FancyArrowPatch(path=_path(curve), arrowstyle=head, mutation_scale=1, color=EDGE, lw=0.8))
    for node, box in placed.boxes.items():
        outline = FancyBboxPatch((box.left, box.top), box.width, box.height, boxstyle="round,pad=0,rounding_size=4")
        outline.set(fc=FILL[kinds[node]], ec=INK, lw=0.8, ls=_line(kinds[node]))
        axes.add_patch(outline)
        axes.text(
            *box.centre, one_line(node).replace("$", r"\$"), ha="center", va="center", fontsize=FONT_SIZE, color=INK
        )
    _legend(figure, shown)
    return figure


def _path(curve: Sequence[Cubic]) -> Curve:
    from matplotlib.path import Path as Curve

    points = [curve[0][0], *(point for cubic in curve for point in cubic[1:])]
    return Curve(points, [Curve.MOVETO, *[Curve.CURVE4] * (len(points) - 1)])


def _line(kind: NodeKind) -> str:
    return "--" if kind == "latent" else "-"


def _legend(figure: Figure, kinds: Sequence[NodeKind]) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(fc=FILL[kind], ec=INK, lw=0.8, ls=_line(kind), label=kind) for kind in kinds]
    figure.legend(
        handles=marks,
        loc="lower center",
        ncols=len(marks),
        frameon=False,
        fontsize=9,
        handlelength=1.4,
        columnspacing=1.4,
    )
