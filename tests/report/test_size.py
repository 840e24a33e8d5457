"""A report of realistic size stays small: the page under 2 MB, the Markdown far under a comment."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pipeline.report import ReportInputs, render_report
from tests.checkout import ROOT
from tests.report import made_up
from tests.report.test_markdown import MOST_CHARACTERS

MOST_BYTES = 2_000_000
MOST_CPU_S = 10.0


@pytest.fixture(scope="module")
def large() -> ReportInputs:
    """A search of 800 networks, 100 classes, 5,000 timed runs of each model."""
    names = tuple(f"class {number}" for number in range(100))
    inputs = made_up.inputs(class_names=names, runs=5000)
    assert inputs.search is not None
    search = made_up.search_record(np.random.default_rng(7), count=620)
    # The chosen network is still among them.
    evaluated = (*inputs.search.evaluated, *search.evaluated)
    return inputs.model_copy(
        update={"search": inputs.search.model_copy(update={"evaluated": evaluated})}
    )


def test_the_page_is_small_and_soon_written(large: ReportInputs) -> None:
    start = time.process_time()
    page = render_report(large, "html")
    assert time.process_time() - start < MOST_CPU_S
    assert len(page.encode()) < MOST_BYTES


def test_the_markdown_is_far_under_what_a_comment_may_hold(large: ReportInputs) -> None:
    assert len(render_report(large, "md")) < MOST_CHARACTERS / 4


def test_pictures_of_the_readme_are_small() -> None:
    docs = ROOT / "docs"
    pictures = [docs / name for name in ("report.png", "report-network.png")]
    assert all(0 < picture.stat().st_size <= 300 * 1024 for picture in pictures)
