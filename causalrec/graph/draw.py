"""Draw a causal graph to SVG or PNG: latent nodes dashed, the adjustment set filled."""

from __future__ import annotations

from pathlib import Path

import networkx as nx

from causalrec.data.files import replace_atomically
from causalrec.graph.causal_graph import CausalGraph, NodeKind
from causalrec.graph.identify import Adjustment

FILL: dict[NodeKind, str] = {
    "exposure": "#ffd9a8",
    "outcome": "#b9e3c6",
    "latent": "#ffffff",
    "adjusted": "#b7d3f2",
    "observed": "#eeeeee",
}


def kind_of(node: str, graph: CausalGraph, adjustment: Adjustment | None) -> NodeKind:
    """Say how a node is drawn."""
    if node == graph.exposure:
        return "exposure"
    if node == graph.outcome:
        return "outcome"
    if node in graph.latent:
        return "latent"
    return "adjusted" if adjustment is not None and node in adjustment.training.columns else "observed"


def draw(graph: CausalGraph, adjustment: Adjustment | None, path: Path) -> None:
    """Write the drawing; the file's ending (`.svg`, `.png`) chooses the format."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    digraph = graph.digraph
    position = layout(digraph)
    height = 1.2 + 0.62 * max(sum(1 for p in position.values() if p[0] == column) for column, _ in position.values())
    figure = Figure(figsize=(2.6 + 2.3 * len({p[0] for p in position.values()}), height), layout="constrained")
    axes = figure.subplots()
    boxes = {}
    for node, (x, y) in position.items():
        kind = kind_of(node, graph, adjustment)
        line = "--" if kind == "latent" else "-"
        box = {"boxstyle": "round,pad=0.4", "facecolor": FILL[kind], "edgecolor": "#444444", "linestyle": line}
        text = axes.text(x, y, node, ha="center", va="center", fontsize=9, bbox=box, zorder=3)
        boxes[node] = text.get_bbox_patch()
    for cause, effect in digraph.edges:
        arrow = {"arrowstyle": "-|>", "color": "#777777", "connectionstyle": "arc3,rad=0.06", "mutation_scale": 13}
        ends = {"patchA": boxes[cause], "patchB": boxes[effect], "shrinkA": 1, "shrinkB": 1}
        axes.annotate("", xy=position[effect], xytext=position[cause], arrowprops={**arrow, **ends}, zorder=1)
    axes.set_xlim(-0.5, max(x for x, _ in position.values()) + 0.5)
    axes.set_ylim(min(y for _, y in position.values()) - 0.6, max(y for _, y in position.values()) + 0.6)
    shown = sorted({kind_of(node, graph, adjustment) for node in digraph})
    marks = [Line2D([], [], marker="s", ls="", mec="#444444", mfc=FILL[kind], ms=9, label=kind) for kind in shown]
    figure.legend(handles=marks, loc="outside lower center", ncol=len(marks), frameon=False, fontsize=8)
    axes.set_axis_off()
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=150)


def layout(digraph: nx.DiGraph[str]) -> dict[str, tuple[float, float]]:
    """Place causes left of effects: one column per topological generation, every other one raised."""
    position = {}
    for column, nodes in enumerate(nx.topological_generations(digraph)):
        ordered = sorted(nodes)
        for row, node in enumerate(ordered):
            position[node] = (float(column), (len(ordered) - 1) / 2 - row + 0.35 * (column % 2))
    return position
