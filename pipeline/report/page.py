"""The report as one HTML file: style, script and pictures inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.blocks import Section
from pipeline.report.inputs import ReportInputs, StageName
from pipeline.report.sections import (
    accuracy,
    alternatives,
    benchmark,
    front,
    method,
    model,
    overview,
    prediction,
    search,
)
from pipeline.report.summary import Summary

_TEMPLATES = Path(__file__).parent
_SECTIONS: tuple[tuple[Callable[[ReportInputs, Summary], Section], tuple[StageName, ...]], ...] = (
    (overview.verdict_section, ()),
    (overview.key_figures_section, ()),
    (alternatives.section, ("trial", "retrain")),
    (front.section, ("search", "verify")),
    (prediction.section, ("profile", "verify", "benchmark")),
    (model.section, ("search", "profile", "benchmark")),
    (benchmark.distribution_section, ("benchmark",)),
    (benchmark.benchmark_section, ("benchmark",)),
    (accuracy.section, ("train", "retrain", "export")),
    (overview.parity_section, ("export",)),
    (search.section, ("search", "verify")),
    (method.section, ()),
)
"""Each section, and the stages that make its numbers."""


def sections(inputs: ReportInputs, summary: Summary) -> list[Section]:
    """All sections, in the order they are read, with the commands that make their numbers."""
    return [
        replace(make(inputs, summary), commands=tuple(inputs.command(stage) for stage in stages))
        for make, stages in _SECTIONS
    ]


def render_html(inputs: ReportInputs, summary: Summary) -> str:
    """The whole page."""
    style, script = _asset("report.css"), _asset("report.js")
    template = _environment().get_template("report.html.j2")
    return template.render(
        name=inputs.name,
        subtitle=_subtitle(inputs, summary),
        sections=sections(inputs, summary),
        style=style,
        script=script,
        # The page may use its own style and script, and load nothing from anywhere.
        policy=(
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
            " img-src data:; base-uri 'none'; form-action 'none'"
        ),
    )


def _subtitle(inputs: ReportInputs, summary: Summary) -> str:
    words = []
    record = inputs.retrain or inputs.train
    if record:
        words.append(record.dataset.name)
    if summary.architecture:
        words.append(f"space {summary.architecture.space}")
        words.append(
            f"{summary.architecture.resolution} × {summary.architecture.resolution} pixels"
        )
    if summary.target:
        words.append(summary.target)
    machine = next(iter(inputs.environments().values()), None)
    if machine:
        words.append(machine.cpu)
    return " · ".join(words)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
