"""The drawing is a real picture of every node, in which no edge passes behind a node."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg

from causalrec.config.compose import package_folder
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.draw import PADDING, draw, graph_figure, kind_of, layout
from causalrec.graph.identify import Adjustment, Identification
from causalrec.graph.layered_layout import Box, Cubic, GraphLayout, Point
from causalrec.reporting.html import dag

GRAPH = CausalGraph(
    edges=["a -> exposure", "a -> outcome", "b -> outcome", "mood -> outcome", "exposure -> outcome"], latent=["mood"]
)
ADJUSTMENT = Adjustment("exposed_mean", Identification("backdoor", ("a",)), Identification("none"))
WIDE = [f"a_rather_long_column_name_{k} -> {end}" for k in range(30) for end in ("exposure", "outcome")]
TANGLED = [f"v{a} -> v{b}" for a, b in itertools.combinations(range(8), 2)] + ["v0 -> exposure", "v7 -> outcome"]


def every_graph() -> Iterator[object]:
    for file in sorted((package_folder("conf") / "graph").glob("*.yaml")):
        arguments = yaml.safe_load(file.read_text(encoding="utf-8"))
        arguments.pop("_target_")
        yield pytest.param(CausalGraph(**arguments), id=file.stem)
    for name, edges in {"wide": WIDE, "tangled": TANGLED}.items():
        yield pytest.param(CausalGraph(edges=[*edges, "exposure -> outcome"], latent=[]), id=name)


def points_of(cubic: Cubic) -> list[Point]:
    """Forty points of a Bezier curve, its ends among them."""
    points = []
    for k in range(41):
        t = k / 40
        shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        x, y = (sum(share * point[axis] for share, point in zip(shares, cubic, strict=True)) for axis in (0, 1))
        points.append((x, y))
    return points


def holds(box: Box, point: Point, margin: float = 1.0) -> bool:
    across, down = point
    inside_across = box.left - margin <= across <= box.right + margin
    return inside_across and box.top - margin <= down <= box.top + box.height + margin


def check_layout(placed: GraphLayout, graph: CausalGraph) -> None:
    assert set(placed.boxes) == set(graph.digraph) and set(placed.curves) == set(graph.digraph.edges)
    for a, b in itertools.combinations(placed.boxes.values(), 2):
        apart = a.right < b.left or b.right < a.left
        assert apart or a.top + a.height < b.top or b.top + b.height < a.top
    for (cause, effect), curve in placed.curves.items():
        assert placed.boxes[cause].right <= placed.boxes[effect].left, "causes stand left of effects"
        assert curve[0][0][0] == placed.boxes[cause].right and curve[-1][-1][0] == placed.boxes[effect].left
        others = [box for node, box in placed.boxes.items() if node not in (cause, effect)]
        for point in itertools.chain.from_iterable(map(points_of, curve)):
            assert 0 <= point[0] <= placed.width and 0 <= point[1] <= placed.height
            assert not any(holds(box, point) for box in others), f"{cause} -> {effect} passes behind a node"


@pytest.mark.parametrize("graph", list(every_graph()))
def test_no_edge_passes_behind_a_node_and_no_node_lies_on_another(graph: CausalGraph) -> None:
    check_layout(layout(graph), graph)
    check_layout(dag.layout(graph, {node: kind_of(node, graph, None) for node in graph.digraph}), graph)


@pytest.mark.parametrize("graph", list(every_graph()))
def test_names_fit_their_boxes(graph: CausalGraph) -> None:
    figure, boxes = graph_figure(graph, None), layout(graph).boxes
    canvas = FigureCanvasAgg(figure)
    (axes,) = figure.axes
    for label in axes.texts:
        extent = label.get_window_extent(canvas.get_renderer()).transformed(axes.transData.inverted())
        assert abs(extent.width) <= boxes[label.get_text()].width - PADDING
        assert abs(extent.height) <= boxes[label.get_text()].height


def test_the_ending_chooses_svg_or_png(tmp_path: Path) -> None:
    draw(GRAPH, ADJUSTMENT, tmp_path / "graph.svg")
    draw(GRAPH, None, tmp_path / "graph.png")
    assert ElementTree.parse(tmp_path / "graph.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["graph.png", "graph.svg"]


def test_the_svg_names_every_node_and_the_kinds_that_occur(tmp_path: Path) -> None:
    draw(GRAPH, ADJUSTMENT, tmp_path / "graph.svg")
    text = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    for word in (*GRAPH.digraph, "latent", "adjusted", "observed"):
        assert f"<!-- {word} -->" in text


def test_each_node_has_its_kind() -> None:
    kinds = {node: kind_of(node, GRAPH, ADJUSTMENT) for node in GRAPH.digraph}
    assert kinds == {"a": "adjusted", "b": "observed", "mood": "latent", "exposure": "exposure", "outcome": "outcome"}
    assert kind_of("a", GRAPH, None) == "observed"


def test_names_that_end_in_numbers_stand_in_their_order() -> None:
    names = [f"x{k}" for k in range(12)]
    boxes = layout(
        CausalGraph(edges=[f"{name} -> outcome" for name in names] + ["exposure -> outcome"], latent=[])
    ).boxes
    assert sorted(names, key=lambda name: boxes[name].top) == names
