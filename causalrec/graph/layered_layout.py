"""Places a graph in columns, causes left of effects, so that an edge passes behind no node.

Edges over several columns get a slot of their own in each column between; between columns there is nothing to pass
behind. Source: Sugiyama, Tagawa and Toda (IEEE Trans. SMC 1981).
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from causalrec.graph.dense_graphs import drawable

Point = tuple[float, float]  # across and down
Cubic = tuple[Point, Point, Point, Point]  # a Bezier curve: start, two controls, end
Slot = tuple[str, str, int]  # where the edge (cause, effect) passes a column
Member = str | Slot  # of a column
Column = list[Member]

SWEEPS = 8  # over the columns, to order them
GAP = 9.0  # least height between two members of a column
MARGIN = 8.0
STEEPEST = 2.5  # height of an edge for each unit of width between two columns
LEAST_WIDTH, MOST_WIDTH = 56.0, 220.0  # between two columns
PORT = 5.0  # height that each edge of a node takes at its side
WIDE, NARROW = frozenset("mwMW@%"), frozenset("ijlftrI.,:;'|!()[] ")


@dataclass(frozen=True)
class Box:
    """A node's rectangle.

    Attributes:
        left: coordinate of its left side.
        top: coordinate of its upper side.
        width: of the rectangle.
        height: of the rectangle.
    """

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Coordinate of its right side."""
        return self.left + self.width

    @property
    def centre(self) -> Point:
        """Its centre."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True)
class GraphLayout:
    """Where nodes and edges of a graph are drawn.

    Attributes:
        boxes: of the nodes, by name.
        curves: of the edges, by cause and effect, from the right side of the one to the left side of the other.
        width: of the drawing.
        height: of the drawing.
        left_out: which edges are not drawn, a sentence; empty where all are.
    """

    boxes: Mapping[str, Box]
    curves: Mapping[tuple[str, str], tuple[Cubic, ...]]
    width: float
    height: float
    left_out: str = ""


def text_width(words: str, size: float) -> float:
    """Return a width that holds words in any common font without serifs, in the unit of its size.

    >>> text_width("item", 10.0)
    24.6
    """
    shares = (0.98 if c in WIDE else 0.42 if c in NARROW else 0.74 if c.isupper() else 0.64 for c in words)
    return round(size * sum(shares), 1)


def graph_layout(digraph: nx.DiGraph[str], sizes: Mapping[str, tuple[float, float]]) -> GraphLayout:
    """Place nodes and edges; a node is at least as large as `sizes` (width, height) says, and higher with many edges.

    >>> placed = graph_layout(nx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")]), dict.fromkeys("abc", (20.0, 10.0)))
    >>> [len(placed.curves[edge]) for edge in (("a", "b"), ("a", "c"))]
    [1, 3]
    """
    digraph, left_out = drawable(digraph)
    layers = _layers(digraph)
    columns = _order(digraph, _columns(digraph, layers))
    heights = _heights(digraph, sizes)
    down = _heights_down(digraph, columns, heights)
    widths = [max(sizes[m][0] for m in column if isinstance(m, str)) for column in columns]
    lefts = _lefts(digraph, layers, down, widths)
    boxes = {
        node: Box(lefts[layer], down[node] - heights[node] / 2, widths[layer], heights[node])
        for node, layer in layers.items()
    }
    curves = _curves(digraph, layers, boxes, down, lefts, widths)
    bottom = max([box.top + box.height for box in boxes.values()] + list(down.values()))
    return GraphLayout(boxes, curves, lefts[-1] + widths[-1] + MARGIN, bottom + MARGIN, left_out)


def _layers(digraph: nx.DiGraph[str]) -> dict[str, int]:
    """Return each node's column: the last one left of all its effects; what has none of its own goes last."""
    depth = {node: k for k, nodes in enumerate(nx.topological_generations(digraph)) for node in nodes}
    layers: dict[str, int] = {}
    for node in reversed(list(nx.lexicographical_topological_sort(digraph))):
        after = [layers[effect] for effect in digraph.successors(node)]
        layers[node] = min(after) - 1 if after else depth[node]
    return layers


def _columns(digraph: nx.DiGraph[str], layers: Mapping[str, int]) -> list[Column]:
    columns: list[Column] = [[] for _ in range(max(layers.values()) + 1)]
    for node in sorted(layers, key=_natural):
        columns[layers[node]].append(node)
    for cause, effect in sorted(digraph.edges, key=lambda edge: (_natural(edge[0]), _natural(edge[1]))):
        for layer in range(layers[cause] + 1, layers[effect]):
            columns[layer].append((cause, effect, layer))
    return columns


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts x2 before x10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", name)]


def _neighbours(
    digraph: nx.DiGraph[str], columns: Sequence[Column]
) -> tuple[dict[Member, Column], dict[Member, Column]]:
    """Return what each member of a column is joined to in the column before, and in the one after."""
    before: dict[Member, Column] = {member: [] for column in columns for member in column}
    after: dict[Member, Column] = {member: [] for column in columns for member in column}
    layer_of = {member: k for k, column in enumerate(columns) for member in column}
    for cause, effect in sorted(digraph.edges):
        slots = [(cause, effect, layer) for layer in range(layer_of[cause] + 1, layer_of[effect])]
        chain: Column = [cause, *slots, effect]
        for left, right in pairwise(chain):
            after[left].append(right)
            before[right].append(left)
    return before, after


def _order(digraph: nx.DiGraph[str], columns: list[Column]) -> list[Column]:
    """Order the members of columns so that few edges cross: each near the mean of what it is joined to."""
    before, after = _neighbours(digraph, columns)
    best, fewest = columns, _crossings(columns, after)
    for sweep in range(SWEEPS):
        columns = _sweep(columns, after if sweep % 2 else before, backwards=bool(sweep % 2))
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _sweep(columns: Sequence[Column], joined: Mapping[Member, Column], *, backwards: bool) -> list[Column]:
    rank = {m: (k + 0.5) / len(column) for column in columns for k, m in enumerate(column)}
    ordered = [list(column) for column in columns]
    for column in reversed(ordered) if backwards else ordered:
        means = {m: sum(rank[n] for n in joined[m]) / len(joined[m]) if joined[m] else rank[m] for m in column}
        column.sort(key=means.__getitem__)
        rank |= {m: (k + 0.5) / len(column) for k, m in enumerate(column)}
    return ordered


def _crossings(columns: Sequence[Column], after: Mapping[Member, Column]) -> int:
    count = 0
    for left, right in pairwise(columns):
        rank = {member: k for k, member in enumerate(right)}
        above: list[int] = []  # where edges of the members above end, sorted
        for member in left:
            ends = [rank[n] for n in after[member]]
            count += sum(len(above) - bisect_right(above, end) for end in ends)
            for end in ends:
                insort(above, end)
    return count


def _heights(digraph: nx.DiGraph[str], sizes: Mapping[str, tuple[float, float]]) -> dict[Member, float]:
    degree = {node: max(digraph.in_degree(node), digraph.out_degree(node)) for node in digraph}
    return {node: max(sizes[node][1], PORT * (degree[node] + 1)) for node in digraph}


def _heights_down(
    digraph: nx.DiGraph[str], columns: Sequence[Column], heights: Mapping[Member, float]
) -> dict[Member, float]:
    """Return how far down the centre of each member lies: near what it is joined to, none on another."""
    before, after = _neighbours(digraph, columns)
    down = {m: y for c in columns for m, y in zip(c, _apart(c, [0.0] * len(c), heights), strict=True)}
    for joined, backwards in ((after, True), (before, False), (after, True), (before, False)):
        for column in reversed(columns) if backwards else columns:
            wished = [sum(down[n] for n in joined[m]) / len(joined[m]) if joined[m] else down[m] for m in column]
            down |= dict(zip(column, _apart(column, wished, heights), strict=True))
    top = min(y - heights.get(member, 0.0) / 2 for member, y in down.items())
    return {member: y - top + MARGIN for member, y in down.items()}


def _apart(column: Sequence[Member], wished: Sequence[float], heights: Mapping[Member, float]) -> list[float]:
    """Return the places nearest to those wished for (least squares) that keep order and gaps."""
    offsets = [0.0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + (heights.get(upper, 0.0) + heights.get(lower, 0.0)) / 2 + GAP)
    blocks: list[tuple[float, int]] = []  # means of members that move as one, and how many they are
    for wish, offset in zip(wished, offsets, strict=True):
        mean, count = wish - offset, 1
        while blocks and blocks[-1][0] >= mean:
            other, number = blocks.pop()
            mean, count = (mean * count + other * number) / (count + number), count + number
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _lefts(
    digraph: nx.DiGraph[str], layers: Mapping[str, int], down: Mapping[Member, float], widths: Sequence[float]
) -> list[float]:
    """Return the left side of each column: the steeper the edges before it, the farther from the last."""
    rises = [0.0] * len(widths)
    for cause, effect in digraph.edges:
        slots: Column = [(cause, effect, layer) for layer in range(layers[cause] + 1, layers[effect])]
        chain: Column = [cause, *slots, effect]
        for k, (a, b) in enumerate(pairwise(chain), layers[cause] + 1):
            rises[k] = max(rises[k], abs(down[b] - down[a]))
    lefts = [MARGIN]
    for width, rise in zip(widths, rises[1:], strict=False):
        lefts.append(lefts[-1] + width + min(MOST_WIDTH, max(LEAST_WIDTH, rise / STEEPEST)))
    return lefts


def _curves(
    digraph: nx.DiGraph[str],
    layers: Mapping[str, int],
    boxes: Mapping[str, Box],
    down: Mapping[Member, float],
    lefts: Sequence[float],
    widths: Sequence[float],
) -> dict[tuple[str, str], tuple[Cubic, ...]]:
    starts, ends = _ports(digraph, layers, boxes, down)
    curves: dict[tuple[str, str], tuple[Cubic, ...]] = {}
    for edge in digraph.edges:
        cause, effect = edge
        points = [(boxes[cause].right, starts[edge])]
        for layer in range(layers[cause] + 1, layers[effect]):
            height = down[cause, effect, layer]
            points += [(lefts[layer], height), (lefts[layer] + widths[layer], height)]
        points.append((boxes[effect].left, ends[edge]))
        curves[edge] = tuple(_level_curve(a, b) for a, b in pairwise(points))
    return curves


def _ports(
    digraph: nx.DiGraph[str], layers: Mapping[str, int], boxes: Mapping[str, Box], down: Mapping[Member, float]
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Return where edges leave and reach their nodes: side by side, in the order of what they are joined to."""
    starts: dict[tuple[str, str], float] = {}
    ends: dict[tuple[str, str], float] = {}
    for node, box in boxes.items():
        leaving = {edge: down[_next(edge, layers[node] + 1, layers)] for edge in digraph.out_edges(node)}
        reaching = {edge: down[_next(edge, layers[node] - 1, layers)] for edge in digraph.in_edges(node)}
        for ports, edges in ((starts, leaving), (ends, reaching)):
            step = box.height / (len(edges) + 1)
            for k, edge in enumerate(sorted(edges, key=edges.__getitem__), 1):
                ports[edge] = box.top + k * step
    return starts, ends


def _next(edge: tuple[str, str], layer: int, layers: Mapping[str, int]) -> Member:
    cause, effect = edge
    return cause if layer == layers[cause] else effect if layer == layers[effect] else (cause, effect, layer)


def _level_curve(start: Point, end: Point) -> Cubic:
    """Return a curve that leaves and arrives level, so that it stays between the two coordinates across."""
    middle = (start[0] + end[0]) / 2
    return start, (middle, start[1]), (middle, end[1]), end
