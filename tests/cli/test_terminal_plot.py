"""The plot of a search in letters: what is drawn, and that its legend says so."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.cli.terminal_plot import search_plot
from pipeline.records.search import SearchRecord
from tests.report import made_up, made_up_search


@pytest.fixture(scope="module")
def everything() -> SearchRecord:
    return made_up_search.search_record(np.random.default_rng(11))


def plain(drawing: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", drawing)


def test_everything_there_is_is_drawn_and_explained(everything: SearchRecord) -> None:
    plot = search_plot(everything, 100)
    drawing, legend = plain(plot.drawing), " ".join(plot.legend)
    assert everything.target in plot.title
    for sign, meaning in (
        (".", "scored at 64 px"),
        ("x", "scored at 96 px"),
        ("!", "scored, over a limit"),
        ("o", "front"),
        ("~", "exact front of the surrogate"),
        ("*", "published"),
        ("@", "most accurate"),
    ):
        assert sign in drawing, sign
        assert f"{sign} {meaning}" in legend
    assert "│ limit 0.62" in legend
    assert "cream-287" in drawing
    assert "cream-604" not in drawing  # it has no accuracy to be drawn at


@pytest.mark.parametrize("width", [60, 100, 120])
def test_it_is_as_wide_as_asked(everything: SearchRecord, width: int) -> None:
    lines = plain(search_plot(everything, width).drawing).splitlines()
    assert max(map(len, lines)) == width
    assert len(lines) == 24


def test_what_a_search_lacks_is_not_explained() -> None:
    record = made_up.inputs().search
    assert record is not None
    plot = search_plot(record, 100)
    legend = " ".join(plot.legend)
    assert "surrogate" not in legend
    assert "published" not in legend
    assert ". scored, " in legend
    assert "~" not in plot.drawing


def test_two_plots_do_not_mix(everything: SearchRecord) -> None:
    first = search_plot(everything, 90).drawing
    other = made_up.inputs().search
    assert other is not None
    search_plot(other, 70)
    assert search_plot(everything, 90).drawing == first


def test_a_single_network_without_limits(everything: SearchRecord) -> None:
    bare = {"exact": None, "published": (), "per_target": (), "resolutions": ()}
    one = everything.model_copy(
        update={
            **bare,
            "limits": everything.limits.model_copy(update={"latency_ms": {}}),
            "evaluated": (everything.evaluated[everything.ranking[0]],),
            "ranking": (0,),
            "front": (0,),
        }
    )
    plot = search_plot(one, 100)
    assert "@" in plain(plot.drawing)
    assert "limit" not in " ".join(plot.legend)
