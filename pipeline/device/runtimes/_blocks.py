"""Which block of a network each node of an engine's graph belongs to.

Nodes of an exported network are called `<module>/<operation>` and their outputs `<node>:<index>`
(export names them). Engines rename what they fuse and add suffixes, but keep such a name in
front; what they put in has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np

from pipeline.device.runtimes import REST, LayerTimes
from pipeline.errors import MeasurementError

_STEM = "conv_stem"
_TAIL = "tail"
_STEM_MODULES = frozenset({_STEM, "bn1"})
_BLOCK = re.compile(r"(blocks\.(\d+)\.\d+)(?:\.|$)")


class ProfiledRun(Protocol):
    """One run with an engine's profiler on."""

    @property
    def total_ms(self) -> float:
        """Of the whole run."""

    @property
    def nodes_ms(self) -> Sequence[float]:
        """Of each node, in the order in which they ran."""


_Run = TypeVar("_Run", bound=ProfiledRun)


def module_of(name: str) -> str | None:
    """The module in a node's or a tensor's name; None where the engine put the node in."""
    module, slash, _ = name.partition("/")
    return module if slash else None


def faster_half(runs: Sequence[_Run]) -> list[_Run]:
    """The runs that count: a disturbance makes a run slower, never faster."""
    return sorted(runs, key=lambda run: run.total_ms)[: -(-len(runs) // 2)]


def attribute_mean(
    modules: Sequence[str | None], runs: Sequence[ProfiledRun], model: str
) -> LayerTimes:
    """Adds the mean times of nodes over some runs up to times of blocks; see `attribute`."""
    nodes_ms = np.mean([run.nodes_ms for run in runs], axis=0).tolist()
    total_ms = float(np.mean([run.total_ms for run in runs]))
    return attribute(list(zip(modules, nodes_ms)), total_ms, model)


def attribute(nodes: Sequence[tuple[str | None, float]], total_ms: float, model: str) -> LayerTimes:
    """Adds the times of nodes up to times of blocks.

    Args:
        nodes: Module (None where the engine put the node in) and milliseconds of each node, in
            the order in which they run.
        total_ms: Time of the whole run.
        model: What messages call it.

    Raises:
        MeasurementError: No node is of a block.
    """
    by_place_ms: dict[str, float] = {}
    for place, (_, time_ms) in zip(_places([module for module, _ in nodes]), nodes):
        by_place_ms[place] = by_place_ms.get(place, 0.0) + time_ms
    if not any(place.startswith("blocks.") for place in by_place_ms):
        raise MeasurementError(
            f"{model}: no node is named after a block (blocks.1.0.conv_pw/Conv, …); layer times "
            "need a network of this pipeline",
            hint="export it with: python run_pipeline.py export",
        )
    return LayerTimes(total_ms, {**by_place_ms, REST: total_ms - sum(by_place_ms.values())})


def _places(modules: Sequence[str | None]) -> list[str]:
    """The place of each node, as `Architecture.operators` names places.

    A network's blocks run one after the other, so the next node that has a name is of the block
    that a node without one feeds.
    """
    last_stage = max((stage for _, stage in _blocks(modules)), default=0)
    found: list[str] = []
    place = _TAIL  # of a node after which none has a name
    for module in reversed(modules):
        place = place if module is None else _place(module, last_stage)
        found.append(place)
    return found[::-1]


def _blocks(modules: Sequence[str | None]) -> Iterator[tuple[str, int]]:
    for module in modules:
        match = _BLOCK.match(module or "")
        if match:
            yield match[1], int(match[2])


def _place(module: str, last_stage: int) -> str:
    """The last stage of a network's modules is the tail's 1×1 convolution."""
    match = _BLOCK.match(module)
    if match:
        return match[1] if int(match[2]) < last_stage else _TAIL
    return _STEM if module.split(".")[0] in _STEM_MODULES else _TAIL
