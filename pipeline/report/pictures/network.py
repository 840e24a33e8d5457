"""A network drawn block by block, like Figures 1 and 2 of the supplement of *Cream of the Crop*.

Tiles in the order of the network, "MB6 5×5" on each, coloured by kernel and expansion, an arc over
those whose input is added to their output, a bar under each for its MACs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from pipeline.report.blocks import LegendItem
from pipeline.report.formatting import count
from pipeline.report.pictures import svg
from pipeline.report.pictures.svg import Frame
from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_macs
from pipeline.space.operator_spec import Choice, OperatorSpec

_WIDE, _PHONE = 900.0, 370.0
_GAP, _STAGE_GAP = 3.0, 16.0
_MIDDLE, _FLOOR = 96.0, 312.0  # of the tiles; of the bars


@dataclass(frozen=True)
class Tile:
    """One block as drawn.

    Attributes:
        stage: Name of the stage it belongs to.
        label: In the paper's notation.
        css: Colour class, by operator.
        spec: The operator.
        macs: For one image.
        place: Module path.
    """

    stage: str
    label: str
    css: str
    spec: OperatorSpec
    macs: int
    place: str

    @property
    def tip(self) -> str:
        """What is shown on hover."""
        shape = (
            f"{self.spec.in_channels} → {self.spec.out_channels} channels,"
            f" {self.spec.resolution}² → {self.spec.out_resolution}²"
        )
        skip = "with a skip" if self.spec.has_residual else ""
        return svg.tip(f"{self.label} ({self.place})", shape, f"{count(self.macs)} MACs", skip)


def tiles(architecture: Architecture) -> list[Tile]:
    """A network's blocks in order, stem and tail included."""
    found = []
    for placed in architecture.operators():
        label, css = operator_label(placed.spec, placed.choice), _css(placed.choice)
        stage = _stage_name(placed.place)
        macs = operator_macs(placed.spec)
        found.append(Tile(stage, label, css, placed.spec, macs, placed.place))
    return found


def operator_label(spec: OperatorSpec, choice: Choice | None) -> str:
    """An operator in the paper's notation."""
    if choice:
        return choice.label
    if spec.kind == "tail":
        return "Conv 1×1 · pool · FC"
    return f"{'DS' if spec.kind == 'ds' else 'Conv'} {spec.kernel}×{spec.kernel}"


def draw(architecture: Architecture) -> tuple[Markup, Markup]:
    """The network as one strip for a wide page, and stage under stage for a phone."""
    blocks = tiles(architecture)
    kinds = ", ".join(
        f"{stage}: {', '.join(map(_words, members))}" for stage, members in _by_stage(blocks)
    )
    label = f"The network from input to output. {kinds}."
    return _strip(architecture, blocks, label), _stack(architecture, blocks, label)


def _words(tile: Tile) -> str:
    return f"{tile.label} with a skip" if tile.spec.has_residual else tile.label


def legend(architecture: Architecture) -> tuple[LegendItem, ...]:
    """The colours that occur."""
    named: dict[str, dict[str, None]] = {}
    for tile in tiles(architecture):
        name = "stem, depthwise-separable block, tail" if tile.css == "t-fixed" else tile.label
        named.setdefault(tile.css, {})[name] = None
    colours = [
        LegendItem(f"swatch {css}", ", ".join(sorted(labels)))
        for css, labels in sorted(named.items())
    ]
    if any(tile.spec.has_residual for tile in tiles(architecture)):
        colours.append(LegendItem("skip-arc", "skip: input added to output", _skip(1, 12, 20, 10)))
    return tuple(colours)


def _skip(left: float, top: float, width: float, height: float) -> Markup:
    """An arc over a tile, from where its input enters to where that is added to its output."""
    start, end = left + 3, left + width - 3
    path = f"M{start:.1f} {top:.1f}C{start:.1f} {top - height:.1f} {end:.1f} {top - height:.1f}"
    arc = svg.element("path", {"d": f"{path} {end:.1f} {top:.1f}", "class": "skip-arc"})
    head = [(end - 3, top - 4), (end + 3, top - 4), (end, top)]
    return svg.group((arc, svg.polygon(head, "skip-arc-end")))


def _css(choice: Choice | None) -> str:
    if choice is None:
        return "t-fixed"
    if choice.kind != "ir":
        return f"t-{choice.kind}"
    kernel = min(max(choice.kernel, 3), 7)
    return f"t-k{kernel}-{'light' if choice.expansion <= 4 else 'full'}"


def _stage_name(place: str) -> str:
    if place == "conv_stem":
        return "Stem"
    if place == "tail":
        return "Tail"
    number = int(place.split(".")[1])
    return f"Stage {number}" if number else "DS"


def _by_stage(blocks: Sequence[Tile]) -> list[tuple[str, list[Tile]]]:
    return [(stage, list(members)) for stage, members in groupby(blocks, lambda tile: tile.stage)]


