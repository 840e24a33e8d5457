"""One network of a search space: its operators, walked in one place."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import ArchitectureError, UnknownNameError
from pipeline.space.operator_spec import parse_choice
from pipeline.space.search_space import (
    SKIP,
    PlacedOperator,
    SearchSpace,
    Stages,
    check_resolution,
    get_space,
)


class Architecture(BaseModel):
    """One network of a space: its choices, its input size, its classes.

    `name` is a label and no part of what the network is: two architectures that differ only in
    their names are equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str
    resolution: int
    num_classes: int = Field(default=1000, ge=1)
    stages: Stages
    name: str | None = None

    def model_post_init(self, context: Any) -> None:
        """Drops skips and checks the choices against the space."""
        space = get_space(self.space)
        check_resolution(self.resolution)
        object.__setattr__(self, "stages", _checked_stages(space, self.stages))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, int, int, Stages]:
        return (self.space, self.resolution, self.num_classes, self.stages)

    def is_held_by(self, space: SearchSpace) -> bool:
        """Whether a space, possibly narrowed, has it."""
        return self.space == space.name and all(
            len(stage) <= space.max_depth and set(stage) <= set(space.operators)
            for stage in self.stages
        )

    @property
    def depth(self) -> int:
        """Number of chosen blocks."""
        return sum(map(len, self.stages))

    @property
    def short(self) -> str:
        """One-line form, e.g. `cream@224c1000:mb4_3x3/mb6_5x5,mb6_5x5/…`; see `parse_short`."""
        stages = "/".join(",".join(stage) for stage in self.stages)
        return f"{self.space}@{self.resolution}c{self.num_classes}:{stages}"

    @property
    def label(self) -> str:
        """The name where it has one, else the one-line form."""
        return self.name or self.short

    def operators(self) -> tuple[PlacedOperator, ...]:
        """Walks the network from input to logits."""
        space = get_space(self.space)
        walk = [
            PlacedOperator("conv_stem", space.stem_spec(self.resolution), None),
            PlacedOperator("blocks.0.0", space.separable_spec(self.resolution), None),
        ]
        for stage, names in enumerate(self.stages):
            for slot, name in enumerate(names):
                spec = space.block(stage, slot, name, self.resolution)
                walk.append(PlacedOperator(f"blocks.{stage + 1}.{slot}", spec, parse_choice(name)))
        tail = space.tail_spec(self.resolution, self.num_classes)
        walk.append(PlacedOperator("tail", tail, None))
        return tuple(walk)


def _checked_stages(space: SearchSpace, given: Stages) -> Stages:
    if len(given) != len(space.stages):
        raise ArchitectureError(
            f"space {space.name} has {len(space.stages)} stages, the architecture {len(given)}"
        )
    stages = []
    for number, names in enumerate(given, start=1):
        blocks = tuple(name for name in names if name != SKIP)
        for name in blocks:
            if name not in space.operators:
                raise UnknownNameError.of(
                    f"operator of space {space.name} (stage {number})", name, space.operators
                )
        if not 1 <= len(blocks) <= space.max_depth:
            raise ArchitectureError(
                f"stage {number} has {len(blocks)} blocks; "
                f"space {space.name} allows 1 to {space.max_depth}"
            )
        stages.append(blocks)
    return tuple(stages)
