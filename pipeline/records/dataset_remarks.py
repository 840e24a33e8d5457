"""What is worth knowing of a data set before its accuracies are believed, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.records.dataset import DatasetRecord

# From about here on, guessing the large classes alone does well on all images together.
STRONG_IMBALANCE = 10.0
_MOST_NAMED = 3


class Imbalance(NamedTuple):
    """The classes with the most and the fewest images that are trained on.

    Attributes:
        ratio: Images of the largest class for one of the smallest; infinite where that has none.
    """

    largest: str
    most_images: int
    smallest: str
    fewest_images: int
    ratio: float


def imbalance(dataset: DatasetRecord) -> Imbalance | None:
    """How uneven the classes are; None where their sizes are not known."""
    counts = dataset.images_by_class.get("train")
    if not counts:
        return None
    most, fewest = max(counts), min(counts)
    return Imbalance(
        largest=dataset.class_names[counts.index(most)],
        most_images=most,
        smallest=dataset.class_names[counts.index(fewest)],
        fewest_images=fewest,
        ratio=most / fewest if fewest else float("inf"),
    )


def remarks(dataset: DatasetRecord) -> Iterator[str]:
    """A sentence for everything about a data set that somebody should know; often none."""
    if dataset.num_skipped:
        yield _skipped(dataset)
    if dataset.other_files:
        number = sum(dataset.other_files.values())
        kinds = ", ".join(f"{suffix}: {n}" for suffix, n in dataset.other_files.items())
        yield f"left out {number} {_files(number)} that no image has the suffix of ({kinds})"
    sizes = imbalance(dataset)
    if sizes and sizes.ratio >= STRONG_IMBALANCE:
        yield (
            f"the classes are very uneven: {sizes.most_images} training images of {sizes.largest}, "
            f"{sizes.fewest_images} of {sizes.smallest} ({sizes.ratio:.3g} to 1); look at the "
            "accuracy of each class, not only at that of all images"
        )


def _skipped(dataset: DatasetRecord) -> str:
    shown = [f"{name} ({why})" for name, why in list(dataset.skipped.items())[:_MOST_NAMED]]
    more = dataset.num_skipped - len(shown)
    rest = f" and {more} more" if more else ""
    images = "image" if dataset.num_skipped == 1 else "images"
    return f"skipped {dataset.num_skipped} unreadable {images}: {', '.join(shown)}{rest}"


def _files(number: int) -> str:
    return "file" if number == 1 else "files"
