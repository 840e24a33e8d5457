"""What a training step of the hypernetwork costs: of separate weights, entangled, with teachers.

    python -m benchmarks.training_step --check
    python -m benchmarks.training_step --resolution 64 --check
    python -m benchmarks.training_step --device cuda

Every stage is as deep as the space allows, and all variants take the same paths on the same batch.
On the CPU their steps are interleaved; the yardstick is a plain single-path step in torch's default
layout, which gains too from memory that is kept. The released Cream code was measured at 122
images/s (32 pixels) and 96 (64 pixels) where its own plain step made 206 and 149, so its speed here
is taken to be that share of the yardstick's. On a GPU each variant trains 200 steps in a row, eager
and compiled.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor

from benchmarks.command import judge, run, tell
from benchmarks.timing import timed
from pipeline.cli.console import progress_bars
from pipeline.device.target import host_slug
from pipeline.errors import UsageError
from pipeline.images.randomness import generator_for
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from pipeline.training.compute import Compute, compute_here
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.hypernetwork import keep_statistics
from pipeline.training.hypernetwork.matching import Matching, Pace
from pipeline.training.hypernetwork.path_sampling import PathSampler
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.learner import TrainingStep
from pipeline.training.memory import freed_memory_kept
from pipeline.training.optimizing import make_optimizer
from pipeline.training.processes import Processes
from pipeline.training.settings import Sharing, TrainSettings
from pipeline.work.progress import Progress, silent

Variant = Literal["default-layout", "single-path", "entangled", "cream"]
VARIANTS: tuple[Variant, ...] = ("default-layout", "single-path", "entangled", "cream")
CLASSES, BATCH, DEPTH = 10, 128, 4
# Steps after which a board is renewed.
ROUND = 20
# Of the paper's training, and of a short one, in which the matching network learns more often.
LONG, SHORT = 125_000, 1000
MOST_CREAM_RATIO = 1.5
MOST_ENTANGLED_RATIO = 1.0
# As exact as steps can be timed on a machine that does other work too.
_EXACT = 0.03
# Of the released code: images/s of its whole step, and of its plain one, by input size; and how
# many times its whole step ours is to be.
RELEASED = {32: (122, 206, 3.0), 64: (96, 149, 2.0)}


@dataclass(frozen=True)
class Deepest(PathSampler):
    """Draws networks whose stages are all as deep as the space allows."""

    def path(self, step: int, resolution: int) -> Architecture:
        """See `PathSampler`."""
        return self.of(
            torch.randint(
                len(self.space.operators),
                (len(self.space.stages), self.space.max_depth),
                generator=generator_for(self.seed, "path", step),
            ),
            resolution,
        )

    def of(self, operators: Tensor, resolution: int) -> Architecture:
        """The network of operators given by number, by stage and slot."""
        names = self.space.operators
        stages = tuple(tuple(names[i] for i in stage) for stage in operators.tolist())
        return Architecture(
            space=self.space.name,
            resolution=resolution,
            num_classes=self.num_classes,
            stages=stages,
        )


class Trainer:
    """One variant, ready to train.

    Args:
        variant: Which.
        resolution: Input side in pixels.
        compute: Where.
        compiled: Whether blocks are compiled first.
    """

    def __init__(
        self, variant: Variant, resolution: int, compute: Compute, *, compiled: bool = False
    ) -> None:
        self.variant: Variant = variant
        settings = TrainSettings(epochs=1, method="cream")
        space = get_space("cream").narrowed(max_depth=DEPTH)
        self.layout = (
            torch.contiguous_format if variant == "default-layout" else torch.channels_last
        )
        sharing: Sharing = "entangled" if variant == "entangled" else "separate"
        supernet = Supernet(space, CLASSES, seed=0, sharing=sharing).to(compute.device)
        self.supernet = supernet.to(memory_format=self.layout).train()
        keep_statistics(supernet, keep=variant == "default-layout")
        self.compute = _Plain(compute.device) if variant == "default-layout" else compute
        self.optimizer = make_optimizer(
            supernet,
            "adamw",
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.parameters = list(supernet.parameters())
        self.sampler = Deepest(space, CLASSES, seed=0)
        paths = Paths(self.sampler, (resolution,))
        common = (supernet, paths, self.compute, settings.label_smoothing)
        self.learner = SinglePath(*common)
        if variant == "cream":
            images = settings.matching_images
            batch = _batch(resolution, images, compute, torch.channels_last)
            held_out, processes = HeldOut({resolution: batch}), Processes()
            matching = Matching.of(
                supernet, held_out, compute=compute, processes=processes, steps=LONG, seed=0
            )
            # Due in the last step of each round, so that it is seen; what it costs counts as often
            # as it is really due.
            matching.every = ROUND
            self.learner = Cream(
                *common,
                settings=settings.teaching,
                held_out=held_out,
                matching=matching,
                processes=processes,
                starts_at=0,
                steps=LONG,
            )
        if compiled:
            for block in supernet.operators():
                block.compile()

    def step(self, images: Tensor, labels: Tensor, at: int) -> None:
        """One whole step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.learner.gradients(images, labels, TrainingStep(at, self.optimizer))
        self.compute.step(self.optimizer, self.parameters)

    def touch_every_operator(self, images: Tensor, labels: Tensor) -> None:
        """A pass through each operator of each slot, so that nothing is compiled later."""
        shape = (len(self.sampler.space.stages), DEPTH)
        for number in range(len(self.sampler.space.operators)):
            path = self.sampler.of(torch.full(shape, number), images.shape[-1])
            with self.compute.forward():
                loss = self.supernet(images, path).float().square().mean()
            self.compute.backward(loss)
            with torch.no_grad(), self.compute.forward():
                self.supernet(images, path)


