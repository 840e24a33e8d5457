"""A complete run, made up, and its page."""

from __future__ import annotations

import pytest

from pipeline.report import ReportInputs
from tests.report import made_up
from tests.report.reading import Element, read_html, render


@pytest.fixture(scope="session")
def inputs() -> ReportInputs:
    return made_up.inputs()


@pytest.fixture(scope="session")
def html(inputs: ReportInputs) -> str:
    return render(inputs)


@pytest.fixture(scope="session")
def page(html: str) -> Element:
    return read_html(html)
