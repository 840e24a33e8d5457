"""What two runs were asked for and made with, where that differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pipeline.comparing.accuracies import dataset_of
from pipeline.files.record import Record, plain
from pipeline.measure.journal import differing_fields
from pipeline.report import ReportInputs


class DifferingSetting(Record):
    """One setting or condition that differs.

    Attributes:
        of: `recipe`, `images`, or `machine and software`.
        name: Its dotted name.
        first: Its value in the first, as JSON; None where it has none.
        stages: Which stages were made under it; empty where that is no matter of stages.
    """

    of: Literal["recipe", "images", "machine and software"]
    name: str
    first: Any
    second: Any
    stages: tuple[str, ...] = ()


def compare_settings(first: ReportInputs, second: ReportInputs) -> tuple[DifferingSetting, ...]:
    """Everything that differs and may be why results do."""
    recipe = (
        DifferingSetting(of="recipe", name=name, first=was, second=now)
        for name, was, now in differing_fields(first.recipe, second.recipe)
    )
    return (*recipe, *_images(first, second), *_environments(first, second))


def _images(first: ReportInputs, second: ReportInputs) -> Iterator[DifferingSetting]:
    one, other = dataset_of(first), dataset_of(second)
    if one is None or other is None:
        return
    fields = differing_fields(one.model_dump(mode="json"), other.model_dump(mode="json"))
    for name, was, now in fields:
        yield DifferingSetting(of="images", name=name, first=was, second=now)


def _environments(first: ReportInputs, second: ReportInputs) -> list[DifferingSetting]:
    """Differences of the same stages; one that several stages share stands once."""
    there = second.environments()
    found: dict[tuple[str, str, str], DifferingSetting] = {}
    for stage, environment in first.environments().items():
        if stage not in there:
            continue
        fields = differing_fields(plain(environment), plain(there[stage]))
        for name, was, now in fields:
            key = (name, repr(was), repr(now))
            known = found[key].stages if key in found else ()
            found[key] = DifferingSetting(
                of="machine and software",
                name=name,
                first=was,
                second=now,
                stages=(*known, stage),
            )
    return list(found.values())
