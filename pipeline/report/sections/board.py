"""The prioritized paths that taught the others, as training left them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.records.train import PrioritizedPath, TrainRecord
from pipeline.report.blocks import Block, Cell, Table, columns
from pipeline.report.cells import number_cell
from pipeline.report.formatting import count, milliseconds, notation, percent

_CAPTION = (
    "The prioritized board at the end of training. Accuracy is that on the last training batches "
    "each path was seen on, with the statistics of the batch: it ranks paths, and promises nothing."
)


def board_blocks(train: TrainRecord) -> Iterator[Block]:
    """A table of the board for each input size; none where the method has no board."""
    for resolution in train.resolutions:
        paths = [path for path in train.board if path.architecture.resolution == resolution]
        if paths:
            yield _table(paths, resolution if len(train.resolutions) > 1 else None)


def _table(paths: Sequence[PrioritizedPath], resolution: int | None) -> Table:
    caption = _CAPTION if resolution is None else f"At {resolution} pixels. {_CAPTION}"
    rows = tuple(
        (
            Cell(str(place), place),
            Cell(percent(path.accuracy_percent), path.accuracy_percent),
            number_cell(path.latency_ms, milliseconds),
            Cell(count(path.macs), path.macs),
            Cell(notation(path.architecture), code=True),
        )
        for place, path in enumerate(paths, start=1)
    )
    return Table(
        caption, columns("#Place", "#Accuracy", "#Predicted latency", "#MACs", "Network"), rows
    )
