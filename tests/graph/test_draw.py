"""The drawing is a real picture of every node."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.draw import draw, kind_of, layout
from causalrec.graph.identify import Adjustment, Identification

GRAPH = CausalGraph(
    edges=["a -> exposure", "a -> outcome", "b -> outcome", "mood -> outcome", "exposure -> outcome"], latent=["mood"]
)
ADJUSTMENT = Adjustment("exposed_mean", Identification("backdoor", ("a",)), Identification("none"))


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


def test_causes_stand_left_of_their_effects_and_no_two_nodes_share_a_place() -> None:
    position = layout(GRAPH.digraph)
    assert all(position[cause][0] < position[effect][0] for cause, effect in GRAPH.digraph.edges)
    assert len(set(position.values())) == len(position)
