"""Accuracies of two runs: whether they differ by more than the sampling of images explains.

Records hold how many images of how many were right, not which. So the two are taken as
proportions of independent samples: where both were judged on the very same images, that is more
doubt than there is, never less. The interval is that of Agresti and Caffo (The American
Statistician 54, 2000): Wald's, with one image right and one wrong added to each side, which holds
what it claims for small samples and for accuracies near 100 % too. The p value is of the same
statistic.

Sampling is not all that moves accuracy: another seed of the training moves it as well, and nothing
in two records tells by how much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from scipy import stats as distributions

from pipeline.comparing.levels import CONFIDENCE
from pipeline.comparing.measurements import SIGNIFICANCE
from pipeline.files.record import Record
from pipeline.records.dataset import DatasetRecord
from pipeline.records.export import ExportedFile
from pipeline.records.retrain import RetrainRecord
from pipeline.report import ReportInputs

Split = Literal["test", "search-validation"]
AccuracyVerdict = Literal["lower", "higher", "no change beyond noise"]
NETWORK = "the network"
_SAME_IMAGES = ("name", "checksum", "class_names", "num_search_validation", "num_test")


class AccuracyComparison(Record):
    """One accuracy, on both sides.

    Attributes:
        what: `the network`, as retrained, or the name of an exported file.
        first_percent: Top-1 in the first.
        first_images: On how many images.
        difference_points: The second less the first, in percentage points.
        low_points: Lower end of the difference's 95 % confidence interval.
        high_points: Its upper end.
        p: Probability of a difference as large if both were equally accurate.
        p_adjusted: The same, corrected for the number of accuracies by Benjamini and Hochberg.
    """

    what: str
    split: Split
    first_percent: float
    second_percent: float
    first_images: int
    second_images: int
    difference_points: float
    low_points: float
    high_points: float
    p: float
    p_adjusted: float
    verdict: AccuracyVerdict
    significance: float = SIGNIFICANCE


def compare_accuracies(first: ReportInputs, second: ReportInputs) -> tuple[AccuracyComparison, ...]:
    """Compares each accuracy that both runs have; none where their images differ."""
    if image_differences(first, second):
        return ()
    found, others = dict(_accuracies(first)), dict(_accuracies(second))
    pairs = [
        _pair(what, split, found[what, split], others[what, split])
        for what, split in found
        if (what, split) in others
    ]
    return _judged(pairs)


def image_differences(first: ReportInputs, second: ReportInputs) -> tuple[str, ...]:
    """In what the images that two runs were judged on differ; none where either does not say."""
    one, other = dataset_of(first), dataset_of(second)
    if one is None or other is None:
        return ()
    return tuple(name for name in _SAME_IMAGES if getattr(one, name) != getattr(other, name))


def dataset_of(inputs: ReportInputs) -> DatasetRecord | None:
    """The images of a run; None before anything was trained."""
    record = inputs.retrain or inputs.train
    return record.dataset if record else None


_Place = tuple[str, Split]
_Counted = tuple[float, int]


def _accuracies(inputs: ReportInputs) -> Iterator[tuple[_Place, _Counted]]:
    """Accuracies in percent, each with its number of images."""
    retrained = inputs.retrain
    if retrained is None:
        return
    data = retrained.dataset
    yield (NETWORK, "test"), (retrained.test_accuracy_percent, data.num_test)
    yield (
        (NETWORK, "search-validation"),
        (retrained.accuracy_percent, data.num_search_validation),
    )
    for model in inputs.export.models[:1] if inputs.export else ():
        for file in model.files:
            yield from _of_file(file, retrained, _most_images(inputs))


def _of_file(
    file: ExportedFile, retrained: RetrainRecord, most: int | None
) -> Iterator[tuple[_Place, _Counted]]:
    if file.accuracy_percent is not None and file.images:
        yield (file.file, "search-validation"), (file.accuracy_percent, file.images)
    if file.test_accuracy_percent is not None:
        whole = retrained.dataset.num_test
        images = whole if most is None else min(most, whole)
        yield (file.file, "test"), (file.test_accuracy_percent, images)


def _most_images(inputs: ReportInputs) -> int | None:
    """On how many images of each split the recipe lets files be run; None for all."""
    most = inputs.recipe.get("export", {}).get("accuracy_images")
    return most if isinstance(most, int) else None


def _pair(what: str, split: Split, first: _Counted, second: _Counted) -> AccuracyComparison:
    """Two accuracies before they are judged."""
    before, after = _share(*first), _share(*second)
    variance = before * (1 - before) / (first[1] + 2) + after * (1 - after) / (second[1] + 2)
    error = 100 * math.sqrt(variance)
    # The estimate of Agresti and Caffo, whose interval is centred on it.
    difference = 100 * (after - before)
    reach = error * float(distributions.norm.ppf((1 + CONFIDENCE) / 2))
    return AccuracyComparison(
        what=what,
        split=split,
        first_percent=first[0],
        second_percent=second[0],
        first_images=first[1],
        second_images=second[1],
        difference_points=second[0] - first[0],
        low_points=difference - reach,
        high_points=difference + reach,
        p=float(2 * distributions.norm.sf(abs(difference) / error)),
        p_adjusted=1.0,
        verdict="no change beyond noise",
    )


def _share(accuracy_percent: float, images: int) -> float:
    return (round(accuracy_percent * images / 100) + 1) / (images + 2)


def _judged(pairs: Sequence[AccuracyComparison]) -> tuple[AccuracyComparison, ...]:
    if not pairs:
        return ()
    adjusted = distributions.false_discovery_control([pair.p for pair in pairs])
    return tuple(
        pair.model_copy(update={"p_adjusted": float(p), "verdict": _verdict(pair, float(p))})
        for pair, p in zip(pairs, adjusted, strict=True)
    )


def _verdict(pair: AccuracyComparison, p_adjusted: float) -> AccuracyVerdict:
    if p_adjusted >= SIGNIFICANCE:
        return "no change beyond noise"
    return "lower" if pair.difference_points < 0 else "higher"
