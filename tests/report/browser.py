"""Pages in a real Chromium: what they log, what they ask for, how they look at a size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

REQUIRED_VARIABLE = "CI_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class View:
    """How a page is looked at.

    Attributes:
        width: Of the window, in CSS pixels.
        scheme: What the reader prefers.
    """

    width: int
    scheme: Scheme

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


@dataclass
class Opened:
    """A page with all that it did since it was asked for.

    Attributes:
        page: To look at and to act on.
        complaints: Errors and warnings of the console and of scripts.
        requests: Addresses that it asked for, without its own; none was answered.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def chromium(environment: Mapping[str, str] = os.environ) -> Path:
    """The Chromium of this machine; without one the test that asks is skipped, or fails in CI."""
    path = environment.get("PATH")
    found = next(filter(None, (shutil.which(name, path=path) for name in NAMES)), None)
    if found is not None:
        return Path(found)
    missing = f"none of {', '.join(NAMES)} is on the PATH"
    if environment.get(REQUIRED_VARIABLE):
        pytest.fail(f"{missing}, and {REQUIRED_VARIABLE} is set: apt-get install chromium")
    pytest.skip(missing)


@contextmanager
def launched() -> Iterator[Browser]:
    """The machine's Chromium, without a window."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def opened(browser: Browser, file: Path, view: View) -> Opened:
    """Opens a file, and lets it reach nothing else."""
    context = browser.new_context(
        viewport={"width": view.width, "height": 900}, color_scheme=view.scheme
    )
    page = context.new_page()
    result = Opened(page)

    def answer(route: Route) -> None:
        if route.request.url == file.as_uri():
            route.continue_()
        else:
            result.requests.append(route.request.url)
            route.abort()

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            result.complaints.append(f"{message.type}: {message.text}")

    page.route("**/*", answer)
    page.on("console", listen)
    page.on("pageerror", lambda error: result.complaints.append(str(error)))
    page.goto(file.as_uri())
    return result


def first_paint_ms(page: Page) -> float:
    """From the request to the first words or pictures."""
    paints: list[dict[str, Any]] = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map((entry) => entry.toJSON())"
    )
    assert len(paints) == 1, f"{len(paints)} first paints"
    return float(paints[0]["startTime"])
