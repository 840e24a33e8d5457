"""Renders a page and reads it back, strictly: what is opened must be closed, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from pipeline.report import ReportInputs, summarise
from pipeline.report.page import render_html

VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str, **attributes: str) -> list[Element]:
        found = [
            child
            for child in self.children
            if child.tag == tag
            and all(child.attributes.get(k.replace("_", "-")) == v for k, v in attributes.items())
        ]
        for child in self.children:
            found += child.all(tag, **attributes)
        return found

    def by_id(self, identifier: str) -> Element:
        found = [e for e in self.everything() if e.attributes.get("id") == identifier]
        assert len(found) == 1, f"{len(found)} elements with id {identifier}"
        return found[0]

    def everything(self) -> list[Element]:
        return [e for child in self.children for e in (child, *child.everything())]

    @property
    def words(self) -> str:
        return " ".join([self.text, *(child.words for child in self.children)])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> repeats an attribute: {names}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def read_html(text: str) -> Element:
    """Parses a page.

    Raises:
        AssertionError: A tag is not closed, or closed out of order.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"not closed: {[e.tag for e in reader.open[1:]]}"
    return reader.root


def render(inputs: ReportInputs) -> str:
    """The page of a run."""
    return render_html(inputs, summarise(inputs))


def page_of(inputs: ReportInputs, *sections: str) -> Element:
    """The same, read; only some sections where they are named, which is much quicker."""
    html = render(inputs)
    if sections:
        named = "|".join(sections)
        html = "".join(re.findall(rf'<section id="(?:{named})".*?</section>', html, re.DOTALL))
    return read_html(html)


def words(page: Element, section: str) -> str:
    """What a section says, spaces made plain."""
    return plain(page.by_id(section).words)


def plain(text: str) -> str:
    """Text with every kind of space as one space."""
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u202f", " "))


def cells(row: Element) -> list[str]:
    """What a row of a table says, its own heading included."""
    return [plain(cell.words).strip() for cell in (*row.all("th"), *row.all("td"))]


def rows_of(table: Element) -> list[list[str]]:
    """What the body of a table says."""
    return [cells(row) for row in table.all("tbody")[0].all("tr")]


def headings(table: Element) -> list[str]:
    """What its columns are headed."""
    return [plain(heading.words).strip() for heading in table.all("th")]


def titled(page: Element, section: str, caption: str) -> Element:
    """The first table of a section whose caption says that."""
    return next(
        table
        for table in page.by_id(section).all("table")
        if caption in plain(table.all("caption")[0].words)
    )
