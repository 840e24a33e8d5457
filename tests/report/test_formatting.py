"""Numbers for people."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import formatting
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from tests.report.reading import plain


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
    ("show", "value", "shown"),
    [
        (formatting.significant, 0.0, "0"),
        (formatting.significant, 0.1423, "0.142"),
        (formatting.significant, 2.4123, "2.41"),
        (formatting.significant, 12.34, "12.3"),
        (formatting.significant, 1234.4, "1234"),
        (formatting.count, 13_190_000, "13.2 M"),
        (formatting.count, 832e6, "832 M"),
        (formatting.count, 1.2e9, "1.20 G"),
        (formatting.count, 4_100, "4.10 k"),
        (formatting.count, 10, "10"),
        (formatting.limit_ms, 3.0, "3 ms"),
        (formatting.limit_ms, 0.31684211, "0.3168 ms"),
        (formatting.limit_count, 300e6, "300 M"),
        (formatting.limit_count, 500, "500"),
        (formatting.tiny, 4.1e-6, "4.1 × 10⁻⁶"),
        (formatting.tiny, 0.0, "0"),
        (formatting.tiny, 0.05, "0.050"),
        (formatting.tiny, 9.96e-4, "1.0 × 10⁻³"),
        (formatting.tiny, 2e7, "2.0 × 10⁷"),
        (formatting.signed_percent, 1.24, "+1.2 %"),
        (formatting.signed_percent, -0.42, "−0.4 %"),
        (formatting.signed_percent, 0.01, "0.0 %"),
        (formatting.signed_percent, -0.01, "0.0 %"),
        (formatting.duration, 0.123, "0.12 s"),
        (formatting.duration, 42.4, "42 s"),
        (formatting.duration, 134.0, "2 min 14 s"),
        (formatting.duration, 7260.0, "2 h 1 min"),
        (formatting.file_size, 10_812_331, "10.8 MB"),
        (formatting.file_size, 12, "12 bytes"),
        (formatting.integer, 54000, "54 000"),
        (lambda number: formatting.plural(number, "class", "classes"), 1, "1 class"),
        (lambda number: formatting.plural(number, "class", "classes"), 10, "10 classes"),
    ],
)
def test_numbers(show: Callable[[float], str], value: float, shown: str) -> None:
    assert plain(show(value)) == shown


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
