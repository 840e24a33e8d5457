"""What it is worth that training keeps the memory it frees.

    python -m benchmarks.kept_memory
    python -m benchmarks.kept_memory --resolution 32

Processes on one thread train cream-14, in turn with memory kept and without.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated, Any

import torch
import typer
from torch.nn import functional as F

from benchmarks.command import run, tell
from benchmarks.timing import timed
from pipeline.cli.console import progress_bars
from pipeline.device.target import host_slug
from pipeline.network.network import build_network
from pipeline.space.architecture_file import published
from pipeline.training.compute import Compute
from pipeline.training.memory import freed_memory_kept

BATCH, WARM_STEPS, STEPS = 64, 3, 12


def main(
    resolution: Annotated[int, typer.Option(help="Input side in pixels.")] = 96,
    processes: Annotated[int, typer.Option(min=1, help="Of each kind.")] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints images a second, and pages that the system clears in a step, by process."""
    found: dict[str, list[tuple[float, float]]] = {"kept": [], "given back": []}
    with progress_bars() as progress:
        told = progress("processes")
        for number in range(processes):
            for place, (name, results) in enumerate(found.items()):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    results.append(pool.apply(_trained, (resolution, name == "kept")))
                told(2 * number + place + 1, 2 * processes)
    tell({"device": host_slug(), "resolution": resolution, "found": found}, _lines, as_json=as_json)


def _trained(resolution: int, kept: bool) -> tuple[float, float]:
    """Images a second, and pages a step, of one process."""
    torch.set_num_threads(1)
    compute = Compute(torch.device("cpu"))
    network = build_network(published("cream-14", resolution=resolution, num_classes=10), seed=0)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.randn(BATCH, 3, resolution, resolution)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (BATCH,))

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with compute.forward():
                loss = F.cross_entropy(network(images), labels)
            compute.backward(loss)
            optimizer.step()

    with freed_memory_kept() if kept else nullcontext():
        train(WARM_STEPS)
        before = _pages()
        taken_s, _ = timed(train, STEPS)
    return BATCH * STEPS / taken_s, (_pages() - before) / STEPS


def _pages() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for name, results in told["found"].items():
        speeds, pages = zip(*results, strict=True)
        yield (
            f"{name:12s} {sum(speeds) / len(speeds):6.0f} images/s"
            f" ({', '.join(f'{it:.0f}' for it in speeds)})"
            f"   {sum(pages) / len(pages):8.0f} pages a step"
        )


if __name__ == "__main__":
    run(main)
