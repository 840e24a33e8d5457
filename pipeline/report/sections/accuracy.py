"""Accuracy by split, by class, and over training."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from pipeline.records.dataset_remarks import remarks
from pipeline.records.export import ExportedModel
from pipeline.records.retrain import RetrainRecord
from pipeline.records.train import EpochRecord, TrainRecord
from pipeline.report.blocks import (
    Block,
    Cell,
    Figure,
    Row,
    Section,
    Table,
    Text,
    columns,
    pairs_table,
)
from pipeline.report.formatting import count, duration, integer, percent, plural, plus_minus
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures.bars import Bar, bar_chart
from pipeline.report.pictures.curves import training_curves
from pipeline.report.sampling import sampling_std_percent
from pipeline.report.sections.board import board_blocks
from pipeline.report.sections.data import remark_blocks
from pipeline.report.sections.exported import files_table
from pipeline.report.summary import Summary

_MOST_BARS = 24


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """What the chosen network gets right."""
    blocks: list[Block] = []
    if record := inputs.retrain or inputs.train:
        blocks += remark_blocks(remarks(record.dataset))
    if inputs.retrain is None:
        blocks.append(missing(inputs, "retrain"))
    if inputs.retrain or summary.shared_weights_accuracy_percent is not None:
        blocks.append(_splits(inputs, summary))
    blocks += [files_table(model) for model in _exported(inputs)]
    if inputs.retrain and summary.test_accuracy_percent is None:
        text = "What was retrained is not the chosen network: records of different runs are mixed."
        blocks.append(Text(text, "warn"))
    if inputs.train is None:
        blocks.append(missing(inputs, "train"))
    else:
        blocks += remark_blocks(inputs.train.remarks)
    shown = tuple(_figures(inputs))
    if shown:
        blocks.append(Row((*shown, _training_facts(inputs))))
    if inputs.train:
        blocks += board_blocks(inputs.train)
    return Section("accuracy", "Accuracy", "Accuracy", tuple(blocks))


def _exported(inputs: ReportInputs) -> Iterator[ExportedModel]:
    """Records of earlier versions name no files."""
    yield from (model for model in (inputs.export.models if inputs.export else ()) if model.files)


def _splits(inputs: ReportInputs, summary: Summary) -> Table:
    rows = []
    record = inputs.retrain or inputs.train
    dataset = record.dataset if record else None
    held_out = dataset.num_search_validation if dataset else None
    scored_on = inputs.search.num_images if inputs.search else None
    if summary.shared_weights_accuracy_percent is not None:
        rows.append(_split("search-validation", "shared weights of the hypernetwork",
                           summary.shared_weights_accuracy_percent, scored_on,
                           "seen beside the log-loss, which ranks candidates"
                           if inputs.search and inputs.search.scale
                           else "ranks candidates in the search"))  # fmt: skip
    if inputs.retrain and dataset:
        how = f"retrained from {_start(inputs.retrain)}"
        rows.append(_split("search-validation", how, inputs.retrain.accuracy_percent, held_out,
                           "decides between settings"))  # fmt: skip
        rows.append(_split("test", how, inputs.retrain.test_accuracy_percent, dataset.num_test,
                           "reported only, decides nothing"))  # fmt: skip
    titles = columns("Images", "#Top-1", "~Weights", "~What it is for", "#Number of images")
    return Table(
        "Top-1 accuracy of the chosen network; ± is the standard error for that many images.",
        titles,
        tuple(rows),
    )


def _split(
    images: str, weights: str, accuracy: float, number: int | None, use: str
) -> tuple[Cell, ...]:
    std = sampling_std_percent(accuracy, number) if number else None
    shown = plus_minus(accuracy, std, "%") if std else percent(accuracy)
    counted = "not recorded" if number is None else integer(number)
    return (Cell(images), Cell(shown, accuracy), Cell(weights), Cell(use), Cell(counted, number))


def _by_class(record: RetrainRecord) -> Figure:
    ordered = sorted(record.test_accuracy_by_class_percent.items(), key=lambda item: item[1])
    shown = ordered[:_MOST_BARS]
    every = (
        f"the {len(shown)} weakest of {len(ordered)}"
        if len(shown) < len(ordered)
        else "weakest first"
    )
    table = Table(
        "Test accuracy of each class.",
        columns("Class", "#Top-1"),
        tuple((Cell(name), Cell(percent(value), value)) for name, value in ordered),
    )
    return bar_chart(
        "Test accuracy by class",
        [Bar(name, value, percent(value)) for name, value in shown],
        unit="top-1 on test, %",
        table=table,
        caption=f"Classes, {every}. The bars' ground is 100 %.",
        largest=100.0,
    )


def _figures(inputs: ReportInputs) -> Iterator[Figure]:
    if inputs.retrain and inputs.retrain.test_accuracy_by_class_percent:
        yield _by_class(inputs.retrain)
    if inputs.retrain and inputs.retrain.epochs:
        yield training_curves("Retraining of the chosen network", inputs.retrain.epochs)
    if inputs.train and inputs.train.epochs:
        yield training_curves("Training of the hypernetwork", inputs.train.epochs)


def _input_sizes(inputs: ReportInputs, train: TrainRecord) -> str:
    words = [f"{', '.join(map(str, train.resolutions))} pixels"]
    sizes = inputs.profile.sizes if inputs.profile else None
    if sizes and len(sizes.resolutions) > 1:
        words.append(sizes.origin)
    words += [f"{size} left out, as {why}" for size, why in train.left_out.items()]
    return "; ".join(words)


def _training_facts(inputs: ReportInputs) -> Table:
    rows: list[tuple[str, str]] = []
    train, retrain = inputs.train, inputs.retrain
    if train:
        rows += [
            ("hypernetwork: method", train.method),
            ("… space", f"{train.space}, up to {plural(train.max_depth, 'block')} a stage"),
            ("… parameters", count(train.params)),
            ("… input sizes", _input_sizes(inputs, train)),
            ("… trained on", _where(train)),
            ("… training", _effort(train.epochs, train.seconds)),
        ]
    if retrain:
        rows += [
            ("retraining: method", retrain.method),
            ("… starts from", _start(retrain)),
            ("… taught by", retrain.teacher or "the labels alone"),
            ("… trained on", _where(retrain)),
            ("… training", _effort(retrain.epochs, retrain.seconds)),
        ]
    return pairs_table("How the weights came about.", rows)


def _where(record: TrainRecord | RetrainRecord) -> str:
    together = f", {record.processes} processes" if record.processes > 1 else ""
    return f"{record.compute or 'not recorded'}{together}"


def _start(record: RetrainRecord) -> str:
    return "the hypernetwork's weights" if record.warm_start else "random weights"


def _effort(epochs: Sequence[EpochRecord], seconds: float) -> str:
    words = f"{plural(len(epochs), 'epoch')} in {duration(seconds)}"
    if epochs:
        speed = statistics.median(epoch.images_per_second for epoch in epochs)
        words += f", {integer(round(speed))} images/s"
    return words
