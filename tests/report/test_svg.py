"""Scales, panels and elements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline.report.pictures import svg
from pipeline.report.scale import Scale, spread


@given(
    st.floats(-1e4, 1e4),
    st.floats(1e-4, 1e4),
    st.integers(2, 12),
)
def test_ticks_are_round_inside_and_about_as_many_as_asked(
    low: float, span: float, about: int
) -> None:
    scale = Scale(low, low + span, 0, 100)
    ticks = scale.ticks(about)
    assert ticks == sorted(set(ticks))
    assert 0 < len(ticks) <= 2 * about + 2
    assert all(-1e-6 * span <= tick - low <= span * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.floats(-1e6, 1e6), max_size=20), st.floats(0.01, 0.2))
def test_a_range_holds_its_values_and_is_never_empty(values: list[float], margin: float) -> None:
    low, high = spread(values, margin=margin)
    assert low < high
    assert all(low <= value <= high for value in values)


def test_a_range_stops_at_its_floor() -> None:
    assert spread([0.1, 9.0], floor=0.0)[0] == 0.0


def test_text_is_escaped_and_markup_is_not() -> None:
    hostile = svg.text(1, 2, "<script>", 'a"b')
    assert hostile == (
        '<text x="1" y="2" class="a&#34;b" text-anchor="start">&lt;script&gt;</text>'
    )
    assert svg.group([Markup("<b/>")]) == "<g><b/></g>"


def test_labels_of_ticks_have_the_digits_of_their_step() -> None:
    panel = svg.Panel.inside(svg.Frame(400, 300), (-0.02, 0.021), (0, 12))
    drawn = panel.axes("x", "y")
    assert ">−0.02<" in drawn
    assert ">10<" in drawn


def test_not_finite_positions_do_not_break_the_picture() -> None:
    assert "nan" not in svg.disc(float("nan"), float("inf"), 3, "dot")
