"""How often `compare` calls a change where there is none, and finds one where there is.

    python -m benchmarks.changes --check

A network and the same with one more block are benchmarked in turn, several times each, as runs of a
recipe are: with the default protocol, on several targets, beside references. Then every benchmark
is compared with every other. Between two of one network each change that is called is false;
between the network and the larger one, `slower` is right.

Each benchmark is kept below `--folder`, apart for each study; one that was stopped goes on there.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import judge, run, tell
from pipeline.cli.console import progress_bars
from pipeline.comparing.measurements import UNCHANGED
from pipeline.comparing.runs import MODEL
from pipeline.comparing.sides import Measured, read_measured
from pipeline.comparing.targets import TargetsComparison, compare_targets
from pipeline.device.target import Target, host_slug
from pipeline.errors import UsageError
from pipeline.files.whole import digest_of, write_record
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import parse_short
from pipeline.trials.benchmark import BenchmarkSubject, benchmark, random_subject, reference_subject
from pipeline.work.progress import Progress

NETWORK = "cream@32c10:mb4_5x5,mb4_5x5/mb6_7x7,mb4_5x5/mb4_3x3/mb4_3x3,mb4_5x5/mb4_3x3"
TARGETS = "host/onnxruntime-fp32-b1-t1,host/onnxruntime-int8-b1-t1"
REFERENCES = ("mobilenetv3_small_100", "cream-14")
MOST_FALSE = 0.05
LEAST_FOUND = 0.8

Side = tuple[Measured, ...]
_STATISTICS: dict[str, Callable[[Measured], float]] = {
    "fastest run": lambda side: side.stats[MODEL].typical,
    "mean over sweeps": lambda side: statistics.geometric_mean(side.stats[MODEL].sweep_minima_ms),
}


def main(
    network: Annotated[str, typer.Option(help="SPACE@RESOLUTION:OPERATORS.")] = NETWORK,
    block: Annotated[str, typer.Option(help="What the larger one has more.")] = "mb6_7x7",
    stage: Annotated[int, typer.Option(min=1, help="At the end of which stage.")] = 1,
    targets: Annotated[str, typer.Option(help="Joined by commas.")] = TARGETS,
    campaigns: Annotated[int, typer.Option(min=2, help="Benchmarks of each network.")] = 6,
    folder: Annotated[Path, typer.Option(help="Where benchmarks are kept.")] = Path("runs/changes"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            help=f"Exit 1 if a change is called in over {MOST_FALSE:.0%} of pairs without one, or "
            f"found in less than {LEAST_FOUND:.0%} of those with one."
        ),
    ] = False,
) -> None:
    """Prints the shares of pairs in which a change is called."""
    same = parse_short(network)
    larger = with_block(same, block, stage)
    timed = [Target.parse(name) for name in targets.split(",")]
    networks = {"before": same, "after": larger}
    kept = place(folder, networks, timed)
    with progress_bars() as progress:
        before, after = _measured(networks, timed, campaigns, kept, progress("benchmarks"))
    told = {
        "device": host_slug(),
        "network": same.short,
        "block": f"{block} in stage {stage}",
        "targets": [target.setting for target in timed],
        "campaigns": campaigns,
        "unsteady_percent": [[side[0].unsteady_percent for side in of] for of in (before, after)],
        "typical_change_percent": _typical_change(before, after),
        "spread_percent": _spread(before),
        **_shares(before, after),
    }
    tell(told, _lines, as_json=as_json)
    missed = [
        *([f"false changes: {told['false']:.0%}"] if told["false"] > MOST_FALSE else []),
        *([f"changes found: {told['found']:.0%}"] if told["found"] < LEAST_FOUND else []),
    ]
    judge(missed, check=check)


def place(folder: Path, networks: Mapping[str, Architecture], targets: Sequence[Target]) -> Path:
    """Where the benchmarks of one study are kept: what was measured of others is not taken up."""
    study = [
        host_slug(),
        {name: network.short for name, network in networks.items()},
        [target.name for target in targets],
    ]
    return folder / digest_of(study)[:12]


def with_block(network: Architecture, block: str, stage: int) -> Architecture:
    """The network with one more block at the end of a stage, counted from 1."""
    if stage > len(network.stages):
        raise UsageError(f"stage is {stage}; {network.short} has {len(network.stages)}")
    stages = list(network.stages)
    stages[stage - 1] = (*stages[stage - 1], block)
    return network.model_copy(update={"stages": tuple(stages)})


def _measured(
    networks: Mapping[str, Architecture],
    targets: Sequence[Target],
    campaigns: int,
    folder: Path,
    progress: Progress,
) -> list[list[Side]]:
    """Benchmarks of the networks in turn, so that what the machine does happens to both."""
    total = campaigns * len(networks)
    found: dict[str, list[Side]] = {name: [] for name in networks}
    for number, name in itertools.product(range(campaigns), networks):
        kept = folder / f"{name}-{number}"
        record = kept / "record.json"
        if not record.exists():
            write_record(record, _benchmark(networks[name], targets, kept, seed=number))
        found[name].append(read_measured(str(record)))
        progress(sum(map(len, found.values())), total)
    return list(found.values())


def _benchmark(
    network: Architecture, targets: Sequence[Target], folder: Path, *, seed: int
) -> BenchmarkRecord:
    named = network.model_copy(update={"name": MODEL})
    main, *others = targets
    size = network.resolution, network.num_classes
    groups: dict[Target, list[BenchmarkSubject]] = {
        main: [
            random_subject(named, main),
            *(reference_subject(name, *size, main) for name in REFERENCES),
        ]
    }
    groups |= {target: [random_subject(named, target)] for target in others}
    # What a busy machine does is the question.
    protocol = TimingProtocol(unsteady_percent=1000)
    return benchmark(groups, protocol=protocol, folder=folder, seed=seed)


def _shares(before: list[Side], after: list[Side]) -> dict[str, Any]:
    """Over all targets at once, as runs are compared, and on each alone."""
    alone = [side.setting for side in before[0]]

    def on(setting: str) -> Callable[[Side], Side]:
        return lambda side: tuple(it for it in side if it.setting == setting)

    return {
        "unchanged_pairs": len([*_pairs(before), *_pairs(after)]),
        "changed_pairs": len(before) * len(after),
        "false": _share_false(before, after, tuple),
        "found": _share_found(before, after, tuple),
        "by_target": {
            setting: {
                "false": _share_false(before, after, on(setting)),
                "found": _share_found(before, after, on(setting)),
            }
            for setting in alone
        },
    }


def _pairs(sides: list[Side]) -> Iterator[tuple[Side, Side]]:
    return itertools.permutations(sides, 2)


def _share_false(before: list[Side], after: list[Side], part: Callable[[Side], Side]) -> float:
    pairs = (*_pairs(before), *_pairs(after))
    return statistics.mean(
        any(_verdicts(compare_targets(part(one), part(other)))) for one, other in pairs
    )


def _share_found(before: list[Side], after: list[Side], part: Callable[[Side], Side]) -> float:
    return statistics.mean(
        (MODEL, "slower") in _verdicts(compare_targets(part(one), part(other)))
        for one, other in itertools.product(before, after)
    )


def _verdicts(found: TargetsComparison) -> set[tuple[str, str]]:
    return {
        (subject.name, subject.verdict)
        for record in found.targets
        for subject in record.subjects
        if subject.verdict != UNCHANGED
    }


def _typical_change(before: list[Side], after: list[Side]) -> dict[str, float]:
    """Of the medians over campaigns."""
    return {
        setting: 100 * (_median_ms(after, place) / _median_ms(before, place) - 1)
        for place, setting in enumerate(side.setting for side in before[0])
    }


def _spread(sides: list[Side]) -> dict[str, dict[str, float]]:
    """Standard deviation between benchmarks of one network, by what its level is taken to be."""
    return {
        setting: {
            name: 100 * statistics.stdev(math.log(statistic(side[place])) for side in sides)
            for name, statistic in _STATISTICS.items()
        }
        for place, setting in enumerate(side.setting for side in sides[0])
    }


def _median_ms(sides: Iterable[Side], place: int) -> float:
    return statistics.median(side[place].stats[MODEL].typical for side in sides)


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [
        f"{told['network']} and one more {told['block']}, {told['campaigns']} benchmarks of each",
        "",
        "a change was             called, where nothing changed   found   of",
        f"{'on any target':26s} {told['false']:28.1%} {told['found']:7.1%}",
    ]
    for setting, share in told["by_target"].items():
        cost = told["typical_change_percent"][setting]
        lines.append(f"{setting:26s} {share['false']:28.1%} {share['found']:7.1%}   {cost:+.1f} %")
    lines += ["", "spread between benchmarks".ljust(32) + "   ".join(_STATISTICS)]
    for setting, spread in told["spread_percent"].items():
        lines.append(
            f"{setting:26s} "
            + "".join(f"{spread[name]:{len(name) + 3}.1f} %" for name in _STATISTICS)
        )
    return lines


if __name__ == "__main__":
    run(main)
