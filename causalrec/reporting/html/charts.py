"""Charts as inline SVG, each with a title and a description; what a colour says, a shape or a word says too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from causalrec.graph.layered_layout import text_width
from causalrec.reporting.html.markup import Child, Html, compact, tag

Point = tuple[float, float]
LEFT = 40  # room for the labels of the upright axis


@dataclass(frozen=True)
class Line:
    """A line of a panel: its points, its class in the style sheet, and a point to mark."""

    points: Sequence[Point]
    kind: str
    marked: Point | None = None


@dataclass(frozen=True)
class AxisScale:
    """Maps a number in [low, high] to a coordinate in [start, end]; numbers outside go to the nearer end.

    Attributes:
        low: least number of the axis, in the unit of what is drawn.
        high: greatest number of the axis; where it is not above `low`, every number goes to the middle.
        start: coordinate of `low`, in units of the drawing.
        end: coordinate of `high`; less than `start` on an upright axis.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.low < self.high < math.inf else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)


def picture(
    width: float,
    height: float,
    title: str,
    description: str,
    *children: Child,
    class_: str = "",
    style: str | None = None,
) -> Html:
    """Wrap shapes as an SVG element with a title and a description.

    Args:
        width: width of the drawing, in its units.
        height: height of the drawing, in its units.
        title: its name, for a reader of the screen.
        description: what it shows, in words.
        *children: the shapes, in the order they are drawn.
        class_: class in the style sheet, besides `chart`.
        style: CSS of this element alone; None for none.
    """
    labels = (tag("title", title), tag("desc", description))
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *labels, *children, viewBox=box, role="img", class_=f"chart {class_}".strip(), style=style)


def path_data(points: Iterable[Point]) -> str:
    """Write a line through points as a path's data.

    >>> path_data([(1.0, 2.5), (3.0, 4.0)])
    'M1 2.5 3 4'
    """
    return "M" + " ".join(f"{x:g} {y:g}" for x, y in points)


def text(x: float, y: float, words: str, anchor: str = "start") -> Html:
    """Write words on a drawing.

    Args:
        x: coordinate from the left, in units of the drawing.
        y: coordinate of the base line, from the top.
        words: what is written.
        anchor: SVG `text-anchor`, the point of the words that lies at `x`: "start", "middle" or "end".
    """
    return tag("text", words, x=f"{x:g}", y=f"{y:g}", text_anchor=None if anchor == "start" else anchor)


def interval(mean: float, low: float, high: float, span: tuple[float, float]) -> Html:
    """Draw an interval as a bar of a table's cell, on the scale of its column; the numbers stand next to it.

    Args:
        mean: where the mark is; outside the scale it is an arrow at that end.
        low: lower end of the interval; without a finite one there is no bar.
        high: upper end of the interval, as `low`.
        span: least and greatest number of the scale, in the unit of the column.
    """
    x = AxisScale(*span, 1, 99)
    shapes = [tag("path", d="M0 5H100", class_="iv-axis")]
    if math.isfinite(low) and math.isfinite(high):
        shapes.append(tag("path", d=f"M{x(low):g} 5H{x(high):g}", class_="iv-line"))
    arrow = "M5 1L1 5L5 9" if mean < span[0] else "M95 1L99 5L95 9" if mean > span[1] else None
    shapes.append(tag("path", d=arrow or f"M{x(mean):g} 1V9", class_="iv-mark"))
    return tag("svg", *shapes, viewBox="0 0 100 10", class_="iv", preserveAspectRatio="none", aria_hidden="true")


