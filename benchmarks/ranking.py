"""How well a hypernetwork ranks networks: shared weights against training each alone.

    python benchmarks/ranking.py --check

Random networks that span the MACs of the space are trained alone, with two seeds each; the mean is
the truth, and how well one seed ranks by the other is the most that can be expected. Then the
hypernetwork is trained by each method, with several seeds, and scores the same networks. Kendall's
tau and Spearman's rho come with bootstrap intervals over networks; methods are compared with
single-path training on the same resampled networks. Everything is kept as it is made, in
`runs/ranking`: a study that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from ranking_methods import METHODS, hypernetwork_scores
from ranking_statistics import Agreement, agreement, compared, seeds_agreement
from ranking_truth import CLASSES, RESOLUTION, SPACE, Question, answers, spread_over_macs

from pipeline.console import progress_bars
from pipeline.cost import architecture_cost
from pipeline.errors import PipelineError
from pipeline.training.settings import RetrainSettings

DATASET = "fashion-mnist"
# A fixed design: any first part of it spans the MACs, so fewer networks are the same ones.
DESIGN, STRIDE = 36, 25
BASELINE = "single-path"


def main(
    networks: Annotated[int, typer.Option(min=8, max=DESIGN)] = 30,
    seeds: Annotated[int, typer.Option(min=2, help="Of each network alone.")] = 2,
    hypernetworks: Annotated[int, typer.Option(min=1, help="Seeds of each method.")] = 3,
    methods: Annotated[str, typer.Option(help="Names, joined by commas.")] = ",".join(METHODS),
    max_train: Annotated[int, typer.Option(help="Training images.")] = 15_000,
    alone_epochs: int = 6,
    hypernetwork_epochs: Annotated[float, typer.Option(help="Paths an image is seen by.")] = 16,
    folder: Path = Path("runs/ranking"),
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool, typer.Option(help="Exit 1 if the default method is beaten beyond chance.")
    ] = False,
) -> None:
    """Prints each method's rank correlation with the truth."""
    design = spread_over_macs(SPACE, DESIGN, seed=0)
    chosen = [design[index * STRIDE % DESIGN] for index in range(networks)]
    folder.mkdir(parents=True, exist_ok=True)
    questions = [
        Question(
            architecture=network,
            dataset=DATASET,
            max_train=max_train,
            settings=RetrainSettings(epochs=alone_epochs),
            seed=seed,
        )
        for network in chosen
        for seed in range(seeds)
    ]
    with progress_bars() as progress:
        alone = answers(questions, folder / "alone.jsonl", progress("networks trained alone"))
        scored = {
            name: [
                hypernetwork_scores(
                    name,
                    chosen,
                    dataset=DATASET,
                    max_train=max_train,
                    paths_an_image=hypernetwork_epochs,
                    seed=seed,
                    journal=folder / "hypernetworks.jsonl",
                    progress=progress(f"{name}, seed {seed}"),
                )
                for seed in range(hypernetworks)
            ]
            for name in methods.split(",")
        }
    truth = [[a.percent for a in alone if a.question.seed == seed] for seed in range(seeds)]
    told = {
        "space": SPACE.name,
        "max_depth": SPACE.max_depth,
        "resolution": RESOLUTION,
        "classes": CLASSES,
        "dataset": DATASET,
        "max_train": max_train,
        "networks": [network.short for network in chosen],
        "macs": [architecture_cost(network).macs for network in chosen],
        "alone_percent": truth,
        "alone_seconds": sum(a.seconds for a in alone),
        "ceiling": seeds_agreement(truth),
        "fewer_macs": agreement(truth, [[-architecture_cost(n).macs for n in chosen]]),
        "methods": {
            name: {
                "agreement": agreement(truth, [run.percent for run in runs]),
                "against_single_path": compared(
                    truth, [r.percent for r in runs], [r.percent for r in scored[BASELINE]]
                )
                if BASELINE in scored and name != BASELINE
                else None,
                "hypernetwork_percent": [run.percent for run in runs],
                "training_seconds": [run.seconds for run in runs],
            }
            for name, runs in scored.items()
        },
    }
    if as_json:
        sys.stdout.write(json.dumps(told, default=lambda value: value.__dict__) + "\n")
    else:
        _print(told)
    if check:
        _check(told)


def _print(told: dict[str, Any]) -> None:
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
    sys.stdout.write("\n".join(out) + "\n")


def _check(told: dict[str, Any]) -> None:
    better = [
        f"{name}: tau is better than that of {BASELINE}, the default, by {difference.tau:.3f}, "
        f"95 % interval {difference.interval[0]:.3f} to {difference.interval[1]:.3f}"
        for name, found in told["methods"].items()
        if (difference := found["against_single_path"]) and difference.interval[0] > 0
    ]
    if better:
        sys.stderr.write("\n".join(better) + "\n")
        raise typer.Exit(1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except PipelineError as error:
        sys.exit(f"{error.message}\ntry: {error.hint}" if error.hint else error.message)
