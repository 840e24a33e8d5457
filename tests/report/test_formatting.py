"""Numbers for people."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import formatting
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("value", "std", "shown"),
    [
        (2.4123, 0.0312, "2.41 ± 0.03 ms"),
        (2.4123, 0.0131, "2.412 ± 0.013 ms"),
        (0.3491, 0.0021, "0.349 ± 0.002 ms"),
        (123.4, 12.0, "123 ± 12 ms"),
        (123.4, 30.0, "123 ± 30 ms"),
        (2.4123, 0.0, "2.41 ms"),
        (2.4123, None, "2.41 ms"),
        (2.4123, float("nan"), "2.41 ms"),
        (0.1423, 1e-9, "0.14230 ± 0.00001 ms"),
        (0.7534, 0.21, "0.75 ± 0.21 ms"),
        (7.66, 2.1, "7.7 ± 2.1 ms"),
    ],
)
def test_uncertainty_decides_the_digits(value: float, std: float | None, shown: str) -> None:
    assert plain(formatting.plus_minus(value, std, "ms")) == shown


@given(
    st.floats(1e-3, 1e4, allow_nan=False),
    st.floats(1e-4, 0.3, allow_nan=False),
)
def test_what_is_shown_is_within_the_uncertainty(value: float, relative: float) -> None:
    std = max(value * relative, 1e-5)
    shown = plain(formatting.plus_minus(value, std, "ms"))
    match = re.fullmatch(r"([\d.]+) ± ([\d.]+) ms", shown)
    assert match is not None, shown
    assert abs(float(match[1]) - value) <= 0.51 * std
    assert float(match[2]) == pytest.approx(std, rel=0.34)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.1423, "0.142"), (2.4123, "2.41"), (12.34, "12.3"), (1234.4, "1234")],
)
def test_three_significant_digits(value: float, shown: str) -> None:
    assert formatting.significant(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(13_190_000, "13.2 M"), (832e6, "832 M"), (1.2e9, "1.20 G"), (4_100, "4.10 k"), (10, "10")],
)
def test_counts(value: float, shown: str) -> None:
    assert plain(formatting.count(value)) == shown


def test_what_was_asked_for_has_no_digits_nobody_asked_for() -> None:
    assert plain(formatting.limit_ms(3.0)) == "3 ms"
    assert plain(formatting.limit_ms(0.31684211)) == "0.3168 ms"
    assert plain(formatting.limit_count(300e6)) == "300 M"
    assert plain(formatting.limit_count(500)) == "500"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4.1e-6, "4.1 × 10⁻⁶"),
        (0.0, "0"),
        (0.05, "0.050"),
        (9.96e-4, "1.0 × 10⁻³"),
        (2e7, "2.0 × 10⁷"),
    ],
)
def test_tiny_errors(value: float, shown: str) -> None:
    assert plain(formatting.tiny(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1.24, "+1.2 %"), (-0.42, "−0.4 %"), (0.01, "0.0 %"), (-0.01, "0.0 %")]
)
def test_signs(value: float, shown: str) -> None:
    assert plain(formatting.signed_percent(value)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.123, "0.12 s"), (42.4, "42 s"), (134.0, "2 min 14 s"), (7260.0, "2 h 1 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert plain(formatting.duration(seconds)) == shown


def test_sizes_counts_and_plurals() -> None:
    assert plain(formatting.file_size(10_812_331)) == "10.8 MB"
    assert plain(formatting.file_size(12)) == "12 bytes"
    assert plain(formatting.integer(54000)) == "54 000"
    assert plain(formatting.plural(1, "class", "classes")) == "1 class"
    assert plain(formatting.plural(10, "class", "classes")) == "10 classes"


def test_a_network_in_one_line() -> None:
    assert formatting.notation(published("cream-287")) == (
        "(4,3) · (6,5)×2 · (6,5) (6,3) (6,5) · (6,5)×4 · (6,5)×3"
    )
    mixed = Architecture(
        space="cream-table3",
        resolution=96,
        stages=(("conv_1x1",), ("res_3x3", "res_3x3"), ("mb6_7x7",), ("mb4_3x3",), ("mb4_3x3",)),
    )
    assert formatting.notation(mixed) == "(Conv 1) · (Res 3)×2 · (6,7) · (4,3) · (4,3)"
    assert formatting.composition(published("cream-14")) == "5 × MB6 5×5, 1 × MB4 3×3, 1 × MB6 3×3"
