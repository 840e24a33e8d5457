"""How accurate a network each search strategy finds with the same number of evaluations.

    python -m benchmarks.search_quality --check

A hypernetwork of `cream`, at most three blocks a stage, is trained on Fashion-MNIST at 32 pixels by
the paper's method, so that it has a board of prioritized paths. Limits on MACs and on latency are
in the middle of what the space reaches. Then each strategy searches with several seeds:

* random: distinct random networks, each walked into the limits;
* plain evolution: `surrogate_share: 0`, no surrogate and no exact front;
* seeded evolution: the default, with a surrogate and seeds from its exact front;
* exact: half of the budget fits the surrogate, the other half is its exact front;
* board: the paper's own way, the prioritized paths. It scores as many networks as the board has,
  so it is compared with the others at that number of evaluations.

What is compared is the best score: the lowest log-loss of a network with the hypernetwork's
weights, on images of search-validation, batch norm recalibrated, told as the accuracy that goes
with it among all networks of the study. Scores are deterministic, so a network that several
strategies ask for is scored once; each is charged for it. The best of many scores flatters itself,
so the networks that are chosen, by what is expected of them, also have their hits counted on the
images of search-validation that the search did not see. Intervals are over seeds of the search
(Student's t); there is one hypernetwork, so they say nothing of other ones. Where a setting was
chosen by these figures, `--first-seed` and `--hypernetwork` take searches and weights not looked at
before.

Everything is kept as it is made, in `runs/search-quality`: a study that was stopped goes on.
Latency is predicted from the shipped table, on any machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.command import judge, run, tell
from benchmarks.means import Mean, mean_difference, mean_of
from benchmarks.search_quality.curves import steps
from benchmarks.search_quality.setup import RESOLUTION, SPACE, TARGET, Scores, Study
from benchmarks.search_quality.strategies import (
    BOARD,
    PLAIN,
    RANDOM,
    SEEDED,
    STRATEGIES,
    Run,
    searched,
)
from pipeline.cli.console import progress_bars
from pipeline.device.target import host_slug
from pipeline.files.whole import write_atomic
from pipeline.records.scores import AccuracyScale
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.network_score import scale_of
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import ProgressFactory

RESULTS = Path(__file__).with_name("results.json")
PICTURE = Path(__file__).parents[2] / "docs" / "search-quality.svg"
Runs = dict[str, list[Run]]


def main(
    budget: Annotated[int, typer.Option(min=20, help="Evaluations of each search.")] = 150,
    seeds: Annotated[int, typer.Option(min=1, help="Of each strategy.")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, help="Of the searches.")] = 0,
    hypernetwork: Annotated[int, typer.Option(min=0, help="Seed of its training.")] = 0,
    dataset: Annotated[str, typer.Option(help="fashion-mnist or digits.")] = "fashion-mnist",
    max_train: Annotated[int, typer.Option(min=1, help="Training images.")] = 20_000,
    epochs: Annotated[int, typer.Option(min=1, help="Of the hypernetwork.")] = 12,
    images: Annotated[int, typer.Option(min=1, help="A score is on.")] = ScoreSettings().images,
    folder: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(
        "runs/search-quality"
    ),
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the results and picture that docs/ shows.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool, typer.Option(help="Exit 1 if the default is behind random or plain evolution.")
    ] = False,
) -> None:
    """Prints the best score of each strategy, and the differences."""
    study = Study(
        dataset=dataset,
        max_train=max_train,
        train=TrainSettings(method="cream", epochs=epochs),
        score=ScoreSettings(images=images),
        hypernetwork=hypernetwork,
        folder=folder,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bars() as progress:
        told = _studied(study, budget, range(first_seed, first_seed + seeds), progress)
    content = json.dumps(told, indent=1) + "\n"
    write_atomic(folder / "results.json", content)
    if publish:
        from benchmarks.search_quality.plots import draw

        write_atomic(RESULTS, content)
        draw(told, PICTURE)
    tell(told, _lines, as_json=as_json)
    judge(_behind(told), check=check)


def _studied(
    study: Study, budget: int, seeds: Sequence[int], progress: ProgressFactory
) -> dict[str, Any]:
    trained = study.trained(progress("training the hypernetwork"))
    board = [path.architecture for path in trained.board]
    images = min(study.score.images, study.images.record.num_search_validation)
    with study.scores(trained, images) as scores:

        def ran(strategy: str, count: int, seed: int) -> Run | None:
            title = f"{strategy}, seed {seed}, {count} evaluations"
            return searched(
                strategy,
                study.problem,
                scores,
                budget=count,
                seed=seed,
                board=board,
                progress=progress(title),
            )

        runs = {name: [_found(ran(name, budget, seed)) for seed in seeds] for name in STRATEGIES}
        of_board = ran(BOARD, max(2, len(board)), seeds[0]) if board else None
        cost = len(of_board.networks) if of_board else 0
        # Strategies plan by their budget, so a small one is a search of its own.
        small: Runs = {}
        if of_board and cost >= 2:
            small = {name: [_found(ran(name, cost, seed)) for seed in seeds] for name in STRATEGIES}
            small[BOARD] = [of_board]
    winners = [each.chosen for part in (runs, small) for of in part.values() for each in of]
    unseen = _unseen(study, trained, scores, winners, images, progress)
    scale = scale_of(list(scores.asked.values()))
    return {
        "made_by": "python -m benchmarks.search_quality",
        "device": host_slug(),
        "space": SPACE.name,
        "max_depth": SPACE.max_depth,
        "resolution": RESOLUTION,
        "target": TARGET,
        "limits": study.problem.limits.model_dump(exclude_none=True),
        "dataset": study.dataset,
        "train": {"images": study.max_train, "seconds": trained.seconds}
        | study.train.model_dump(include={"method", "epochs"}),
        "score_images": images,
        "recalibration_images": study.score.recalibration_images,
        "budget": budget,
        "seeds": list(seeds),
        "hypernetwork_seed": study.hypernetwork,
        "strategies": {name: _strategy(of, budget, unseen, scale) for name, of in runs.items()},
        "differences": _differences(runs, SEEDED, (RANDOM, PLAIN), unseen, scale),
        "board": len(board),
        "board_evaluations": cost,
        "at_board_evaluations": {
            name: _strategy(of, cost, unseen, scale) for name, of in small.items()
        },
        "scores": {
            "distinct_networks": len(scores.asked),
            "percent_per_nat": scale.percent_per_nat,
            "of_all": _spread([scale.percent(it.log_loss_nats) for it in scores.asked.values()]),
            "of_random_networks": _spread(
                [scale.percent(nats) for one in runs[RANDOM] for nats in one.log_losses_nats]
            ),
        },
    }


def _found(one: Run | None) -> Run:
    if one is None:
        raise AssertionError("limits in the middle of their ranges can be met")
    return one


def _unseen(
    study: Study,
    trained: Any,
    scores: Scores,
    winners: Sequence[Architecture],
    images: int,
    progress: ProgressFactory,
) -> dict[str, float]:
    """Chosen networks' accuracy on the images of search-validation that scores are not made of."""
    everything = study.images.record.num_search_validation
    if everything <= images:
        return {}
    distinct = list(dict.fromkeys(winners))
    told = progress("winners on unseen images")
    with study.scores(trained, everything) as of_all:
        on_all = of_all.of(distinct)
    told(len(distinct), len(distinct))
    return {
        winner.short: (
            everything * it.accuracy_percent - images * scores.asked[winner.short].accuracy_percent
        )
        / (everything - images)
        for winner, it in zip(distinct, on_all, strict=True)
    }