def panel(title: str, description: str, lines: Sequence[Line], *, square: bool = False) -> Html | None:
    """Draw lines on one pair of axes, the ends of each axis labelled; None without a point.

    Args:
        title: name of the panel; written on it unless it is square.
        description: what it shows, in words.
        lines: the lines; those of a class are drawn as one path. A line of one point is a dot.
        square: both axes have one scale, with a diagonal.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return None
    width, height, top = (200.0, 200.0, 8.0) if square else (260.0, 130.0, 20.0)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    if square:
        xs = ys = [*xs, *ys, *((0.0, 1.0) if min(xs + ys) >= 0 and max(xs + ys) <= 1 else ())]
    x, y = AxisScale(min(xs), max(xs), LEFT, width - 8), AxisScale(min(ys), max(ys), height - 18, top)
    shapes: list[Child] = [tag("path", d=f"M{LEFT} {top:g}V{height - 18:g}H{width - 8:g}", class_="axis")]
    if square:
        shapes.append(tag("path", d=f"M{LEFT} {height - 18:g}L{width - 8:g} 8", class_="guide"))
    else:
        shapes.append(text(width - 8, 11, title, "end"))
    for kind in dict.fromkeys(line.kind for line in lines):
        alike = [line for line in lines if line.kind == kind]
        paths = "".join(path_data((x(a), y(b)) for a, b in line.points) for line in alike if len(line.points) > 1)
        shapes.append(tag("path", d=paths, class_=kind) if paths else None)
        marks = [line.marked or (line.points[0] if len(line.points) == 1 else None) for line in alike]
        shapes += [tag("circle", cx=x(m[0]), cy=y(m[1]), r=2.4, class_=f"{kind} dot") for m in marks if m]
    shapes += [text(LEFT - 4, top + 6, f"{max(ys):.3g}", "end"), text(LEFT - 4, height - 18, f"{min(ys):.3g}", "end")]
    shapes += [text(LEFT, height - 5, compact(min(xs))), text(width - 8, height - 5, compact(max(xs)), "end")]
    return picture(width, height, title, description, *shapes)


def strip(quantiles: Sequence[float], clips: Sequence[float], span: tuple[float, float]) -> Html:
    """Draw propensity quantiles (0, 1, 10, 50, 90, 100 %) on a logarithmic axis, and where they are clipped."""
    least, first, tenth, middle, ninetieth, most = (max(q, span[0]) for q in quantiles)
    x = AxisScale(math.log10(span[0]), math.log10(span[1]), 18, 282)

    def at(value: float) -> float:
        return x(math.log10(value))

    decades = range(math.ceil(math.log10(span[0]) - 1e-9), math.floor(math.log10(span[1]) + 1e-9) + 1)
    shapes: list[Child] = [tag("path", d="M18 30H282", class_="axis")]
    for power in decades:
        shapes += [
            tag("path", d=f"M{x(power):g} 30v4", class_="axis"),
            text(x(power), 45, f"{10.0**power:g}", "middle"),
        ]
    shapes += [
        tag("path", d=f"M{at(least):g} 18H{at(most):g}", class_="whisker"),
        tag("path", d=f"M{at(first):g} 14v8M{at(most):g} 14v8M{at(least):g} 15v6", class_="whisker"),
        tag("rect", x=at(tenth), y=11, width=max(1.0, at(ninetieth) - at(tenth)), height=14, class_="bar"),
        tag("path", d=f"M{at(middle):g} 9V27", class_="iv-mark"),
    ]
    for clip in clips:
        if span[0] <= clip <= span[1]:
            shapes += [tag("path", d=f"M{at(clip):g} 2V30", class_="guide"), text(at(clip) + 3, 9, f"clip {clip:.2g}")]
    quantile_text = ", ".join(
        f"{share} % {compact(q)}" for share, q in zip((0, 1, 10, 50, 90, 100), quantiles, strict=True)
    )
    return picture(300, 48, "Propensity of the logged rows", f"Quantiles: {quantile_text}.", *shapes)


def dumbbells(rows: Sequence[tuple[str, float, float]], limit: float) -> Html:
    """Draw standardised mean differences before (ring) and after weighting (dot); beyond `limit` a column is off."""
    reach = max([limit * 1.5, *(abs(value) for _, *pair in rows for value in pair)])
    left = max(text_width(name, 11) for name, _, _ in rows) + 8
    x, height = AxisScale(-reach, reach, left + 6, left + 172), 18 * len(rows) + 20
    shapes: list[Child] = [
        tag("rect", x=x(-limit), y=0, width=x(limit) - x(-limit), height=height - 18, class_="safe"),
        tag("path", d=f"M{x(0):g} 0V{height - 18}", class_="axis"),
        text(x(-limit), height - 5, f"−{limit:g}", "middle"),
        text(x(limit), height - 5, f"{limit:g}", "middle"),
    ]
    for k, (name, before, after) in enumerate(rows):
        y = 18 * k + 9
        shapes += [
            text(left - 4, y + 4, name, "end"),
            tag("path", d=f"M{x(before):g} {y}H{x(after):g}", class_="whisker"),
            tag("circle", cx=x(before), cy=y, r=3.2, class_="ring"),
            tag("circle", cx=x(after), cy=y, r=3.2, class_="main dot"),
        ]
    balance_text = "; ".join(
        f"{name}: {compact(before)} before, {compact(after)} after" for name, before, after in rows
    )
    return picture(left + 180, height, "Balance of the columns furthest off", f"{balance_text}.", *shapes)
