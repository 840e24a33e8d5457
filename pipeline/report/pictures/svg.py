"""Drawing: SVG elements, and panels with axes.

Pictures carry classes, not colours: the page's style sheet colours them, for light, dark and
print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from pipeline.report.scale import Scale

Attributes = Mapping[str, str | float | None]


@dataclass(frozen=True)
class Frame:
    """Size of a picture in user units, which are pixels at the width it is drawn for."""

    width: float
    height: float


HALF = Frame(420, 290)


def element(tag: str, attributes: Attributes, *children: str) -> Markup:
    """An element; its children are escaped unless they are `Markup`."""
    words = "".join(
        f' {name}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(map(escape, children))
    return Markup(f"<{tag}{words}>{inner}</{tag}>" if inner else f"<{tag}{words}/>")


def group(children: Iterable[str], css: str | None = None) -> Markup:
    """Elements as one group."""
    return element("g", {"class": css}, *children)


def picture(frame: Frame, label: str, *children: str) -> Markup:
    """A whole picture; assistive technology reads `label` in its stead."""
    return element(
        "svg",
        {
            "viewBox": f"0 0 {_plain(frame.width)} {_plain(frame.height)}",
            "role": "img",
            "aria-label": label,
            "class": "plot",
        },
        *children,
    )


def text(x: float, y: float, content: str, css: str, anchor: str = "start") -> Markup:
    """A line of text."""
    return element("text", {"x": x, "y": y, "class": css, "text-anchor": anchor}, content)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def rect(x: float, y: float, width: float, height: float, css: str, tip: str = "") -> Markup:
    """A rectangle; `tip` is shown on hover."""
    size = {"width": max(width, 0.0), "height": max(height, 0.0)}
    return element("rect", {"x": x, "y": y, **size, "class": css}, *_tip(tip))


def polyline(points: Sequence[tuple[float, float]], css: str) -> Markup:
    """A line through points."""
    return element("polyline", {"points": _points(points), "class": css})


def polygon(points: Sequence[tuple[float, float]], css: str, tip: str = "") -> Markup:
    """A filled shape; `tip` is shown on hover."""
    return element("polygon", {"points": _points(points), "class": css}, *_tip(tip))


def dots(points: Sequence[tuple[float, float]], css: str) -> Markup:
    """Many dots as one path: a few bytes each."""
    return _path((f"M{_plain(x)} {_plain(y)}h0" for x, y in points), css)


def crosses(points: Sequence[tuple[float, float]], css: str, size: float = 2.2) -> Markup:
    """Many small crosses as one path."""
    d = _plain(2 * size)
    return _path(
        (f"M{_plain(x - size)} {_plain(y - size)}l{d} {d}m0-{d}l-{d} {d}" for x, y in points),
        css,
    )


def disc(x: float, y: float, radius: float, css: str, tip: str = "") -> Markup:
    """A round mark."""
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": css}, *_tip(tip))


def diamond(x: float, y: float, radius: float, css: str, tip: str = "") -> Markup:
    """A mark that stands on its tip."""
    return polygon(((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)), css, tip)


def cross(x: float, y: float, radius: float, css: str, tip: str = "") -> Markup:
    """A mark for what is over a limit."""
    r, d = _plain(radius), _plain(2 * radius)
    path = f"M{_plain(x - radius)} {_plain(y - radius)}l{d} {d}m0-{d}l-{d} {d}"
    # A stroke is hard to hit; the clear disc around it is what a pointer meets.
    clear = element("circle", {"cx": x, "cy": y, "r": r, "class": "clear"}, *_tip(tip))
    return group((element("path", {"d": path, "class": css}), clear))


@dataclass(frozen=True)
class Panel:
    """A plot's area, with a scale each way.

    Attributes:
        left: Of the area, in user units; likewise `top`, `right`, `bottom`.
    """

    left: float
    top: float
    right: float
    bottom: float
    x: Scale
    y: Scale

    @classmethod
    def inside(
        cls,
        frame: Frame,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        left: float = 48,
        top: float = 30,
        right: float = 14,
        bottom: float = 44,
    ) -> Panel:
        """A panel that fills a frame but for its margins."""
        edge, floor = frame.width - right, frame.height - bottom
        scale_x = Scale(*x, start=left, end=edge)
        return cls(left, top, edge, floor, scale_x, Scale(*y, start=floor, end=top))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Position of a pair of values."""
        return self.x(x), self.y(y)

    def axes(
        self, x_title: str, y_title: str, *, whole_x: bool = False, title_gap: float = 14
    ) -> Markup:
        """Grid, tick labels and titles.

        Args:
            x_title: Under the horizontal axis, which has no labels where this is empty.
            y_title: Above the vertical axis, unrotated.
            whole_x: Whether only whole numbers are labelled.
            title_gap: From the area up to `y_title`.
        """
        parts = [self._horizontal(value) for value in self._labelled(self.y, 40)]
        ticks = self._labelled(self.x, 82) if x_title else []
        if whole_x:
            ticks = [(value, f"{value:.0f}") for value, _ in ticks if value == round(value)]
        parts += [self._vertical(value) for value in ticks]
        parts.append(line(self.left, self.bottom, self.right, self.bottom, "axis"))
        middle = (self.left + self.right) / 2
        parts.append(text(middle, self.bottom + 37, x_title, "axis-title", "middle"))
        parts.append(text(0, self.top - title_gap, y_title, "axis-title"))
        return group(parts)

    def _labelled(self, scale: Scale, pixels: float) -> list[tuple[float, str]]:
        ticks = scale.ticks(max(2, round(abs(scale.end - scale.start) / pixels)))
        step = min((b - a for a, b in pairwise(ticks)), default=1.0)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(tick, f"{tick:.{decimals}f}".replace("-", "−")) for tick in ticks]

    def _horizontal(self, tick: tuple[float, str]) -> Markup:
        y = self.y(tick[0])
        label = text(self.left - 7, y + 4, tick[1], "tick", "end")
        return group((line(self.left, y, self.right, y, "grid"), label))

    def _vertical(self, tick: tuple[float, str]) -> Markup:
        x = self.x(tick[0])
        mark = line(x, self.bottom, x, self.bottom + 5, "axis")
        return group((mark, text(x, self.bottom + 18, tick[1], "tick", "middle")))


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_plain(x)},{_plain(y)}" for x, y in points)


def _path(steps: Iterable[str], css: str) -> Markup:
    return element("path", {"d": "".join(steps), "class": css})


def _tip(tip: str) -> tuple[Markup, ...]:
    return (element("title", {}, tip),) if tip else ()


def tip(*lines: str) -> str:
    """Lines of a hover text."""
    return "\n".join(line for line in lines if line)
