"""In what two networks differ, in the notation of the paper: stage by stage, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from pipeline.operator_spec import parse_choice
from pipeline.space import Architecture


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


def _of_stage(first: Sequence[str], second: Sequence[str]) -> Iterator[str]:
    for tag, start, end, into, until in SequenceMatcher(None, first, second, False).get_opcodes():
        if tag == "equal":
            continue
        replaced = min(end - start, until - into)
        for index in range(replaced):
            before, after = _label(first[start + index]), _label(second[into + index])
            yield f"block {start + index + 1} {before} → {after}"
        yield from _counted(second[into + replaced : until], "more")
        yield from _counted(first[start + replaced : end], "fewer")


def _counted(names: Sequence[str], how: str) -> Iterator[str]:
    for name, group in groupby(names):
        number = len(list(group))
        blocks = "one {} block" if number == 1 else f"{number} {{}} blocks"
        yield f"{blocks.format(how)} {_label(name)}"


def _label(name: str) -> str:
    return parse_choice(name).label
