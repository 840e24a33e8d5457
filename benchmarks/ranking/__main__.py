"""How well a hypernetwork ranks networks: shared weights against training each alone.

    python -m benchmarks.ranking --data FOLDER --check

Networks in windows of equal latency, at two input sizes (see `benchmarks.ranking.design`), are
trained alone, with two seeds each: the mean on test is the truth. Then hypernetworks are trained by
each method, at both sizes at once, for about as many core-seconds, and score the same networks by
log-loss on search-validation, which nothing else looks at. Methods, "more MACs first" and "deeper
first" are compared over all pairs of networks, within an input size, at equal MACs and inside
windows of latency; beside them stands what a perfect predictor would reach against a truth that is
as uncertain as this one. Everything is kept as it is made, in `runs/ranking`: a study that was
stopped goes on. `--data` is not needed where everything is kept already.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.command import chosen_methods, judge, run, tell
from benchmarks.jobs import answered
from benchmarks.ranking.design import CLASSES, DATASET, Design, read_design
from benchmarks.ranking.methods import (
    KNOWN,
    METHODS,
    TRANSFORMED,
    VARIATIONS,
    Hypernetwork,
    HypernetworkResult,
    settings_of,
    train_and_score,
)
from benchmarks.ranking.statistics import (
    Agreement,
    Difference,
    Pairs,
    Values,
    agreement,
    compared,
    pairs_where,
    regret,
    reliability,
)
from benchmarks.ranking.truth import AloneResult, Epochs, Images, Results, trained_alone
from pipeline.cli.console import progress_bars
from pipeline.errors import UsageError

FLOOR_TAU = 0.5
BASELINE = "more MACs first"
_EQUAL_MACS = 0.1
"""Relative difference up to which MACs count as equal."""


def main(
    data: Images = Path(DATASET),
    seeds: Annotated[int, typer.Option(min=2, help="Of each network alone.")] = 2,
    epochs: Epochs = 6,
    hypernetworks: Annotated[int, typer.Option(min=1, help="Seeds of each method.")] = 1,
    methods: Annotated[
        str, typer.Option(help=f"Joined by semicolons; also: {'; '.join(VARIATIONS)}.")
    ] = ";".join(METHODS),
    paths_an_image: Annotated[
        float, typer.Option(min=1, help="Of a single-path hypernetwork; others cost the same.")
    ] = 12,
    folder: Results = Path("runs/ranking"),
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the pictures of docs/ranking.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[
        bool,
        typer.Option(
            help=f"Exit 1 unless the best method's tau is at least {FLOOR_TAU} and above that of "
            f"{BASELINE} beyond chance."
        ),
    ] = False,
) -> None:
    """Prints how well each method ranks networks, over which pairs, and what its choices cost."""
    names = chosen_methods(methods, KNOWN)
    folder.mkdir(parents=True, exist_ok=True)
    design = read_design(folder / "design.json", CLASSES)
    trained = [
        Hypernetwork(
            settings=settings_of(name, paths_an_image),
            dataset=data.name,
            seed=seed,
            networks=design.architectures,
            transformed=name == TRANSFORMED,
        )
        for name in names
        for seed in range(hypernetworks)
    ]
    with progress_bars() as progress:
        truth = trained_alone(
            design.architectures,
            starts=["identity"],
            seeds=seeds,
            epochs=epochs,
            data=data,
            folder=folder,
            progress=progress("trained alone"),
        )
        scored = answered(
            trained,
            partial(train_and_score, data=data),
            HypernetworkResult,
            folder / "hypernetworks.jsonl",
            progress("hypernetworks"),
        )
    runs = {
        name: scored[place * hypernetworks : (place + 1) * hypernetworks]
        for place, name in enumerate(names)
    }
    told = _told(design, truth, runs, seeds)
    if plots:
        from benchmarks.ranking.plots import draw

        draw(told, plots)
    tell(told, _lines, as_json=as_json)
    judge(_missed(told), check=check)


@dataclass(frozen=True)
class _Studied:
    """What statistics are taken of.

    Attributes:
        truth: Percent on test, by seed and network.
        scores: By name, by run and network, larger is better.
        pairs: By name.
    """

    design: Design
    truth: Values
    scores: dict[str, Values]
    pairs: dict[str, Pairs]


def _told(
    design: Design,
    truth: list[AloneResult],
    runs: dict[str, list[HypernetworkResult]],
    seeds: int,
) -> dict[str, Any]:
    networks = design.networks
    n = len(networks)
    macs = np.array([it.macs for it in networks], dtype=float)
    size = [it.architecture.resolution for it in networks]
    studied = _Studied(
        design,
        np.array([it.test_percent for it in truth]).reshape(seeds, n),
        {
            **{name: -np.array([it.log_loss for it in of]) for name, of in runs.items()},
            BASELINE: macs[None],
            "deeper first": np.array([[float(it.architecture.depth) for it in networks]]),
        },
        {
            "all": pairs_where(lambda i, j: True, n),
            "same input size": pairs_where(lambda i, j: size[i] == size[j], n),
            "equal MACs": pairs_where(
                lambda i, j: abs(macs[i] - macs[j]) <= _EQUAL_MACS * min(macs[i], macs[j]), n
            ),
            "equal latency": pairs_where(lambda i, j: networks[i].window == networks[j].window, n),
        },
    )
    groups = {
        "all": [0] * n,
        "same input size": size,
        "equal latency": [it.window for it in networks],
    }
    by_epoch = np.array([it.by_epoch_percent for it in truth])
    return {
        "dataset": truth[0].question.dataset,
        "networks": [it.model_dump(mode="json") for it in networks],
        "alone_percent": studied.truth.tolist(),
        "alone_core_seconds": sum(it.seconds for it in truth),
        "last_epoch_gain_percent": float((by_epoch[:, -1] - by_epoch[:, -2]).mean()),
        "reliability": {
            name: asdict(reliability(studied.truth, of)) for name, of in groups.items()
        },
        "methods": {name: _judged(studied, name, runs.get(name, [])) for name in studied.scores},
        "regret": {
            name: asdict(found)
            for name, found in regret(
                studied.truth, studied.scores, [it.window for it in networks]
            ).items()
        },
    }


def _judged(studied: _Studied, name: str, runs: list[HypernetworkResult]) -> dict[str, Any]:
    truth, scores, pairs = studied.truth, studied.scores, studied.pairs
    return {
        "tau": {of: agreement(truth, scores[name], some) for of, some in pairs.items()},
        "against_more_macs": None
        if name == BASELINE
        else compared(truth, scores[name], scores[BASELINE], pairs["all"]),
        "scores": scores[name].tolist(),
        "core_seconds": [it.seconds for it in runs],
    }


def _lines(told: dict[str, Any]) -> list[str]:
    out = [
        f"{len(told['networks'])} networks of {told['dataset']}, {len(told['alone_percent'])} "
        f"seeds; 95 % intervals over networks; the last epoch gained "
        f"{told['last_epoch_gain_percent']:.2f} points"
    ]
    for of, found in told["reliability"].items():
        out.append(
            f"truth, {of}: networks {found['signal_std']:.2f} points, seeds "
            f"{found['seed_std']:.2f}; reliability {found['reliability']:.2f}, a perfect "
            f"predictor's tau {found['ceiling_tau']:.2f}"
        )
    for name, method in told["methods"].items():
        taus: dict[str, Agreement] = method["tau"]
        out.append(
            f"{name:34s}"
            + "   ".join(
                f"{of} {found.tau:.2f} [{found.interval[0]:.2f}, {found.interval[1]:.2f}]"
                for of, found in taus.items()
            )
        )
        against: Difference | None = method["against_more_macs"]
        if against:
            low, high = against.interval
            out.append(f"{'':34s}against {BASELINE}: {against.tau:+.2f} [{low:+.2f}, {high:+.2f}]")
    for name, found in told["regret"].items():
        low, high = found["interval"]
        out.append(f"regret, {name:28s}{found['percent']:.2f} points [{low:.2f}, {high:.2f}]")
    return out


def _missed(told: dict[str, Any]) -> list[str]:
    trained = {name: it for name, it in told["methods"].items() if it["core_seconds"]}
    if not trained:
        raise UsageError("no hypernetwork was trained, so nothing can be checked")
    best = max(trained, key=lambda name: trained[name]["tau"]["all"].tau)
    tau, against = trained[best]["tau"]["all"].tau, trained[best]["against_more_macs"]
    missed = []
    if tau < FLOOR_TAU:
        missed.append(f"{best} ranks best, with tau {tau:.2f}; floor {FLOOR_TAU}")
    if against.interval[0] <= 0:
        missed.append(
            f"{best} is not above {BASELINE} beyond chance: {against.tau:+.2f}, 95 % interval "
            f"{against.interval[0]:+.2f} to {against.interval[1]:+.2f}"
        )
    return missed


if __name__ == "__main__":
    run(main)
