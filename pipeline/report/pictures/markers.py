"""Marks of a cloud of networks: a shape and a colour for each input size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from pipeline.report.pictures import svg
from pipeline.space.search_space import RESOLUTIONS

_Step = Callable[[float, float], str]


def _at(x: float, y: float, rest: str) -> str:
    return f"M{x:.1f} {y:.1f}{rest}"


# One a size there can be. No two have the same shape: the colours are only a second sign.
_SHAPES: tuple[_Step, ...] = (
    lambda x, y: _at(x, y, "h0"),
    lambda x, y: _at(x, y - 3.6, "l3.6 6.2h-7.2z"),
    lambda x, y: _at(x - 2.6, y - 2.6, "h5.2v5.2h-5.2z"),
    lambda x, y: _at(x, y + 3.6, "l3.6-6.2h-7.2z"),
    lambda x, y: _at(x - 3.4, y, "h6.8m-3.4-3.4v6.8"),
    lambda x, y: _at(x, y - 3.6, "l3.6 6.2h-7.2z"),
    lambda x, y: _at(x - 2.6, y - 2.6, "h5.2v5.2h-5.2z"),
    lambda x, y: _at(x, y + 3.6, "l3.6-6.2h-7.2z"),
)
SIZE_CLASSES = tuple(f"size-{place}" for place in range(len(RESOLUTIONS)))

MIDDLE = (11, 7)
"""Of the field of 22 by 14 that a mark of a legend is drawn in."""


def size_marks(points: Sequence[tuple[float, float]], place: int) -> Markup:
    """Networks of one input size as one path.

    Args:
        points: Where they are in the picture.
        place: Of the size among those that were searched, smallest first.
    """
    css, shape = SIZE_CLASSES[place], _SHAPES[place]
    return svg.element("path", {"d": "".join(shape(x, y) for x, y in points), "class": css})


def size_key(place: int) -> Markup:
    """The same in a legend."""
    return size_marks([(6, 7), (16, 7)], place)


def star(x: float, y: float, css: str, tip: str = "") -> Markup:
    """A published model."""
    corners = []
    for number in range(10):
        radius, angle = 2.8 if number % 2 else 6.5, math.pi * number / 5
        corners.append((x + radius * math.sin(angle), y - radius * math.cos(angle)))
    return svg.polygon(corners, css, tip)