def _strip(architecture: Architecture, blocks: Sequence[Tile], label: str) -> Markup:
    stages = _by_stage(blocks)
    room = _WIDE - _STAGE_GAP * (len(stages) - 1) - _GAP * (len(blocks) - len(stages))
    width = min(room / len(blocks), 52.0)
    parts: list[Markup] = []
    used = width * len(blocks) + _WIDE - room
    x = (_WIDE - used) / 2
    for number, (stage, members) in enumerate(stages):
        parts += _stage_heading(stage, members, x, width)
        if number:
            parts.append(_arrow(x - _STAGE_GAP + 2, _MIDDLE, _STAGE_GAP - 4))
        for tile in members:
            parts.append(_tall_tile(tile, x, width))
            parts.append(_macs_bar(tile, x, width, max(t.macs for t in blocks)))
            x += width + _GAP
        x += _STAGE_GAP - _GAP
    left = (_WIDE - used) / 2
    parts.append(svg.text(left, 240, "MACs of each block", "axis-title"))
    parts.append(svg.line(left, _FLOOR, left + used, _FLOOR, "axis"))
    return svg.picture(
        Frame(_WIDE, _FLOOR + 24), f"{label} Input {architecture.resolution}².", *parts
    )


def _stage_heading(stage: str, members: Sequence[Tile], x: float, width: float) -> Iterator[Markup]:
    middle = x + (width * len(members) + _GAP * (len(members) - 1)) / 2
    last = members[-1].spec
    yield svg.text(middle, 12, stage, "stage-name", "middle")
    yield svg.line(x, 182, x + 2 * (middle - x), 182, "bracket")
    channels, side = _output(last)
    yield svg.text(middle, 198, channels, "stage-fact", "middle")
    yield svg.text(middle, 213, side, "stage-fact", "middle")


def _output(spec: OperatorSpec) -> tuple[str, str]:
    if spec.kind == "tail":
        return f"{spec.num_classes}", "logits"
    return f"{spec.out_channels} ch", f"{spec.out_resolution}²"


def _arrow(x: float, y: float, length: float) -> Markup:
    head = [(x + length - 4, y - 3.5), (x + length, y), (x + length - 4, y + 3.5)]
    return svg.group((svg.line(x, y, x + length, y, "arrow"), svg.polyline(head, "arrow")))


def _tall_tile(tile: Tile, x: float, width: float) -> Markup:
    """Larger kernels are taller, as in the figures of the field."""
    by_kernel = {1: 84.0, 3: 98.0, 5: 114.0}
    height = 150.0 if tile.spec.kind == "tail" else by_kernel.get(tile.spec.kernel, 130.0)
    middle = x + width / 2
    content = svg.element(
        "text",
        {
            "x": middle,
            "y": _MIDDLE,
            "class": "tile-label",
            "text-anchor": "middle",
            "dominant-baseline": "central",
            "transform": f"rotate(-90 {middle:.1f} {_MIDDLE})",
        },
        tile.label,
    )
    top = _MIDDLE - height / 2
    box = svg.rect(x, top, width, height, "tile", tile.tip)
    skip = (_skip(x, top - 1, width, 13),) if tile.spec.has_residual else ()
    return svg.group((svg.group((box, content), tile.css), *skip))


def _macs_bar(tile: Tile, x: float, width: float, most: int) -> Markup:
    height = 58.0 * tile.macs / most
    bar = svg.rect(x, _FLOOR - height, width, height, "bar-main", tile.tip)
    if width < 26:
        return bar
    return svg.group(
        (bar, svg.text(x + width / 2, _FLOOR + 14, _short(tile.macs), "tick", "middle"))
    )


def _short(macs: int) -> str:
    return f"{macs / 1e6:.1f}M" if macs >= 1e5 else f"{macs / 1e3:.0f}k"


def _stack(architecture: Architecture, blocks: Sequence[Tile], label: str) -> Markup:
    most = max(tile.macs for tile in blocks)
    width, height = 58.0, 38.0
    parts = []
    y = 0.0
    for stage, members in _by_stage(blocks):
        channels, side = _output(members[-1].spec)
        parts.append(svg.text(0, y + 13, stage, "stage-name"))
        parts.append(svg.text(_PHONE, y + 13, f"{channels} · {side}", "stage-fact", "end"))
        for index, tile in enumerate(members):
            row, column = divmod(index, 6)
            left, top = column * (width + 4), y + 27 + row * (height + 18)
            parts.append(_small_tile(tile, left, top, width, height))
            parts.append(svg.rect(left, top + height + 2, width * tile.macs / most, 3, "bar-main"))
        y += 27 + (1 + (len(members) - 1) // 6) * (height + 18)
    return svg.picture(Frame(_PHONE, y), f"{label} Input {architecture.resolution}².", *parts)


def _small_tile(tile: Tile, left: float, top: float, width: float, height: float) -> Markup:
    """A tile with its name in two lines: operator, kernel."""
    across = 2.2 * width if tile.spec.kind == "tail" else width
    operator, kernel = tile.label.split(" · " if tile.spec.kind == "tail" else " ", 1)
    middle = left + across / 2
    lines = (
        svg.text(middle, top + 16, operator, "tile-label", "middle"),
        svg.text(middle, top + 31, kernel, "tile-label", "middle"),
    )
    box = svg.rect(left, top, across, height, "tile", tile.tip)
    skip = (_skip(left, top - 1, across, 10),) if tile.spec.has_residual else ()
    return svg.group((svg.group((box, *lines), tile.css), *skip))
