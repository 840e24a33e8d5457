"""Operators that begin as larger copies of a smaller one.

Trained from random weights, the operators of a slot compute unrelated functions, and what follows
has to serve all of them at once: with few epochs the hypernetwork hardly learns. So training
begins with one operator a slot, and that one then grows into the others without a change to what
is computed: wider blocks get further channels that nothing listens to yet, larger kernels a rim of
zeros. The idea is Net2Net's (Chen, Goodfellow and Shlens, 2016, "Net2Net: Accelerating Learning
via Knowledge Transfer").
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.network.supernet import Supernet
from pipeline.space.operator_spec import Choice, parse_choice
from pipeline.space.search_space import SearchSpace


def beginnings(space: SearchSpace) -> dict[str, str]:
    """The operator each operator of a space grows from: the smallest of its kind.

    One that no other can become part of grows from itself, that is, starts at random.
    """
    choices = sorted(map(parse_choice, space.operators), key=lambda c: (c.kind, *_size(c)))
    found = {}
    for _, group in groupby(choices, key=lambda choice: choice.kind):
        smallest, *others = group
        for choice in (smallest, *others):
            found[choice.name] = smallest.name if _holds(choice, smallest) else choice.name
    return {name: found[name] for name in space.operators}


def grow(supernet: Supernet) -> None:
    """Sets every operator to compute what its beginning computes, in every slot.

    Channels an operator has beyond its beginning keep their random weights; only what reads them
    is zero, so they learn from the first step on.
    """
    origins = beginnings(supernet.space)
    slots = [slot for stage in list(cast(Any, supernet.blocks))[1:] for slot in stage]
    with torch.no_grad():
        for slot in slots:
            for name, origin in origins.items():
                if name != origin:
                    _embed_all(slot[origin].state_dict(), slot[name].state_dict())


def _size(choice: Choice) -> tuple[int, int]:
    return choice.kernel, choice.expansion


def _holds(larger: Choice, smaller: Choice) -> bool:
    return larger.kernel >= smaller.kernel and larger.expansion >= smaller.expansion


def _embed_all(small: dict[str, Tensor], large: dict[str, Tensor]) -> None:
    for name, tensor in large.items():
        _embed(small[name], tensor)


def _embed(small: Tensor, large: Tensor) -> None:
    """Puts a tensor into a larger one: first rows, first columns, middle of the kernel.

    The rest of those rows becomes zero; the other rows stay as they are.
    """
    if small.shape == large.shape:
        large.copy_(small)
        return
    rows = large[: small.shape[0]]
    rows.zero_()
    place = [slice(0, size) for size in small.shape[:2]]
    for inner, outer in zip(small.shape[2:], large.shape[2:], strict=True):
        rim = (outer - inner) // 2
        place.append(slice(rim, rim + inner))
    rows[tuple(place)].copy_(small)
