"""Numbers for people: sensible digits, units, and uncertainties as ±.

A number and its unit are joined by a no-break space.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pipeline.measure.statistics import LatencyStats
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import parse_choice

NBSP = "\u00a0"
_MAGNITUDES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST_DECIMALS = 5
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def significant(value: float, digits: int = 3) -> str:
    """A number in plain notation with that many significant digits, e.g. `0.142`, `1234`."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(max(decimals, 0), _MOST_DECIMALS + 3)}f}"


def with_unit(value: float, unit: str, digits: int = 3) -> str:
    """A number with its unit, e.g. `2.41 ms`."""
    return f"{significant(value, digits)}{NBSP}{unit}"


def milliseconds(value: float) -> str:
    """A latency without a stated uncertainty, e.g. `2.41 ms`."""
    return with_unit(value, "ms")


def limit_ms(value: float) -> str:
    """A latency that was asked for, without digits nobody asked for: `3 ms`, `0.3168 ms`."""
    return f"{value:.4g}{NBSP}ms"


def limit_count(value: float) -> str:
    """A count that was asked for, likewise: `16 M`."""
    for size, letter in _MAGNITUDES:
        if abs(value) >= size:
            return f"{value / size:.4g}{NBSP}{letter}"
    return f"{value:g}"


def plus_minus(value: float, std: float | None, unit: str) -> str:
    """A value with its standard uncertainty, to the digits the uncertainty allows.

    The uncertainty has one significant digit, two where it begins with 1: `2.412 ± 0.013 ms`. The
    value has two at least, so that a large uncertainty does not round it to the other side of a
    limit: `0.75 ± 0.21 ms`.
    """
    if std is None or not math.isfinite(std) or std <= 0:
        return with_unit(value, unit)
    exponent = math.floor(math.log10(std))
    leading = std / 10**exponent
    wanted = -exponent + (leading < 1.95)
    if value:
        wanted = max(wanted, 1 - math.floor(math.log10(abs(value))))
    decimals = min(max(wanted, 0), _MOST_DECIMALS)
    shown = f"{std:.{decimals}f}" if round(std, decimals) else f"0.{'0' * (decimals - 1)}1"
    return f"{value:.{decimals}f}{NBSP}±{NBSP}{shown}{NBSP}{unit}"


def latency_words(latency: LatencyPrediction | LatencyStats) -> str:
    """A latency with its standard uncertainty, e.g. `2.412 ± 0.013 ms`."""
    return plus_minus(latency.typical, latency.std, "ms")


def count(value: float) -> str:
    """A large count, e.g. `13.2 M`; below a thousand the number itself."""
    for size, letter in _MAGNITUDES:
        if abs(value) >= size:
            return with_unit(value / size, letter)
    return f"{value:g}"


def integer(value: int) -> str:
    """A count in full, in groups of three: `54 000`."""
    return f"{value:,}".replace(",", "\u202f")


def nats(value: float) -> str:
    """A log-loss, in nats, e.g. `1.1034`."""
    return f"{value:.4f}"


def percent(value: float, decimals: int = 1) -> str:
    """A share given in percent, e.g. `88.4 %`."""
    return f"{value:.{decimals}f}{NBSP}%"


def signed_percent(value: float, decimals: int = 1) -> str:
    """A difference in percent with its sign, e.g. `+1.2 %`, `−0.4 %`."""
    text = f"{abs(value):.{decimals}f}"
    sign = "" if float(text) == 0 else "+" if value > 0 else "−"
    return f"{sign}{text}{NBSP}%"


def tiny(value: float) -> str:
    """A small error in powers of ten, e.g. `2.4 × 10⁻⁶`."""
    if value == 0 or not math.isfinite(value):
        return significant(value)
    if 1e-2 <= abs(value) < 1e4:
        return significant(value, 2)
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}{NBSP}×{NBSP}10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def file_size(size_bytes: int) -> str:
    """A file's size in decimal units, e.g. `10.8 MB`."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= size:
            return with_unit(size_bytes / size, unit)
    return f"{size_bytes}{NBSP}bytes"


def duration(seconds: float) -> str:
    """A time span in its two largest units, e.g. `2 min 14 s`."""
    if seconds < 60:
        return with_unit(seconds, "s", 2) if seconds < 10 else f"{seconds:.0f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count and its noun, e.g. `1 epoch`, `3 epochs`."""
    return f"{integer(number)}{NBSP}{one if number == 1 else many or f'{one}s'}"


def notation(architecture: Architecture) -> str:
    """A network in one line, stages apart: `(4,3) · (6,5)×2 · …`, MBConv as (expansion, kernel)."""
    return " · ".join(_stage(stage) for stage in architecture.stages)


def _stage(names: tuple[str, ...]) -> str:
    runs: list[list[str]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1].append(name)
        else:
            runs.append([name])
    return " ".join(_block(run[0]) + (f"×{len(run)}" if len(run) > 1 else "") for run in runs)


def _block(name: str) -> str:
    choice = parse_choice(name)
    if choice.kind == "ir":
        return f"({choice.expansion},{choice.kernel})"
    return f"({'Res' if choice.kind == 'res' else 'Conv'} {choice.kernel})"


def composition(architecture: Architecture) -> str:
    """Which operators a network is made of, most frequent first: `6 × MB6 5×5, 1 × MB4 3×3`."""
    labels = Counter(parse_choice(name).label for stage in architecture.stages for name in stage)
    return ", ".join(f"{number} × {label}" for label, number in labels.most_common())


def target_labels(targets: Iterable[str]) -> dict[str, str]:
    """Targets as columns are headed: without the device where it is the same for all.

    Returns:
        The label of each target; the whole name where there is only one.
    """
    names = list(dict.fromkeys(targets))
    one_device = len({name.partition("/")[0] for name in names}) == 1 < len(names)
    return {name: name.partition("/")[2] or name if one_device else name for name in names}
