"""The page in a real browser: at two widths, in two schemes, on paper, by pointer and by keyboard.

`--report FILE` looks at the report of a real run in place of those of made-up ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.report import write_report
from tests.report import made_up, made_up_search
from tests.report.browser import Opened, View, chromium, first_paint_ms, launched, opened

MADE_UP = {"one target": made_up.inputs, "several targets": made_up_search.inputs}
# Both widths and both schemes, without every pair: opening a page takes seconds, and so does axe.
VIEWS = [View(1280, "light"), View(400, "dark")]
PAPER_WIDTH = 957
"""What Chromium lays out for A4 within margins of 10 mm, and prints at three quarters its size."""
MOST_BYTES = 2_000_000
LONGEST_FIRST_PAINT_MS = 1000
SMALLEST_TEXT_PX = 10

# Frames, not what is measured: a plot of these alone is empty.
SCAFFOLD = [
    "grid", "axis", "bracket", "arrow", "limit", "beyond", "bar-ground", "diagonal", "noise-band",
    "clear",
]  # fmt: skip
MARKS_OF_PLOTS = """(scaffold) => [...document.querySelectorAll("svg.plot")]
  .filter((plot) => plot.checkVisibility())
  .map((plot) => [...plot.querySelectorAll("path, polyline, polygon, circle, rect, line")]
    .filter((shape) => !scaffold.some((name) => shape.classList.contains(name)))
    .filter((shape) => shape.getBBox().width > 0 || shape.getBBox().height > 0).length)"""
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll("svg.plot")]
  .filter((plot) => plot.checkVisibility())
  .flatMap((plot) => [...plot.querySelectorAll("text")].map((text) =>
    parseFloat(getComputedStyle(text).fontSize)
    * plot.getBoundingClientRect().width / plot.viewBox.baseVal.width)))"""
OPEN_WHAT_IS_SHUT = """() => {
  const shut = [...document.querySelectorAll("details:not([open])")];
  for (const details of shut) details.open = true;
  return shut;
}"""
SCROLLED_SIDEWAYS = """() => [...document.querySelectorAll("table, pre, svg.plot")]
  .filter((element) => element.checkVisibility())
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => {
    for (let box = element; box !== document.body; box = box.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)
          && box.getBoundingClientRect().right <= innerWidth) return false;
    return true;
  })
  .map((element) => element.textContent.trim().slice(0, 60))"""
# Rows and marks that look alike are judged once: axe takes seconds for thousands of elements.
OPEN_AND_THIN = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const parent of document.querySelectorAll("tbody, svg.plot, svg.plot g")) {
    const seen = new Set();
    for (const child of [...parent.children]) {
      const look = [child, ...child.querySelectorAll("*")]
        .map((element) => [element.localName, element.getAttribute("class"), element.tabIndex])
        .join(" ");
      if (seen.has(look)) child.remove();
      seen.add(look);
    }
  }
}"""
# Scrolling hides values; its events come with the next frames.
SCROLLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# What a column is sorted by, from top to bottom; null where there is no value.
COLUMN = """(heading) => [...heading.closest("table").tBodies[0].rows].map((row) => {
  const value = row.cells[heading.cellIndex].dataset.v;
  return value === undefined ? null : Number(value);
})"""
SORT_EVERY_COLUMN = f"""(headings) => headings.map((heading) => {{
  heading.querySelector("button").click();
  return ({COLUMN})(heading);
}})"""


@dataclass
class Report:
    """A report in the browser; each view of it is opened once."""

    browser: Browser
    file: Path
    views: dict[View, Opened] = field(default_factory=dict)

    def at(self, view: View) -> Opened:
        if view not in self.views:
            self.views[view] = opened(self.browser, self.file, view)
        return self.views[view]

    def last(self, view: View) -> Page:
        """A page to be changed for good: who asks for the view afterwards gets another."""
        page = self.at(view).page
        del self.views[view]
        return page


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "report" in metafunc.fixturenames:
        given = metafunc.config.getoption("report")
        names = [given] if given else list(MADE_UP)
        metafunc.parametrize("report", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


@pytest.fixture(scope="module")
def made_up_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a made-up report, once."""

    @functools.cache
    def write(name: str) -> Path:
        return write_report(MADE_UP[name](), tmp_path_factory.mktemp("report")).html

    return write


