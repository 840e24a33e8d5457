"""The files of the exported model, side by side."""

from __future__ import annotations

from pipeline.records.export import ExportedFile, ExportedModel
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.formatting import integer, percent


def files_table(model: ExportedModel) -> Table:
    """What each file is, and how accurate it is beside fp32."""
    titles = columns("File", "Precision", "~What it is", "#Size", "#Top-1 on search-validation",
                     "#Top-1 on test", "#Same class as fp32")  # fmt: skip
    images = next((file.images for file in model.files if file.images), None)
    words = "The files of the exported model"
    if images is not None:
        words += (
            f", int8 by the ONNX standard's arithmetic, which no CPU's kernels have a part in: on "
            f"{integer(images)} images of search-validation, which decide whether a file is "
            "accurate enough, and on test, which decides nothing"
        )
    if model.calibration_images is not None:
        words += (
            f". int8 takes the ranges of its activations from "
            f"{integer(model.calibration_images)} training images"
        )
    return Table(f"{words}.", titles, tuple(map(_row, model.files)))


def _row(file: ExportedFile) -> tuple[Cell, ...]:
    return (
        Cell(file.file, code=True),
        Cell(file.precision),
        Cell(file.title),
        Cell(f"{file.size_bytes / 1e6:.2f} MB", file.size_bytes),
        _percent(file.accuracy_percent),
        _percent(file.test_accuracy_percent),
        _percent(None if file.agreement is None else 100 * file.agreement),
    )


def _percent(value: float | None) -> Cell:
    return Cell("not measured") if value is None else Cell(percent(value, 2), value)
