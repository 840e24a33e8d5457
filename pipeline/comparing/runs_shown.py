"""Two compared runs for people: the answer first, then model, latency, accuracy, limits, why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.comparing.accuracies import AccuracyComparison
from pipeline.comparing.limits import LimitComparison
from pipeline.comparing.measurements_shown import show_latencies
from pipeline.comparing.models import ModelComparison, change_percent
from pipeline.comparing.runs import RunComparison
from pipeline.comparing.settings import DifferingSetting
from pipeline.comparing.showing import Grid, Listing, Shown
from pipeline.report.formatting import count, file_size, notation, percent, signed_percent
from pipeline.report.limits import LimitCheck, limit_words
from pipeline.space.architecture import Architecture

_NONE = "-"
_MOST_SETTINGS = 20
_LONGEST_VALUE = 40


def show_runs(found: RunComparison) -> Iterator[Shown]:
    """A comparison of runs, the answer first."""
    yield f"A: {found.first}    B: {found.second}"
    yield f"Verdict: {found.verdict}"
    if found.findings:
        kinds = {True: "regression", False: "change"}
        yield Listing([f"{kinds[it.is_regression]}: {it.words}" for it in found.findings])
    for gap in found.gaps:
        yield (
            f"{gap.run} has no {', '.join(gap.stages)}: not compared: "
            f"{', '.join(gap.not_compared)}. Make it: {gap.command}"
        )
    yield Grid("The model", ("what", "A", "B", "change"), list(_model_rows(found.model)))
    if found.latency:
        yield from show_latencies(found.latency)
    if found.accuracies:
        yield _accuracy_table(found.accuracies)
    if found.limits:
        yield _limit_table(found.limits)
    yield from _settings(found.settings)
    yield from found.notes


def _model_rows(model: ModelComparison) -> Iterator[list[str]]:
    differs = "differs" if model.differences else "same" if model.first and model.second else _NONE
    yield ["architecture", _notation(model.first), _notation(model.second), differs]
    yield _numbers("MACs", model.first_macs, model.second_macs, count)
    yield _numbers("parameters", model.first_params, model.second_params, count)
    for file in model.files:
        row = _numbers(file.file, file.first_bytes, file.second_bytes, file_size)
        yield [*row[:3], "same bytes" if file.same else row[3]]


def _notation(architecture: Architecture | None) -> str:
    return notation(architecture) if architecture else _NONE


def _numbers(
    what: str, first: int | None, second: int | None, show: Callable[[int], str]
) -> list[str]:
    change = change_percent(first, second)
    return [
        what,
        _NONE if first is None else show(first),
        _NONE if second is None else show(second),
        _NONE if change is None else "same" if first == second else signed_percent(change, 2),
    ]


def _accuracy_table(accuracies: tuple[AccuracyComparison, ...]) -> Grid:
    rows = [
        [
            it.what,
            it.split,
            f"{percent(it.first_percent, 2)} of {it.first_images}",
            f"{percent(it.second_percent, 2)} of {it.second_images}",
            f"{it.difference_points:+.2f} [{it.low_points:+.2f}, {it.high_points:+.2f}]",
            f"{it.p_adjusted:.2g}",
            it.verdict,
        ]
        for it in accuracies
    ]
    return Grid(
        "Accuracy, with 95 % intervals of what sampling the images explains; p is corrected for "
        "the number of accuracies",
        ("of", "on", "A", "B", "points", "p", "verdict"),
        rows,
    )


def _limit_table(limits: tuple[LimitComparison, ...]) -> Grid:
    rows = [[it.what, _limit(it.first), _limit(it.second), it.outcome] for it in limits]
    return Grid("Limits, as measured", ("limit", "A", "B", "outcome"), rows)


def _limit(check: LimitCheck | None) -> str:
    return f"{check.verdict}: {limit_words(check)}" if check else _NONE


def _settings(settings: tuple[DifferingSetting, ...]) -> Iterator[Shown]:
    if not settings:
        yield "Recipes, images, machines and software are the same."
        return
    rows = [
        [it.of, it.name, _value(it.first), _value(it.second), ", ".join(it.stages)]
        for it in settings[:_MOST_SETTINGS]
    ]
    yield Grid("What else differs", ("of", "setting", "A", "B", "stages"), rows)
    if len(settings) > len(rows):
        yield f"… and {len(settings) - len(rows)} more settings (all with --json)"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
