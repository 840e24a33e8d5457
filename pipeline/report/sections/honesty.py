"""How wrong predictions are, as one table that explains its own figures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.latency.honesty import INTERVAL, PAIR_PERCENT
from pipeline.records.calibration import Honesty
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.formatting import duration, percent, signed_percent


def honesty_table(honesty: Honesty, target: str) -> Table:
    """Every figure of the block with a sentence of what it means.

    Args:
        honesty: The figures.
        target: Where they hold.
    """
    return Table(
        f"How far off predictions are on {target}, on networks that no fit had seen: each is"
        " predicted from all others (leave-one-out).",
        columns("~Figure", "#Value", "~In plain words"),
        tuple(
            (Cell(name), value, Cell(meaning))
            for name, value, meaning in (*_errors(honesty), *_order(honesty), *_context(honesty))
        ),
    )


def _errors(honesty: Honesty) -> Iterator[tuple[str, Cell, str]]:
    networks = Cell(str(honesty.networks), honesty.networks)
    yield "networks", networks, "Whole networks of the space that were measured to judge by."
    yield (
        "mean absolute error (MAPE)",
        _share(honesty.mape_percent),
        "How far a prediction is off on average, relative to what was measured.",
    )
    for limit, share in ((5, honesty.within_5_percent), (10, honesty.within_10_percent)):
        within = percent(limit, 0)
        yield f"within {within}", _share(share), f"Share of networks off by at most {within}."
    yield "largest error", _share(honesty.max_percent), "The worst of them."
    yield (
        "bias",
        Cell(signed_percent(honesty.bias_percent), honesty.bias_percent),
        "Mean error with its sign: positive where predictions are too slow.",
    )


def _order(honesty: Honesty) -> Iterator[tuple[str, Cell, str]]:
    yield (
        "rank correlation (Kendall's τ)",
        _correlation(honesty.kendall_tau),
        "Order of all networks: 1 is exactly the measured order, 0 is chance.",
    )
    pairs = honesty.pair10_percent
    yield (
        "near pairs in the right order",
        Cell("no such pair", tone="muted") if pairs is None else _share(pairs),
        f"Of two networks within {percent(PAIR_PERCENT, 0)} of each other, how often the faster"
        f" is told; chance is {percent(50, 0)}.",
    )


def _context(honesty: Honesty) -> Iterator[tuple[str, Cell, str]]:
    interval = percent(100 * INTERVAL, 0)
    yield (
        f"inside the {interval} interval",
        _share(honesty.coverage_percent),
        f"Should be near {interval}, give or take {_chance(honesty.networks):.0f} points of chance;"
        " less means ± is too small.",
    )
    yield (
        "measured truth, split-half",
        _share(honesty.split_half_percent, 2),
        "How far two halves of the measurement disagree: no predictor can be shown to be better.",
    )
    yield (
        "MACs alone: mean absolute error",
        _share(honesty.flops_mape_percent),
        "A line through MACs (“FLOPs”), judged on the same networks: what the table must beat.",
    )
    yield (
        "MACs alone: rank correlation",
        _correlation(honesty.flops_kendall_tau),
        "The order that counting MACs would give.",
    )
    yield "measured on", Cell(honesty.date), "The figures are of the machine as it was on that day."
    yield (
        "cost",
        Cell(f"{honesty.cost_s:.0f}\u00a0s", honesty.cost_s),
        f"Measuring operators and networks, without exports: {duration(honesty.cost_s)}.",
    )


def _share(value: float, decimals: int = 1) -> Cell:
    return Cell(percent(value, decimals), value)


def _correlation(value: float) -> Cell:
    return Cell(f"{value:.2f}".replace("-", "−"), value)


def _chance(networks: int) -> float:
    """Standard deviation of the coverage of so many networks, in percentage points."""
    return 100 * math.sqrt(INTERVAL * (1 - INTERVAL) / max(networks, 1))
