"""What it is worth that residual blocks begin as the identity: the same networks, both starts.

    python -m benchmarks.ranking.starts --data FOLDER --check

Six networks at the smaller input size of the ranking study (see `benchmarks.ranking.design`), from
the shallowest to the deepest, are trained alone with both starts and the same seeds. Answers are
those of the ranking study where it has them, and are kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.command import judge, run, tell
from benchmarks.means import mean_of
from benchmarks.ranking.design import CLASSES, DATASET, SIZES, Design, read_design
from benchmarks.ranking.truth import (
    STARTS,
    AloneResult,
    Epochs,
    Images,
    Results,
    Start,
    trained_alone,
)
from pipeline.cli.console import progress_bars
from pipeline.space.architecture import Architecture

_NETWORKS = 6


def main(
    data: Images = Path(DATASET),
    seeds: Annotated[int, typer.Option(min=2, help="Of each network and start.")] = 3,
    epochs: Epochs = 6,
    folder: Results = Path("runs/ranking"),
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool, typer.Option(help="Exit 1 unless the identity is better beyond chance.")
    ] = False,
) -> None:
    """Prints what networks reach by start, shallow ones first, and the difference."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = from_shallow_to_deep(read_design(folder / "design.json", CLASSES))
    with progress_bars() as progress:
        answers = trained_alone(
            networks,
            starts=STARTS,
            seeds=seeds,
            epochs=epochs,
            data=data,
            folder=folder,
            progress=progress("trained alone"),
        )
    told = compared(networks, answers)
    tell(told, _lines, as_json=as_json)
    judge(_missed(told), check=check)


def from_shallow_to_deep(design: Design) -> tuple[Architecture, ...]:
    """The study's networks at the smaller size, one of a depth, as many of these as are taken."""
    small = [it for it in design.architectures if it.resolution == SIZES[0]]
    one_of_each = {network.depth: network for network in reversed(small)}
    depths = sorted(one_of_each)
    places = np.linspace(0, len(depths) - 1, min(_NETWORKS, len(depths))).round().astype(int)
    return tuple(one_of_each[depths[place]] for place in places)


def compared(networks: Sequence[Architecture], answers: Sequence[AloneResult]) -> dict[str, Any]:
    """Each network by start, and the gain over all of them.

    Args:
        networks: Those that were trained.
        answers: Of each with both starts, and as many seeds.
    """

    def of(network: Architecture, start: Start) -> list[AloneResult]:
        found = [
            it
            for it in answers
            if it.question.architecture == network and it.question.start == start
        ]
        return sorted(found, key=lambda it: it.question.seed)

    rows = []
    for network in networks:
        row: dict[str, Any] = {"network": network.short, "depth": network.depth}
        for start in STARTS:
            row[start] = {
                "test_percent": [it.test_percent for it in of(network, start)],
                "last_loss": float(np.mean([it.loss_by_epoch[-1] for it in of(network, start)])),
            }
        identity, ones = (np.mean(row[start]["test_percent"]) for start in STARTS)
        rows.append({**row, "gain_percent": float(identity - ones)})
    return {
        "dataset": answers[0].question.dataset,
        "networks": rows,
        "gain": vars(mean_of([row["gain_percent"] for row in rows])),
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"top-1 on test of {told['dataset']}, percent; in brackets the last epoch's training loss"
    for row in told["networks"]:
        starts = (
            f"{start} {' '.join(f'{it:.2f}' for it in row[start]['test_percent'])}"
            f" ({row[start]['last_loss']:.3f})"
            for start in STARTS
        )
        yield f"{row['depth']:3d} blocks   {'   '.join(starts)}   {row['gain_percent']:+.2f}"
    gain = told["gain"]
    yield (
        f"the identity gains {gain['percent']:+.2f} points, 95 % interval over networks"
        f" {gain['low_percent']:+.2f} to {gain['high_percent']:+.2f}"
    )


def _missed(told: dict[str, Any]) -> Iterator[str]:
    if told["gain"]["low_percent"] <= 0:
        yield f"the identity is not better beyond chance: from {told['gain']['low_percent']:+.2f}"


if __name__ == "__main__":
    run(main)
