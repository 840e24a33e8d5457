"""A report of realistic size stays small: the page under 2 MB, the Markdown far under a comment."""

from __future__ import annotations

import time

import pytest

from pipeline.report import ReportInputs, render_report
from tests.checkout import ROOT
from tests.report import made_up
from tests.report.reading import read_html

MOST_BYTES = 2_000_000
MOST_CHARACTERS = 65_536
"""Of a comment on a pull request."""
MOST_CPU_S = 10.0


@pytest.fixture(scope="module")
def large() -> ReportInputs:
    """A search of 10,000 networks, 1,000 classes, 5,000 timed runs of each model."""
    names = tuple(f"a rather long name of class {number}" for number in range(1000))
    inputs = made_up.inputs(class_names=names, runs=5000)
    return made_up.changed(inputs, "search", evaluated=inputs.search.evaluated * 56)


def test_the_page_is_small_and_says_what_it_leaves_out(large: ReportInputs) -> None:
    page = render_report(large, "html")
    assert len(page.encode()) < MOST_BYTES
    assert "least accurate are in report.json only" in page
    read_html(page)


@pytest.mark.slow
def test_the_page_is_soon_written(large: ReportInputs) -> None:
    start = time.process_time()
    render_report(large, "html")
    assert time.process_time() - start < MOST_CPU_S


def test_the_markdown_is_far_under_what_a_comment_may_hold(large: ReportInputs) -> None:
    assert len(render_report(large, "md")) < MOST_CHARACTERS / 4


def test_pictures_of_the_readme_are_small() -> None:
    docs = ROOT / "docs"
    pictures = [docs / name for name in ("report.png", "report-network.png")]
    assert all(0 < picture.stat().st_size <= 300 * 1024 for picture in pictures)
