"""The bundle's README.md, a model card, written from its `model.json`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.bundle.card import Bundle, TargetLatency
from pipeline.report import formatting, sampling_std_percent
from pipeline.report.markdown import escape

_NONE = "–"


def render_readme(card: Bundle, *, example: str, selftest: str) -> str:
    """Writes the model card.

    Args:
        card: The bundle's card.
        example: What `infer.py` printed of the first image kept.
        selftest: What `infer.py --selftest` printed.
    """
    first = card.files[0]
    by_class = card.training.test_accuracy_by_class_percent
    how = card.preprocessing
    return (
        _environment()
        .get_template("README.md.j2")
        .render(
            card=card,
            example=example.strip(),
            selftest=selftest.strip(),
            measured=_measured,
            median=_median,
            predicted=_predicted,
            standard_error=sampling_std_percent(first.test_accuracy_percent, first.test_images),
            worst=min(by_class.items(), key=lambda item: item[1]) if by_class else None,
            has_int8=any(file.precision == "int8" for file in card.files),
            upright=how.exif_transpose,
            over_white=how.transparent_over == "white",
        )
    )


def _measured(it: TargetLatency) -> str:
    found = it.measured
    return formatting.plus_minus(found.typical_ms, found.std_ms, "ms") if found else "not measured"


def _median(it: TargetLatency) -> str:
    median_ms = it.measured.median_ms if it.measured else None
    return _NONE if median_ms is None else formatting.milliseconds(median_ms)


def _predicted(it: TargetLatency) -> str:
    guess = it.predicted
    return formatting.plus_minus(guess.typical_ms, guess.std_ms, "ms") if guess else "not predicted"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": formatting.count,
        "escape": escape,
        "file_size": formatting.file_size,
        "integer": formatting.integer,
        "percent": formatting.percent,
    }
    return environment
