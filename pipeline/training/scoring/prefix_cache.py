"""Networks of the hypernetwork that begin alike are computed once up to where they part.

A candidate is judged in two passes: over calibration images, which every batch norm normalises
with each batch's own statistics and averages those, and then over the images to classify, which
are normalised with the averages. In both passes a block's output depends on the blocks before it
and on nothing behind it. So candidates are taken depth first through the tree of their leading
blocks, and where later candidates branch off, the outputs of both passes are kept on a stack. The
arithmetic of a candidate, and its order, are those of computing it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile

import torch
from torch import Tensor, nn

from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_macs
from pipeline.training.memory import freed_memory_kept
from pipeline.training.scoring.recalibration import calibrated_outputs, through, undisturbed
from pipeline.training.small_maps import SmallMaps


@dataclass(frozen=True)
class PassBatches:
    """What goes through the networks: images, and later what blocks have made of them.

    Attributes:
        calibration: Batches that batch-norm statistics are taken from.
        evaluation: Batches to classify.
    """

    calibration: list[Tensor]
    evaluation: list[Tensor]

    @property
    def num_images(self) -> int:
        """Images of both passes."""
        return sum(map(len, (*self.calibration, *self.evaluation)))


def evaluate_together(
    supernet: Supernet,
    architectures: Iterable[Architecture],
    images: PassBatches,
    on_evaluated: Callable[[Architecture, Sequence[Tensor]], None],
    *,
    most_bytes: int,
) -> None:
    """Recalibrates and evaluates many networks, computing what they share once.

    Where not everything fits into `most_bytes`, the outputs of the deepest blocks are kept: they
    are the smallest and the dearest to compute again. The hypernetwork is left as it was, also
    where an error ends the work.

    Args:
        supernet: Whose networks.
        architectures: All at the images' size; one that stands twice is evaluated once.
        images: Batches of shape (n, 3, r, r), on the supernet's device.
        on_evaluated: Told of each network as soon as it is evaluated: its logits, one tensor of
            shape (n, num_classes) an evaluation batch. The order is not that of `architectures`.
        most_bytes: Most memory that kept outputs take, to within a batch; the images and what a
            block needs while it computes come on top.

    Raises:
        ArchitectureError: The hypernetwork does not hold an architecture; none is evaluated then.
    """
    ordered = sorted(dict.fromkeys(architectures), key=_steps)
    paths = [supernet.path(architecture) for architecture in ordered]
    device = next(supernet.parameters()).device
    with (
        undisturbed(supernet, (module for path in paths for module in path)),
        torch.inference_mode(),
        freed_memory_kept(),
        SmallMaps() if device.type == "cpu" else nullcontext(),
    ):
        stack = _Stack(images, most_bytes)
        plan = zip(ordered, paths, _branching_levels(ordered), strict=True)
        for architecture, path, branching in plan:
            done = stack.evaluate(path, branching, _level_bytes(architecture, images))
            on_evaluated(architecture, done.evaluation)


def shared_macs_speedup(architectures: Iterable[Architecture]) -> float:
    """MACs of networks computed one by one, relative to those of computing them together.

    If time went with MACs, evaluation together would be so many times as fast; it is 1 where no
    two networks begin alike. An architecture that stands twice counts once.
    """
    alone = 0
    together: dict[tuple[str, ...], int] = {}
    for architecture in dict.fromkeys(architectures):
        steps = _steps(architecture)
        for level, placed in enumerate(architecture.operators(), start=1):
            macs = operator_macs(placed.spec)
            alone += macs
            together[steps[:level]] = macs
    return alone / sum(together.values())


def shares(architectures: Iterable[Architecture], count: int) -> list[list[Architecture]]:
    """Divides networks among processes; those that begin alike stay together.

    Args:
        architectures: Of any input sizes; one that stands twice is in one share, once.
        count: Most shares.

    Returns:
        Shares of about equal MACs, as computing each of them together takes; none is empty.
    """
    ordered = sorted(dict.fromkeys(architectures), key=_steps)
    ends = list(accumulate(_macs_of_own(ordered)))
    divided: list[list[Architecture]] = [[] for _ in range(count)]
    for architecture, start, end in zip(ordered, [0, *ends], ends, strict=False):
        middle = (start + end) / 2
        divided[int(count * middle / ends[-1])].append(architecture)
    return [share for share in divided if share]


def _macs_of_own(ordered: Sequence[Architecture]) -> Iterator[int]:
    """MACs of each of the sorted networks behind what it shares with the one before."""
    before: tuple[str, ...] = ()
    for architecture in ordered:
        steps = _steps(architecture)
        own = list(architecture.operators())[_num_shared(before, steps) :]
        yield sum(operator_macs(placed.spec) for placed in own)
        before = steps


class _Stack:
    """Outputs of the leading blocks that the last network evaluated shares with later ones.

    Args:
        images: Inputs of every network.
        most_bytes: Most memory the outputs take, to within a batch.
    """

    def __init__(self, images: PassBatches, most_bytes: int) -> None:
        # By the number of blocks that made them.
        self._levels = {0: images}
        self._most_bytes = most_bytes

    def evaluate(
        self, path: Sequence[nn.Module], branching: set[int], level_bytes: Sequence[int]
    ) -> PassBatches:
        """Logits of one network, from the deepest outputs that are there.

        Args:
            path: Its modules.
            branching: Levels at which later networks part from this one.
            level_bytes: Size of the outputs of each level, from 0 on.
        """
        level = max(self._levels)
        reached = self._levels[level]
        within_reach = {at for at in branching if at in self._levels or at > level}
        kept = {0} | _worth_keeping(within_reach, level_bytes, self._most_bytes)
        self._levels = {at: outputs for at, outputs in self._levels.items() if at in kept}
        for goal in sorted({at for at in kept if at > level} | {len(path)}):
            modules = path[level:goal]
            reached = _advanced(modules, reached, is_kept=level in self._levels)
            level = goal
            if level in kept:
                self._levels[level] = reached
        return reached


def _advanced(modules: Sequence[nn.Module], inputs: PassBatches, *, is_kept: bool) -> PassBatches:
    """Both passes through some modules; inputs that are not kept give way to the outputs."""
    calibration, evaluation = (
        iter(batches) if is_kept else _drained(batches)
        for batches in (inputs.calibration, inputs.evaluation)
    )
    # All of the first pass comes before the second: it makes the statistics.
    calibrated = calibrated_outputs(modules, calibration)
    return PassBatches(calibrated, [through(modules, batch) for batch in evaluation])


def _drained(batches: list[Tensor]) -> Iterator[Tensor]:
    while batches:
        yield batches.pop(0)


def _worth_keeping(levels: Iterable[int], level_bytes: Sequence[int], most_bytes: int) -> set[int]:
    """The deepest levels whose outputs fit in together."""
    kept: set[int] = set()
    for level in sorted(levels, reverse=True):
        if level_bytes[level] <= most_bytes:
            most_bytes -= level_bytes[level]
            kept.add(level)
    return kept


def _steps(architecture: Architecture) -> tuple[str, ...]:
    """Names of a network's blocks; equal leading names are equal blocks at equal input sizes."""
    return tuple(f"{placed.place} {placed.spec.key}" for placed in architecture.operators())


def _branching_levels(ordered: Sequence[Architecture]) -> list[set[int]]:
    """For each of the sorted networks, after how many blocks later ones part from it."""
    steps = [_steps(architecture) for architecture in ordered]
    shared = [_num_shared(*pair) for pair in pairwise(steps)]
    # What a network shares with one further on is the least that neighbours in between share.
    return [set(accumulate(shared[number:], min)) for number in range(len(ordered))]


def _num_shared(one: Sequence[str], other: Sequence[str]) -> int:
    same = (mine == theirs for mine, theirs in zip(one, other, strict=False))
    return sum(takewhile(bool, same))


def _level_bytes(architecture: Architecture, images: PassBatches) -> list[int]:
    """Bytes of the outputs after each number of blocks; the images themselves count as none."""
    element_bytes = images.num_images * images.evaluation[0].element_size()
    specs = [placed.spec for placed in architecture.operators()]
    return [0] + [spec.out_channels * spec.out_resolution**2 * element_bytes for spec in specs]
