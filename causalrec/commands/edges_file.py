"""Reads edges that somebody proposes: a YAML list of `cause -> effect`, or a CSV of `from,to`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.data.regular_files import read_bytes
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.graph.proposed_edges import ProposedEdge

YAML_ENDINGS, CSV_ENDINGS = (".yaml", ".yml"), (".csv",)
HEADERS = (["from", "to"], ["cause", "effect"])


def read_edges(path: Path) -> list[ProposedEdge]:
    """Return the edges of a file in their order.

    Raises RequestError where it cannot be read, holds none, or holds what is no edge.
    """
    if path.suffix not in (*YAML_ENDINGS, *CSV_ENDINGS):
        raise RequestError(f"--edges {path}: the name must end in .yaml or .csv")
    if not path.is_file():
        raise RequestError(f"--edges {path}: there is no such file; write a line `from,to` for each edge into it")
    try:
        edges = _of_yaml(path) if path.suffix in YAML_ENDINGS else _of_csv(path)
    except UnicodeDecodeError as error:
        raise RequestError(f"--edges {path}: is no UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise RequestError(f"--edges {path}: cannot be read ({error.strerror}); mend that, or name another") from None
    if not edges:
        raise RequestError(f"--edges {path}: holds no edge; write a line `from,to` for each")
    return edges


def _of_yaml(path: Path) -> list[ProposedEdge]:
    import yaml

    from causalrec.config.yaml_reading import read_yaml

    try:
        content = read_yaml(path)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise RequestError(f"--edges {path}: line {line}: is no YAML; write `- cause -> effect`") from None
    if isinstance(content, dict):
        content = content.get("edges")
    if not isinstance(content, list):
        raise RequestError(f"--edges {path}: holds no list; write `- cause -> effect` for each edge")
    return [_edge(path, f"edge {number}", _sides(item)) for number, item in enumerate(content, 1)]


def _sides(item: object) -> list[str]:
    if isinstance(item, dict):
        return [str(item[name]) for name in ("from", "to") if name in item]
    return [side.strip() for side in item.split("->")] if isinstance(item, str) else []


def _of_csv(path: Path) -> list[ProposedEdge]:
    text = read_bytes(path).decode("utf-8-sig")
    edges = []
    for number, cells in enumerate(csv.reader(io.StringIO(text)), 1):
        sides = [cell.strip() for cell in cells]
        if not any(sides) or (number == 1 and [side.lower() for side in sides] in HEADERS):
            continue
        edges.append(_edge(path, f"line {number}", sides))
    return edges


def _edge(path: Path, where: str, sides: list[str]) -> ProposedEdge:
    from causalrec.graph.proposed_edges import ProposedEdge

    if len(sides) != 2 or not all(sides) or any(mark in side for side in sides for mark in ",*?"):
        shown = ",".join(sides) if sides else "it"
        raise RequestError(f"--edges {path}: {where}: {shown!r} is no edge; give one cause and one effect")
    return ProposedEdge(*sides)