@pytest.fixture(scope="module")
def report(
    request: pytest.FixtureRequest, browser: Browser, made_up_file: Callable[[str], Path]
) -> Iterator[Report]:
    name = request.param
    file = made_up_file(name) if name in MADE_UP else Path(name).resolve(strict=True)
    yield Report(browser, file)
    for context in browser.contexts:
        context.close()


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_nothing_is_complained_of_or_asked_for(report: Report, view: View) -> None:
    seen = report.at(view)
    assert seen.complaints == []
    assert seen.requests == []


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_nothing_overflows_sideways(report: Report, view: View) -> None:
    page = report.at(view).page
    shut = page.evaluate_handle(OPEN_WHAT_IS_SHUT)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate(SCROLLED_SIDEWAYS) == []
    shut.evaluate("(each) => { for (const details of each) details.open = false; }")


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_every_figure_shows_a_plot_with_marks_and_words_that_can_be_read(
    report: Report, view: View
) -> None:
    page = report.at(view).page
    marks = page.evaluate(MARKS_OF_PLOTS, SCAFFOLD)
    assert len(marks) == page.locator("figure").count() > 0
    assert min(marks) > 0
    assert page.evaluate(SMALLEST_TEXT) >= SMALLEST_TEXT_PX


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_the_page_is_in_the_reader_s_scheme(report: Report, view: View) -> None:
    page = report.at(view).page
    assert (brightness(page) > 0.5) == (view.scheme == "light")
    page.emulate_media(color_scheme="dark" if view.scheme == "light" else "light")
    assert (brightness(page) > 0.5) == (view.scheme == "dark")
    page.emulate_media(color_scheme=view.scheme)


def test_the_file_is_small(report: Report) -> None:
    assert report.file.stat().st_size <= MOST_BYTES


@pytest.mark.slow
def test_the_first_view_comes_fast(report: Report) -> None:
    # The fastest, as everywhere: other views may have been drawn while the machine was busy.
    assert min(first_paint_ms(report.at(view).page) for view in VIEWS) < LONGEST_FIRST_PAINT_MS


def test_a_pointer_on_a_mark_shows_its_value(report: Report) -> None:
    page = report.at(VIEWS[0]).page
    tip = page.locator(".tip")
    assert page.locator("svg.plot:visible [data-tip]").count() > 50
    for plot in page.locator("svg.plot:visible:has([data-tip])").all():
        mark = plot.locator("[data-tip]").last
        mark.scroll_into_view_if_needed()
        page.evaluate(SCROLLED)
        page.mouse.move(0, 0)
        mark.hover()
        expect(tip).to_be_visible()
        assert tip.inner_text() == mark.get_attribute("data-tip")
        assert any(character.isdigit() for character in tip.inner_text())
        assert inside_window(tip)


def test_the_keyboard_shows_values_too(report: Report) -> None:
    page = report.at(VIEWS[0]).page
    tip = page.locator(".tip")
    page.mouse.move(0, 0)
    for plot in page.locator("svg.plot:visible:has([data-tip])").all():
        plot.scroll_into_view_if_needed()
        page.evaluate(SCROLLED)
        plot.focus()
        page.keyboard.press("ArrowRight")
        expect(tip).to_be_visible()
        assert tip.inner_text() in plot.locator("[data-tip]").evaluate_all(
            "(marks) => marks.map((mark) => mark.dataset.tip)"
        )
        page.keyboard.press("Escape")
        expect(tip).to_be_hidden()


def test_every_numeric_column_sorts_by_its_numbers(report: Report) -> None:
    headings = report.at(VIEWS[0]).page.locator("table.sortable thead th.n")
    columns = headings.evaluate_all(SORT_EVERY_COLUMN)
    assert len(columns) > 5
    assert [column for column in columns if not in_order(column)] == []