class _Plain(Compute):
    """As convolutions come: no quicker way for small maps."""

    def forward(self) -> AbstractContextManager[object]:
        return nullcontext()


def _batch(
    resolution: int, n: int, compute: Compute, layout: torch.memory_format
) -> tuple[Tensor, Tensor]:
    generator = generator_for(0, "benchmark", resolution, n)
    images = torch.randn(n, 3, resolution, resolution, generator=generator)
    labels = torch.randint(0, CLASSES, (n,), generator=generator)
    return (
        images.to(compute.device).contiguous(memory_format=layout),
        labels.to(compute.device),
    )


def main(
    resolution: Annotated[int, typer.Option(help="Input side in pixels; 224 on a GPU.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help=f"Of {ROUND} steps.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 where a floor is missed.")] = False,
) -> None:
    """Prints images a second and memory of each variant."""
    if device == "cuda":
        told = on_gpu(224 if resolution == 32 else resolution)
    elif device == "cpu":
        with progress_bars() as progress, freed_memory_kept():
            told = on_cpu(resolution, rounds, progress("steps timed"))
    else:
        raise UsageError(f"--device {device}: cpu or cuda expected")
    tell(told, _lines, as_json=as_json)
    judge(_missed(told), check=check)


def on_cpu(resolution: int, rounds: int, progress: Progress = silent) -> dict[str, Any]:
    """Times the variants step by step in turn."""
    compute = Compute(torch.device("cpu"))
    trainers = [Trainer(variant, resolution, compute) for variant in VARIANTS]
    batches = {t.variant: _batch(resolution, BATCH, compute, t.layout) for t in trainers}
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    overhead_s = []
    for number in range(rounds + 1):
        # The first round fills the board and warms up.
        counts, first = number > 0, number * ROUND
        for at in range(first, first + ROUND):
            for trainer in trainers:
                taken, _ = timed(trainer.step, *batches[trainer.variant], at)
                if counts:
                    times[trainer.variant].append(taken)
            progress(at + 1, (rounds + 1) * ROUND)
        ended = [timed(trainer.learner.end_round)[0] for trainer in trainers]
        if counts:
            overhead_s.append(ended[-1])
    seconds = {variant: sum(taken) / len(taken) for variant, taken in times.items()}
    measured = (times["cream"], times["single-path"], overhead_s)
    seconds["cream"] = _cream_step_s(*measured, Pace.of(LONG).every)
    short_s = _cream_step_s(*measured, Pace.of(SHORT).every)
    return {
        "device": host_slug(),
        "resolution": resolution,
        "batch": BATCH,
        "depth": DEPTH,
        "threads": torch.get_num_threads(),
        "steps": rounds * ROUND,
        "step_ms": {variant: 1e3 * s for variant, s in seconds.items()},
        "images_per_second": {variant: BATCH / s for variant, s in seconds.items()},
        "entangled_over_separate": _median_ratio(times["entangled"], times["single-path"]),
        "cream_over_single_path": seconds["cream"] / seconds["single-path"],
        "cream_over_single_path_in_short_run": short_s / seconds["single-path"],
        "renewing_board_ms_a_step": 1e3 * sum(overhead_s) / len(overhead_s) / ROUND,
        "peak_memory_mib": {variant: _peak_memory_mib(variant, resolution) for variant in VARIANTS},
        "released_images_per_second": _released(resolution, BATCH / seconds["default-layout"]),
    }


def _median_ratio(times: list[float], others: list[float]) -> float:
    """Of steps on the same paths."""
    return statistics.median(one / other for one, other in zip(times, others, strict=True))


def _cream_step_s(
    cream: list[float], single: list[float], overhead_s: list[float], every: int
) -> float:
    """Seconds a step, with the board renewed once a round and the look ahead once in `every` steps.

    The step that looks ahead takes another path than the others; what it costs more is told by its
    ratio to the single-path step on the same path.
    """
    due = [step for step in range(len(cream)) if step % ROUND == ROUND - 1]
    plain = [step for step in range(len(cream)) if step % ROUND != ROUND - 1]
    mean = sum(single) / len(single)
    plain_ratio = sum(cream[i] for i in plain) / sum(single[i] for i in plain)
    due_ratio = sum(cream[i] for i in due) / sum(single[i] for i in due)
    ratio = plain_ratio + (due_ratio - plain_ratio) / every
    return mean * ratio + sum(overhead_s) / len(overhead_s) / ROUND


def on_gpu(resolution: int, steps: int = 200) -> dict[str, Any]:
    """Trains each variant so many steps, eager and compiled."""
    if not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; use --device cpu")
    compute = compute_here()
    told: dict[str, Any] = {
        "device": compute.name,
        "resolution": resolution,
        "batch": BATCH,
        "steps": steps,
        "images_per_second": {},
        "peak_memory_mib": {},
    }
    for compiled in (False, True):
        for variant in VARIANTS[1:]:
            name = f"{variant}, {'compiled' if compiled else 'eager'}"
            speed, memory_mib = time_on_gpu(variant, resolution, compute, steps, compiled)
            told["images_per_second"][name] = speed
            told["peak_memory_mib"][name] = memory_mib
    return told


def time_on_gpu(
    variant: Variant, resolution: int, compute: Compute, steps: int, compiled: bool
) -> tuple[float, float]:
    """Images a second of so many steps of one variant, and its peak memory in MiB."""
    trainer = Trainer(variant, resolution, compute, compiled=compiled)
    batch = _batch(resolution, BATCH, compute, trainer.layout)
    trainer.touch_every_operator(*batch)
    _train(trainer, batch, range(2 * ROUND))
    torch.cuda.reset_peak_memory_stats()
    taken, _ = timed(_train, trainer, batch, range(2 * ROUND, 2 * ROUND + steps))
    return BATCH * steps / taken, torch.cuda.max_memory_allocated() / 2**20


def _train(trainer: Trainer, batch: tuple[Tensor, Tensor], steps: range) -> None:
    for first in range(steps.start, steps.stop, ROUND):
        for at in range(first, first + ROUND):
            trainer.step(*batch, at)
        trainer.learner.end_round()
    if trainer.compute.device.type == "cuda":
        torch.cuda.synchronize()


def _peak_memory_mib(variant: Variant, resolution: int) -> float:
    """Largest resident memory of a process that trains the variant only."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory_here, (variant, resolution))


def _peak_memory_here(variant: Variant, resolution: int) -> float:
    compute = Compute(torch.device("cpu"))
    trainer = Trainer(variant, resolution, compute)
    with freed_memory_kept():
        _train(trainer, _batch(resolution, BATCH, compute, trainer.layout), range(ROUND))
    # What getrusage tells is handed down from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _released(resolution: int, yardstick: float) -> float | None:
    """Images/s of the released code's whole step on this machine, told by the yardstick."""
    if resolution not in RELEASED:
        return None
    whole, plain, _ = RELEASED[resolution]
    return yardstick * whole / plain


def _missed(told: dict[str, Any]) -> Iterator[str]:
    ratio = told.get("cream_over_single_path")
    if ratio is None:
        return
    entangled = told["entangled_over_separate"]
    if entangled > MOST_ENTANGLED_RATIO + _EXACT:
        yield (
            f"an entangled step takes {entangled:.2f} of a separate one; floor "
            f"{MOST_ENTANGLED_RATIO} (timed to {_EXACT})"
        )
    if ratio > MOST_CREAM_RATIO:
        yield f"a Cream step takes {ratio:.2f} of a single-path step; floor {MOST_CREAM_RATIO}"
    released = told["released_images_per_second"]
    if released is not None:
        times = told["images_per_second"]["cream"] / released
        floor = RELEASED[told["resolution"]][2]
        if times < floor:
            yield f"{times:.2f} times the released code's images/s; floor {floor}"


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for name, rate in told["images_per_second"].items():
        memory = told["peak_memory_mib"][name]
        yield f"{name:24s} {rate:8.0f} images/s {memory:8.0f} MiB"
    if "cream_over_single_path" in told:
        yield f"entangled over separate {told['entangled_over_separate']:9.2f}"
        yield f"cream over single-path   {told['cream_over_single_path']:8.2f}"
        short = told["cream_over_single_path_in_short_run"]
        yield f"in a run of {SHORT:,} steps {short:8.2f}"
    if told.get("released_images_per_second"):
        times = told["images_per_second"]["cream"] / told["released_images_per_second"]
        yield f"cream over released code {times:8.2f}"


if __name__ == "__main__":
    run(main)
