"""How well a hypernetwork ranks networks: shared weights against training each alone.

    python -m benchmarks.ranking --check

Random networks that span the MACs of the space are trained alone, with two seeds each; the mean is
the truth, and how well one seed ranks by the other is the most that can be expected. Then the
hypernetwork is trained by each method, with several seeds, and scores the same networks. Kendall's
tau and Spearman's rho come with bootstrap intervals over networks; methods are compared with
single-path training on the same resampled networks. Everything is kept as it is made, in
`runs/ranking`: a study that was stopped goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import chosen_methods, judge, run, tell
from benchmarks.jobs import answered
from benchmarks.ranking.methods import (
    KNOWN,
    METHODS,
    VARIATIONS,
    Hypernetwork,
    HypernetworkResult,
    settings_of,
    train_and_score,
)
from benchmarks.ranking.statistics import Agreement, agreement, compared, seeds_agreement
from benchmarks.ranking.truth import RESOLUTION, AloneResult, spread_over_macs, train_alone
from benchmarks.trainings import SPACE, Training
from pipeline.cli.console import progress_bars
from pipeline.space.cost import architecture_cost
from pipeline.training.settings import RetrainSettings

DATASET = "fashion-mnist"
# A fixed design: any first part of it spans the MACs, so fewer networks are the same ones.
DESIGN, STRIDE = 36, 25
BASELINE = "single-path"


def main(
    networks: Annotated[int, typer.Option(min=8, max=DESIGN)] = 30,
    seeds: Annotated[int, typer.Option(min=2, help="Of each network alone.")] = 2,
    hypernetworks: Annotated[int, typer.Option(min=1, help="Seeds of each method.")] = 2,
    methods: Annotated[
        str, typer.Option(help=f"Joined by semicolons; also: {'; '.join(VARIATIONS)}.")
    ] = ";".join(METHODS),
    max_train: Annotated[int, typer.Option(min=1, help="Training images.")] = 15_000,
    alone_epochs: Annotated[int, typer.Option(min=1)] = 6,
    paths_an_image: Annotated[int, typer.Option(min=1, help="Of each hypernetwork.")] = 12,
    folder: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("runs/ranking"),
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the pictures of docs/ranking.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool, typer.Option(help="Exit 1 if the default method is beaten beyond chance.")
    ] = False,
) -> None:
    """Prints each method's rank correlation with the truth."""
    names = chosen_methods(methods, KNOWN)
    design = spread_over_macs(DESIGN, seed=0)
    in_order = tuple(design[index * STRIDE % DESIGN] for index in range(DESIGN))
    folder.mkdir(parents=True, exist_ok=True)
    alone = [
        Training(
            architecture=network,
            dataset=DATASET,
            max_train=max_train,
            settings=RetrainSettings(epochs=alone_epochs),
            seed=seed,
        )
        for network in in_order[:networks]
        for seed in range(seeds)
    ]
    trained = [
        Hypernetwork(
            settings=settings_of(name, paths_an_image),
            dataset=DATASET,
            max_train=max_train,
            seed=seed,
            networks=in_order,
        )
        for name in names
        for seed in range(hypernetworks)
    ]
    with progress_bars() as progress:
        truth = answered(
            alone, train_alone, AloneResult, folder / "alone.jsonl", progress("trained alone")
        )
        scored = answered(
            trained,
            train_and_score,
            HypernetworkResult,
            folder / "hypernetworks.jsonl",
            progress("hypernetworks"),
        )
    by_seed = [[a.percent for a in truth if a.question.seed == seed] for seed in range(seeds)]
    runs = {
        name: scored[place * hypernetworks : (place + 1) * hypernetworks]
        for place, name in enumerate(names)
    }
    macs = [architecture_cost(network).macs for network in in_order[:networks]]
    told = {
        "space": SPACE.name,
        "max_depth": SPACE.max_depth,
        "resolution": RESOLUTION,
        "dataset": DATASET,
        "max_train": max_train,
        "networks": [network.short for network in in_order[:networks]],
        "macs": macs,
        "alone_percent": by_seed,
        "alone_seconds": sum(answer.seconds for answer in truth),
        "ceiling": seeds_agreement(by_seed),
        "fewer_macs": agreement(by_seed, [[-cost for cost in macs]]),
        "methods": {name: _judged(by_seed, of, runs.get(BASELINE)) for name, of in runs.items()},
    }
    if plots:
        from benchmarks.ranking.plots import draw

        draw(told, plots)
    tell(told, _lines, as_json=as_json)
    judge(_better(told), check=check)


def _judged(
    truth: list[list[float]],
    runs: list[HypernetworkResult],
    baseline: list[HypernetworkResult] | None,
) -> dict[str, Any]:
    networks = len(truth[0])

    def percents(of: list[HypernetworkResult]) -> list[list[float]]:
        return [list(run.percent[:networks]) for run in of]

    return {
        "agreement": agreement(truth, percents(runs)),
        "against_single_path": None
        if baseline is None or baseline is runs
        else compared(truth, percents(runs), percents(baseline)),
        "hypernetwork_percent": percents(runs),
        "training_seconds": [run.seconds for run in runs],
    }


def _lines(told: dict[str, Any]) -> list[str]:
    def line(name: str, found: Agreement) -> str:
        low, high = found.tau_interval
        rho_low, rho_high = found.spearman_interval
        return (
            f"{name:28s} tau {found.tau:6.3f} [{low:6.3f}, {high:6.3f}]   "
            f"rho {found.spearman:6.3f} [{rho_low:6.3f}, {rho_high:6.3f}]"
        )

    out = [f"{len(told['networks'])} networks, 95 % intervals over networks"]
    out.append(line("one seed alone by the other", told["ceiling"]))
    out.append(line("fewer MACs first", told["fewer_macs"]))
    for name, found in told["methods"].items():
        out.append(line(name, found["agreement"]))
        if difference := found["against_single_path"]:
            low, high = difference.interval
            out.append(
                f"{'':28s} against {BASELINE}: {difference.tau:+.3f} [{low:+.3f}, {high:+.3f}]"
            )
    return out


def _better(told: dict[str, Any]) -> list[str]:
    return [
        f"{name}: tau is better than that of {BASELINE}, the default, by {difference.tau:.3f}, "
        f"95 % interval {difference.interval[0]:.3f} to {difference.interval[1]:.3f}"
        for name, found in told["methods"].items()
        if (difference := found["against_single_path"]) and difference.interval[0] > 0
    ]


if __name__ == "__main__":
    run(main)
