"""The chosen network, drawn and as a table."""

from __future__ import annotations

from pipeline.report.blocks import Block, Cell, Code, Figure, Section, Table, Text, columns
from pipeline.report.formatting import composition, count, integer, notation, percent, plural
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures.network import Tile, draw, legend, tiles
from pipeline.report.sections.targets import block_times
from pipeline.report.sections.waterfall import waterfall_blocks
from pipeline.report.summary import Summary
from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_params


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """The chosen network block by block."""
    architecture = summary.architecture
    blocks: tuple[Block, ...]
    if architecture is None:
        blocks = (missing(inputs, "search"),)
    else:
        wide, narrow = draw(architecture)
        times = block_times(inputs, summary)
        blocks = (
            Text(_words(architecture)),
            Figure(
                title="Block by block",
                wide=wide,
                narrow=narrow,
                table=_table(architecture),
                legend=legend(architecture),
                caption=(
                    "MBa k×k is an inverted bottleneck with expansion a and a k×k depthwise"
                    " convolution, DS a depthwise-separable block; the names are the paper's. Under"
                    " each stage: channels and side of its output. Bars: multiply-accumulates."
                ),
                full=True,
            ),
            *waterfall_blocks(inputs, summary),
            *([times] if times else []),
            Code("This network in one line, as --arch takes it", architecture.short),
        )
    return Section("model", "The chosen network", "Network", blocks)


def _words(architecture: Architecture) -> str:
    return (
        f"{plural(architecture.depth, 'chosen block')} ({composition(architecture)}) of space"
        f" {architecture.space}, for {architecture.resolution} × {architecture.resolution} pixels"
        f" and {plural(architecture.num_classes, 'class', 'classes')}:"
        f" {notation(architecture)} as (expansion, kernel)."
    )


def _table(architecture: Architecture) -> Table:
    blocks = tiles(architecture)
    macs = sum(tile.macs for tile in blocks)
    params = sum(operator_params(tile.spec) for tile in blocks)
    titles = columns("Place", "Operator", "#Channels", "#Side, pixels", "#Stride", "#SE width",
                     "Residual", "#MACs", "#Share", "#Parameters")  # fmt: skip
    totals = (
        Cell("all"), Cell(plural(len(blocks), "block")), Cell(""), Cell(""), Cell(""), Cell(""),
        Cell(""), Cell(count(macs), macs), Cell(percent(100.0)), Cell(count(params), params),
    )  # fmt: skip
    rows = tuple(_row(tile, macs) for tile in blocks)
    return Table("The chosen network block by block, for one image.", titles, rows, totals=totals)


def _row(tile: Tile, all_macs: int) -> tuple[Cell, ...]:
    spec = tile.spec
    params = operator_params(spec)
    out = spec.num_classes if spec.kind == "tail" else spec.out_channels
    side = "1" if spec.kind == "tail" else str(spec.out_resolution)
    return (
        Cell(tile.place, code=True),
        Cell(tile.label),
        Cell(f"{spec.in_channels} → {out}", out),
        Cell(f"{spec.resolution} → {side}", spec.resolution),
        Cell(str(spec.stride), spec.stride),
        Cell(str(spec.se_channels) if spec.se_channels else "none", spec.se_channels),
        Cell("yes" if spec.has_residual else "no"),
        Cell(count(tile.macs), tile.macs),
        Cell(percent(100 * tile.macs / all_macs), tile.macs),
        Cell(integer(params), params),
    )
