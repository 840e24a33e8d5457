"""How well a campaign repeated later agrees with the first, by the statistic that is kept.

    python -m benchmarks.repeatability --campaigns 8 --check

Networks of different sizes are measured in whole campaigns, some seconds apart, and each statistic
is computed from the same visits. What counts is the spread between campaigns: the error of a
latency that is looked up today and was measured yesterday.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.command import judge, run, tell
from pipeline.cli.console import progress_bars
from pipeline.device.target import Target, host_slug
from pipeline.export.cache import export_all
from pipeline.measure.campaign import CONTROL_NETWORK, run_campaign
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit, reduce_visits
from pipeline.space.architecture_file import published

NETWORKS = {"cream-14": 32, "cream-43": 96, "cream-114": 64, "cream-287": 224}
# Measured on the machine of docs/measuring.md, with room for another moment.
FLOOR_PERCENT = 2.0

Visits = list[Visit]


def _minima(visits: Visits) -> list[float]:
    return [min(visit.samples_ms) for visit in visits]


def _ratio(visits: Visits) -> float:
    """Median over visits of (the burst's minimum ÷ the control network's around it)."""
    return statistics.median(
        min(visit.samples_ms)
        / statistics.mean((min(visit.control_before_ms), min(visit.control_after_ms)))
        for visit in visits
    )


def _control(visits: Visits) -> float:
    return min(min(visit.control_after_ms) for visit in visits)


STATISTICS: dict[str, Callable[[Visits], float]] = {
    "typical (fastest of all runs)": lambda visits: reduce_visits(visits).typical,
    "mean of the three fastest bursts": lambda visits: statistics.mean(sorted(_minima(visits))[:3]),
    "median of burst minima": lambda visits: statistics.median(_minima(visits)),
    "median ratio to the control network, times its fastest run": lambda visits: (
        _ratio(visits) * _control(visits)
    ),
    "median of all runs": lambda visits: reduce_visits(visits).median,
}


def main(
    target: str = "host/onnxruntime-fp32-b1-t1",
    campaigns: Annotated[int, typer.Option(min=3)] = 8,
    pause_s: Annotated[float, typer.Option(min=0)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 above the floor.")] = False,
) -> None:
    """Prints the spread between campaigns for each statistic."""
    spread = _measure(Target.parse(target), campaigns, pause_s)
    mean = {name: statistics.mean(values) for name, values in spread.items()}
    told = {
        "target": target,
        "device": host_slug(),
        "campaigns": campaigns,
        "networks": [f"{name}@{resolution}" for name, resolution in NETWORKS.items()],
        "spread_percent": spread,
        "mean_spread_percent": mean,
    }
    tell(told, _lines, as_json=as_json)
    typical = mean[next(iter(STATISTICS))]
    unsteady = typical > FLOOR_PERCENT
    judge([f"spread of typical: {typical:.2f} %, floor {FLOOR_PERCENT} %"] * unsteady, check=check)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for name, values in told["spread_percent"].items():
        each = "  ".join(f"{value:5.2f}" for value in values)
        yield f"{name:60s} {each}   mean {told['mean_spread_percent'][name]:.2f} %"


def _measure(target: Target, campaigns: int, pause_s: float) -> dict[str, list[float]]:
    """Coefficient of variation between campaigns in percent, by statistic, a value a network."""
    networks = [published(name, resolution=resolution) for name, resolution in NETWORKS.items()]
    found: dict[str, list[list[float]]] = {name: [] for name in STATISTICS}
    with progress_bars() as progress, tempfile.TemporaryDirectory() as scratch:
        control, *models = export_all(
            [published(CONTROL_NETWORK), *networks],
            batch=target.batch,
            progress=progress("exporting"),
        )
        subjects = {network.short: model for network, model in zip(networks, models, strict=True)}
        told = progress("measuring campaigns")
        for number in range(campaigns):
            journal = Path(scratch) / f"{number}.jsonl"
            campaign = run_campaign(
                subjects, control, target, TimingProtocol(), journal, seed=number
            )
            for name, statistic in STATISTICS.items():
                found[name].append([statistic(visits) for visits in campaign.visits.values()])
            told(number + 1, campaigns)
            time.sleep(pause_s)
    return {
        name: [float(v) for v in 100 * np.std(values, axis=0, ddof=1) / np.mean(values, axis=0)]
        for name, values in found.items()
    }


if __name__ == "__main__":
    run(main)
