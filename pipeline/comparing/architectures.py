"""In what two networks differ, in the notation of the paper: stage by stage, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import parse_choice

_Pair = tuple[str | None, str | None]


def architecture_differences(first: Architecture, second: Architecture) -> tuple[str, ...]:
    """What the second network has that the first does not, and the other way round.

    Stages and blocks are counted from 1.

    Returns:
        A phrase a difference, e.g. `stage 3: one more block MB6 5×5`; none for one network.
    """
    told = [
        f"{what} {before} → {after}"
        for what, before, after in (
            ("space", first.space, second.space),
            ("input side", first.resolution, second.resolution),
            ("classes", first.num_classes, second.num_classes),
        )
        if before != after
    ]
    if len(first.stages) != len(second.stages):
        return (*told, f"{len(first.stages)} stages → {len(second.stages)} stages")
    for number, blocks in enumerate(zip(first.stages, second.stages, strict=True), start=1):
        differences = ", ".join(_of_stage(*blocks))
        if differences:
            told.append(f"stage {number}: {differences}")
    return tuple(told)


def _of_stage(first: tuple[str, ...], second: tuple[str, ...]) -> Iterator[str]:
    place = 0
    for pair, group in groupby(_alignment(first, second)):
        number = len(list(group))
        before, after = pair
        if before is None or after is None:
            yield _counted(number, before or after or "", "fewer" if before else "more")
        elif before != after:
            for index in range(place, place + number):
                yield f"block {index + 1} {_label(before)} → {_label(after)}"
        place += number if before else 0


@lru_cache(maxsize=1024)
def _alignment(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[_Pair, ...]:
    """Blocks set against each other with the fewest edits, in place rather than moved."""
    if not first or not second:
        return (*((name, None) for name in first), *((None, name) for name in second))
    ways = (
        ((first[0], second[0]), *_alignment(first[1:], second[1:])),
        ((first[0], None), *_alignment(first[1:], second)),
        ((None, second[0]), *_alignment(first, second[1:])),
    )
    return min(ways, key=lambda way: sum(before != after for before, after in way))


def _counted(number: int, name: str, how: str) -> str:
    blocks = f"one {how} block" if number == 1 else f"{number} {how} blocks"
    return f"{blocks} {_label(name)}"


def _label(name: str) -> str:
    return parse_choice(name).label
