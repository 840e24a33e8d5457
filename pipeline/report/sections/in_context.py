"""What operators take by themselves, and inside a network."""

from __future__ import annotations

from pipeline.records.calibration import Calibration, Method
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.formatting import milliseconds, signed_percent

_MOST_ROWS = 10
_CAPTIONS: dict[Method, str] = {
    "isolated": (
        "Operators timed alone, and what they take in a network. Alone, weights stay in the cache"
        " and each call has the runtime's overhead in it"
    ),
    "in_context": (
        "Operators as the runtime's profiler tells them, and what they take in a network without it"
    ),
}


def in_context_table(calibration: Calibration) -> Table | None:
    """The operators whose time was corrected most; None where the record holds none."""
    pairs = [
        (key, ms, calibration.in_context_ms[key])
        for key, ms in calibration.operators_ms.items()
        if key in calibration.in_context_ms
    ]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: -abs(pair[2] - pair[1]))
    shown = pairs[:_MOST_ROWS]
    which = f"the {len(shown)} largest" if len(shown) < len(pairs) else "largest"
    sums = (sum(ms for _, ms, _ in pairs), sum(ms for _, _, ms in pairs))
    return Table(
        f"{_CAPTIONS[calibration.method]}; {which} corrections first.",
        columns(
            "Operator",
            "#Alone" if calibration.method == "isolated" else "#Told",
            "#In a network",
            "#Correction",
        ),
        tuple((Cell(key, code=True), *_cells(ms, within)) for key, ms, within in shown),
        totals=(Cell(f"sum of all {len(pairs)}"), *_cells(*sums)),
    )


def _cells(ms: float, within_ms: float) -> tuple[Cell, Cell, Cell]:
    change = 100 * (within_ms / ms - 1) if ms else 0.0
    return (
        Cell(milliseconds(ms), ms),
        Cell(milliseconds(within_ms), within_ms),
        Cell(signed_percent(change), change),
    )
