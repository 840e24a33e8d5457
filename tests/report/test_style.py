"""Colours: text and marks stand out enough, light and dark (WCAG 2.2, level AA)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pipeline.report
from pipeline.report.pictures.markers import SIZE_CLASSES, size_key
from pipeline.space.search_space import RESOLUTIONS

CSS = (Path(pipeline.report.__file__).parent / "report.css").read_text(encoding="utf-8")
TEXT = 4.5
MARK = 3.0
GROUNDS = ("page", "surface")
WORDS = ("ink", "muted", "accent", "good", "bad", "warn")
MARKS = (
    "cloud",
    "cloud-over",
    "size-1",
    "size-2",
    "size-3",
    "bar",
    "bar-other",
    "violet",
    "orange",
    "accent",
    "good",
    "bad",
)
TILES = sorted(set(re.findall(r"--(t-[a-z0-9-]+)-ink:", CSS)))


def colours(scheme: str) -> dict[str, str]:
    light = re.search(r":root \{(.*?)\}", CSS, re.DOTALL)
    dark = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", CSS, re.DOTALL)
    found = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", light[1]))
    if scheme == "dark":
        found |= dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", dark[1]))
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_says() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words(scheme: str) -> None:
    palette = colours(scheme)
    pairs = [(word, ground) for word in WORDS for ground in GROUNDS]
    pairs += [(tone, f"{tone}-ground") for tone in ("good", "bad", "warn")]
    pairs += [("ink", f"{tone}-ground") for tone in ("good", "bad", "warn")]
    pairs += [(f"{tile}-ink", tile) for tile in TILES]
    low = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < TEXT} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks(scheme: str) -> None:
    palette = colours(scheme)
    low = {mark: contrast(palette[mark], palette["page"]) for mark in MARKS}
    assert {mark: value for mark, value in low.items() if value < MARK} == {}


def test_every_class_that_is_drawn_has_a_style() -> None:
    folder = Path(pipeline.report.__file__).parent
    styled = set(re.findall(r"\.([a-z][a-z0-9-]*)", CSS))
    drawn = set()
    for source in folder.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        drawn |= set(re.findall(r'LegendItem\("([a-z0-9-]+)"', text))
        drawn |= set(re.findall(r'css: str = "([a-z0-9-]+)"', text))
    assert drawn
    drawn |= {*SIZE_CLASSES, "exact-front", "own-best", "published-label"}
    assert drawn - styled == set()
    assert len(TILES) == 9


def test_every_input_size_has_a_mark_that_needs_no_colour() -> None:
    """Two sizes of one outline differ in being filled or not."""
    assert len(SIZE_CLASSES) == len(RESOLUTIONS)
    filled = {css for css in SIZE_CLASSES if re.search(rf"\.{css} {{ fill: var", CSS)}
    looks = set()
    for place, css in enumerate(SIZE_CLASSES):
        outline = re.search(r' d="([^"]+)"', size_key(place))
        looks.add((outline[1], css in filled))
    assert len(looks) == len(SIZE_CLASSES)
