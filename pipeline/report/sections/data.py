"""The images: how many of which class, what was left out, how one becomes an input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.records.dataset import DatasetRecord, Preprocessing
from pipeline.records.dataset_remarks import imbalance
from pipeline.report.blocks import Block, Cell, Table, Text, columns, pairs_table
from pipeline.report.formatting import integer

_MOST_NAMES = 20


def remark_blocks(remarks: Iterable[str]) -> Iterator[Text]:
    """What should be known before figures are read."""
    for line in remarks:
        yield Text(f"{line[0].upper()}{line[1:]}.", "warn")


def data_blocks(dataset: DatasetRecord) -> Iterator[Block]:
    """Everything about the images."""
    yield _facts(dataset)
    if dataset.images_by_class:
        yield _classes(dataset)
    if dataset.skipped:
        yield _skipped(dataset)


def _facts(dataset: DatasetRecord) -> Table:
    names = ", ".join(dataset.class_names[:_MOST_NAMES])
    more = " …" if len(dataset.class_names) > _MOST_NAMES else ""
    return pairs_table(
        "Images. Choices are made on search-validation; test is reported and decides nothing.",
        [
            ("data set", dataset.name),
            ("source", dataset.source),
            ("SHA-256 of the files", dataset.checksum or "not hashed: not read before training"),
            ("train", integer(dataset.num_train)),
            *_matching(dataset),
            ("search-validation, held out of train", integer(dataset.num_search_validation)),
            ("test", integer(dataset.num_test)),
            ("unreadable, skipped", integer(dataset.num_skipped)),
            (f"classes ({len(dataset.class_names)})", f"{names}{more}"),
            *_imbalance(dataset),
            *_steps(dataset.preprocessing),
        ],
    )


def _matching(dataset: DatasetRecord) -> list[tuple[str, str]]:
    if not dataset.num_matching_validation:
        return []
    name = "for the matching network, held out of train"
    return [(name, integer(dataset.num_matching_validation))]


def _imbalance(dataset: DatasetRecord) -> list[tuple[str, str]]:
    sizes = imbalance(dataset)
    if sizes is None:
        return []
    words = (
        f"{sizes.ratio:.3g} to 1: {integer(sizes.most_images)} of {sizes.largest}, "
        f"{integer(sizes.fewest_images)} of {sizes.smallest}"
    )
    return [("largest class to smallest, in train", words)]


def _steps(how: Preprocessing) -> list[tuple[str, str]]:
    mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (how.mean, how.std))
    clear = f"laid over {how.transparent_over}" if how.transparent_over else "none"
    averaged = ", averaging over pixels that are dropped" if how.antialias else ""
    return [
        ("turned as EXIF says", "yes" if how.exif_transpose else "no"),
        ("transparent parts", clear),
        ("padding", f"{how.pad} pixels a side"),
        ("resized to", f"{how.resolution} × {how.resolution}, {how.resize}{averaged}"),
        ("grey to RGB", "repeated three times" if how.grayscale_to_rgb else "no"),
        ("mean subtracted", mean),
        ("divided by", std),
    ]


def _classes(dataset: DatasetRecord) -> Table:
    counts = {split: of for split, of in dataset.images_by_class.items() if any(of)}
    rows = tuple(
        (Cell(name), *(Cell(integer(of[label]), of[label]) for of in counts.values()))
        for label, name in enumerate(dataset.class_names)
    )
    totals = (Cell("all"), *(Cell(integer(sum(of)), sum(of)) for of in counts.values()))
    titles = columns("~Class", *(f"#{split}" for split in counts))
    return Table("Images of each class.", titles, rows, totals=totals)


def _skipped(dataset: DatasetRecord) -> Table:
    rows = tuple((Cell(name, code=True), Cell(why)) for name, why in dataset.skipped.items())
    more = dataset.num_skipped - len(rows)
    rest = f" The first {len(rows)} of {dataset.num_skipped}." if more else ""
    return Table(f"Skipped: files that cannot be read.{rest}", columns("~File", "~Why"), rows)