@pytest.mark.parametrize("how", ["click", "Enter", "Space"])
def test_a_table_sorts_both_ways_by_pointer_and_by_keyboard(report: Report, how: str) -> None:
    page = report.at(VIEWS[0]).page
    table = page.locator("#benchmark table.sortable").first
    heading = table.locator("thead th.n").first
    button = heading.locator("button")
    before = heading.evaluate(COLUMN)

    def act() -> None:
        if how == "click":
            button.click()
        else:
            button.focus()
            page.keyboard.press(how)

    act()
    assert heading.get_attribute("aria-sort") == "ascending"
    ascending = heading.evaluate(COLUMN)
    assert in_order(ascending)
    index = heading.evaluate("(heading) => heading.cellIndex")
    smallest = table.locator("tbody tr").first.locator("td, th").nth(index).inner_text()
    assert is_rounded_to(smallest.split()[0], ascending[0])
    act()
    assert heading.get_attribute("aria-sort") == "descending"
    descending = [value for value in heading.evaluate(COLUMN) if value is not None]
    assert descending == sorted(descending, reverse=True)
    assert sorted(map(str, before)) == sorted(map(str, ascending))
    assert table.locator("th[aria-sort]").count() == 1


def test_on_paper_it_is_light_and_nothing_is_cut_off(report: Report) -> None:
    page = report.at(VIEWS[1]).page
    screen = page.viewport_size
    assert screen is not None
    page.emulate_media(media="print")
    page.set_viewport_size({**screen, "width": PAPER_WIDTH})
    assert brightness(page) > 0.5
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert not page.locator("nav").is_visible()
    marks = page.evaluate(MARKS_OF_PLOTS, SCAFFOLD)
    assert len(marks) == page.locator("figure").count()
    assert min(marks) > 0
    page.emulate_media(media="screen")
    page.set_viewport_size(screen)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_nobody_is_kept_out(report: Report, view: View) -> None:
    page = report.last(view)
    page.evaluate(OPEN_AND_THIN)
    answer = Axe().run(page).response
    assert len(answer["passes"]) > 20
    grave = [found for found in answer["violations"] if found["impact"] in ("serious", "critical")]
    assert [(found["id"], [node["html"] for node in found["nodes"]]) for found in grave] == []


def test_what_a_page_does_wrong_is_noticed(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "wrong.html"
    file.write_text(
        "<!DOCTYPE html><title>Wrong</title><p>Words<img src='beside.png'>"
        "<script>console.error('told'); throw new Error('thrown')</script>",
        encoding="utf-8",
    )
    seen = opened(browser, file, VIEWS[0])
    assert seen.requests == [(tmp_path / "beside.png").as_uri()]
    told = " ".join(seen.complaints)
    assert "told" in told
    assert "thrown" in told
    seen.page.context.close()


def test_without_a_browser_tests_are_skipped_and_fail_where_one_is_required() -> None:
    with pytest.raises(pytest.skip.Exception, match="chromium"):
        chromium({"PATH": ""})
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium({"PATH": "", "CI_BROWSER": "1"})


def brightness(page: Page) -> float:
    """Of the page's ground, from 0 (black) to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    channels = [int(word) for word in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(channels) / (3 * 255)


def inside_window(element: Locator) -> bool:
    box: dict[str, Any] | None = element.bounding_box()  # type: ignore[assignment]
    window = element.page.viewport_size
    return box["x"] >= 0 and box["x"] + box["width"] <= window["width"]


def is_rounded_to(text: str, value: float) -> bool:
    """Whether a number as it is printed is what `value` rounds to at as many decimals."""
    decimals = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-9


def in_order(values: list[float | None]) -> bool:
    """Whether numbers ascend, and what has none stands at the end."""
    numbers = [value for value in values if value is not None]
    return values == sorted(numbers) + [None] * (len(values) - len(numbers))
