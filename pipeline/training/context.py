"""Where a training runs and where to, whatever is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

from pipeline.errors import UsageError
from pipeline.training.compute import Compute, compute_here
from pipeline.training.memory import freed_memory_kept
from pipeline.training.processes import Processes, joined
from pipeline.work.progress import Progress


@dataclass(frozen=True)
class TrainingContext:
    """What the trainings of the hypernetwork and of a single network have in common.

    Attributes:
        folder: Takes weights, the log, and a checkpoint while training.
        seed: Of all randomness.
        progress: Told about every round.
        compute: Device and precision.
        processes: Who else trains the same.
    """

    folder: Path
    seed: int
    progress: Progress
    compute: Compute
    processes: Processes

    def place(self, model: nn.Module, *, sync_batch_norm: bool = False) -> None:
        """Moves a model to the device, in the memory layout that its convolutions prefer."""
        if sync_batch_norm:
            convert_sync_batchnorm(model)
        model.to(self.compute.device).to(memory_format=torch.channels_last)


def check_sync_batch_norm(section: str, compute: Compute) -> None:
    """Refuses batch norm over several processes where there is no GPU.

    Args:
        section: Of the recipe that asks for it.
        compute: Where it is to run.

    Raises:
        UsageError: There is none.
    """
    if compute.device.type != "cuda":
        raise UsageError(
            f"{section}.sync_batch_norm works on GPUs only; this machine has none",
            hint=f"--set {section}.sync_batch_norm=false",
        )


@contextmanager
def training_context(folder: Path, seed: int, progress: Progress) -> Iterator[TrainingContext]:
    """Joins the processes that `torchrun` started, each with its own device."""
    with joined() as processes, freed_memory_kept():
        yield TrainingContext(folder, seed, progress, compute_here(), processes)