def _strategy(
    runs: Sequence[Run], evaluations: int, unseen: dict[str, float], scale: AccuracyScale
) -> dict[str, Any]:
    curves = [one.best_so_far(evaluations, scale) for one in runs]
    winners = [unseen[one.chosen.short] for one in runs if unseen]
    return {
        "best_percent": _told(mean_of([curve[-1] for curve in curves])),
        "unseen_percent": _told(mean_of(winners)) if winners else None,
        "evaluations": [len(one.networks) for one in runs],
        "winners": [one.chosen.short for one in runs],
        "curves": [steps(curve) for curve in curves],
        "surrogate": [one.fit.model_dump() for one in runs if one.fit],
    }


def _differences(
    runs: Runs,
    ours: str,
    others: Sequence[str],
    unseen: dict[str, float],
    scale: AccuracyScale,
) -> dict[str, dict[str, Any]]:
    def best(name: str) -> list[float]:
        return [scale.percent(min(one.log_losses_nats)) for one in runs[name]]

    def best_unseen(name: str) -> list[float]:
        return [unseen[one.chosen.short] for one in runs[name]]

    return {
        f"{ours} - {other}": {
            "best_percent": _told(mean_difference(best(ours), best(other))),
            "unseen_percent": _told(mean_difference(best_unseen(ours), best_unseen(other)))
            if unseen
            else None,
        }
        for other in others
    }


