"""The picture of the trials: accuracy against measured latency, rung by rung."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.formatting import limit_ms, milliseconds, percent
from pipeline.report.pictures import svg
from pipeline.report.pictures.markers import star
from pipeline.report.pictures.svg import Frame, Panel
from pipeline.report.scale import spread

WIDE, NARROW = Frame(900, 400), Frame(370, 360)


@dataclass(frozen=True)
class Tried:
    """A network of the trials as it is drawn.

    Attributes:
        label: On hover, and beside the mark of the winner.
        latency_ms: Measured.
        rungs_percent: Accuracy after each rung it reached.
        final_percent: After its whole training, where it had one.
        css: `within` for the search space's, `benchmarked` for those off the shelf.
    """

    label: str
    latency_ms: float
    rungs_percent: Sequence[float]
    final_percent: float | None
    css: str
    is_winner: bool


def draw(frame: Frame, networks: Sequence[Tried], limit: float | None, label: str) -> Markup:
    """Draws the trials.

    Args:
        frame: Size of the picture.
        networks: Those that took part; at least one.
        limit: Milliseconds.
        label: The picture in words.
    """
    xs = [it.latency_ms for it in networks] + ([limit] if limit else [])
    ys = [value for it in networks for value in _values(it)]
    panel = Panel.inside(frame, spread(xs, floor=0.0), spread(ys), top=50)
    parts = [panel.axes("measured latency, ms", "accuracy on search-validation, %", title_gap=36)]
    if limit:
        x = panel.x(limit)
        words = f"limit {limit_ms(limit)}"
        parts.append(svg.line(x, panel.top - 2, x, panel.bottom, "limit"))
        parts.append(svg.text(x, panel.top - 6, words, "limit-label", "end"))
    for it in networks:
        parts += _network(panel, it)
    return svg.picture(frame, label, *parts)


def _values(network: Tried) -> list[float]:
    final = [] if network.final_percent is None else [network.final_percent]
    return [*network.rungs_percent, *final]


def _network(panel: Panel, network: Tried) -> Iterator[Markup]:
    values = _values(network)
    points = [panel.at(network.latency_ms, value) for value in values]
    if len(points) > 1:
        yield svg.polyline(points, "link")
    for place, (x, y) in enumerate(points):
        is_final = network.final_percent is not None and place == len(points) - 1
        when = "after its whole training" if is_final else f"after rung {place + 1}"
        tip = svg.tip(
            network.label, f"{percent(values[place])} {when}", milliseconds(network.latency_ms)
        )
        if network.is_winner and place == len(points) - 1:
            yield svg.diamond(x, y, 8, "winner", tip)
        elif is_final:
            yield star(x, y, "published", tip)
        elif network.css == "within":
            yield svg.diamond(x, y, 5.2, network.css, tip)
        else:
            yield svg.rect(x - 4, y - 4, 8, 8, network.css, tip)