def _told(mean: Mean) -> dict[str, float | None]:
    ends = {"mean": mean.percent, "low": mean.low_percent, "high": mean.high_percent}
    return {name: end if end is None else round(end, 4) for name, end in ends.items()}


def _spread(percents: Sequence[float]) -> dict[str, float]:
    least, median, most = np.percentile(percents, (0, 50, 100))
    return {
        "least": round(float(least), 4),
        "median": round(float(median), 4),
        "most": round(float(most), 4),
        "std": round(float(np.std(percents)), 4),
    }


def _lines(told: dict[str, Any]) -> list[str]:
    def line(name: str, found: dict[str, Any]) -> str:
        unseen = found["unseen_percent"]
        beside = f"   on unseen images {_interval(unseen)}" if unseen else ""
        return f"{name:36s} {_interval(found['best_percent'])}{beside}"

    spread = told["scores"]["of_random_networks"]
    lines = [
        f"best score, told as accuracy in percent, after {told['budget']} evaluations, "
        f"{len(told['seeds'])} seeds, 95 % intervals",
        *(line(name, found) for name, found in told["strategies"].items()),
        *(line(name, found) for name, found in told["differences"].items()),
        f"after {told['board_evaluations']} evaluations, as many as the board's paths",
        *(line(name, found) for name, found in told["at_board_evaluations"].items()),
        f"{told['scores']['distinct_networks']} distinct networks; random ones within the limits "
        f"score {spread['least']:.2f} to {spread['most']:.2f}, standard deviation "
        f"{spread['std']:.2f}",
    ]
    fits = told["strategies"][SEEDED]["surrogate"]
    if fits:
        error, of_mean, tau = (
            np.mean([fit[key] for fit in fits])
            for key in ("error_percent", "mean_error_percent", "kendall_tau")
        )
        lines.append(
            f"surrogate of {fits[0]['samples']} scores: error {error:.2f} points on left-out ones "
            f"(their mean alone: {of_mean:.2f}), tau {tau:.2f}"
        )
    return lines


def _interval(mean: dict[str, Any]) -> str:
    if mean["low"] is None:
        return f"{mean['mean']:6.2f}"
    return f"{mean['mean']:6.2f} [{mean['low']:.2f}, {mean['high']:.2f}]"


def _behind(told: dict[str, Any]) -> list[str]:
    best = {name: found["best_percent"]["mean"] for name, found in told["strategies"].items()}
    return [
        f"{SEEDED}: {best[SEEDED]:.2f} % on average, {other} {best[other]:.2f} %"
        for other in (RANDOM, PLAIN)
        if best[SEEDED] < best[other]
    ]


if __name__ == "__main__":
    run(main)
