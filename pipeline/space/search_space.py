"""Search spaces and the architectures in them.

A `SearchSpace` is the table printed in the supplement of *Cream of the Crop* (NeurIPS 2020), as
data: fixed stem and tail, and between them stages whose blocks are chosen. SkipConnect means
depth: a stage is the sequence of its non-skip blocks, 1 to `max_depth` of them, so that two
encodings of one network are one `Architecture`.

`Architecture.operators` is the only walk of a network in this package. MACs, parameters, latency,
module building and export all consume it and so cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.errors import ArchitectureError, UnknownNameError
from pipeline.files.yaml_file import read_yaml
from pipeline.space.operator_spec import Choice, OperatorSpec, parse_choice

RESOLUTIONS = tuple(range(32, 257, 32))
SKIP = "skip"
_SPACES = Path(__file__).parent / "spaces"

Channels = Annotated[int, Field(ge=1)]
Stride = Literal[1, 2]
Stages = tuple[tuple[str, ...], ...]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Data):
    """A run of blocks of one width; the stride is that of its first block."""

    channels: Channels
    stride: Stride


class Tail(_Data):
    """The last 1×1 convolution and the classifier's hidden width."""

    channels: Channels
    features: Channels


class PlacedOperator(NamedTuple):
    """An operator at its place in a network.

    Attributes:
        place: Module path of the block, e.g. `blocks.3.1`; `conv_stem` and `tail` at the ends.
        spec: The operator with its shape.
        choice: The operator as the space offers it; None where the space leaves no choice.
    """

    place: str
    spec: OperatorSpec
    choice: Choice | None


class SearchSpace(_Data):
    """The networks that can be searched.

    Attributes:
        name: What architectures and tables call it.
        title: Where it comes from.
        stem: First 3×3 convolution.
        separable: The depthwise-separable block after it.
        stages: Stages whose blocks are chosen.
        tail: 1×1 convolution, pooling and classifier.
        operators: Names of the operators a block may be.
        max_depth: Most blocks in a stage; each holds at least one.
        se_ratio: Squeeze-and-excitation width relative to the expanded channels.
    """

    schema_version: Literal[1]
    name: str
    title: str
    stem: Stage
    separable: Stage
    stages: tuple[Stage, ...]
    tail: Tail
    operators: tuple[str, ...]
    max_depth: int = Field(ge=1)
    se_ratio: float = 0.25

    @field_validator("operators")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) != len(names):
            raise ValueError("a space needs distinct operators, at least one")
        for name in names:
            parse_choice(name)
        return names

    @property
    def num_slots(self) -> int:
        """Places for blocks: stages × max_depth."""
        return len(self.stages) * self.max_depth

    def count(self) -> int:
        """Number of distinct networks at one resolution, exactly."""
        a_stage = sum(len(self.operators) ** depth for depth in range(1, self.max_depth + 1))
        return int(a_stage ** len(self.stages))

    def narrowed(
        self, *, max_depth: int | None = None, operators: Sequence[str] | None = None
    ) -> SearchSpace:
        """The same space with fewer choices; its architectures belong to this space too.

        Raises:
            ArchitectureError: The narrower space would not lie inside this one.
        """
        depth = self.max_depth if max_depth is None else max_depth
        names = self.operators if operators is None else tuple(operators)
        if not 1 <= depth <= self.max_depth:
            raise ArchitectureError(
                f"space {self.name}: max_depth {depth} is not within 1 to {self.max_depth}"
            )
        for name in names:
            if name not in self.operators:
                raise UnknownNameError.of(f"operator of space {self.name}", name, self.operators)
        if not names or len(set(names)) != len(names):
            raise ArchitectureError(
                f"space {self.name}: distinct operators are needed, at least one, "
                f"given {', '.join(names) or 'none'}"
            )
        return self.model_copy(update={"max_depth": depth, "operators": names})

    def block(self, stage: int, slot: int, name: str, resolution: int) -> OperatorSpec:
        """The operator `name` as block `slot` of stage `stage` (both from 0)."""
        choice = parse_choice(name)
        here = self.stages[stage]
        before = self.stages[stage - 1] if stage else self.separable
        first = slot == 0
        return OperatorSpec(
            kind=choice.kind,
            kernel=choice.kernel,
            stride=here.stride if first else 1,
            in_channels=before.channels if first else here.channels,
            out_channels=here.channels,
            resolution=self._resolution_into(stage, resolution, first=first),
            expansion=choice.expansion,
            se_ratio=self.se_ratio if choice.kind == "ir" else 0.0,
        )

    def stem_spec(self, resolution: int) -> OperatorSpec:
        """The first convolution."""
        return OperatorSpec("cn", 3, self.stem.stride, 3, self.stem.channels, resolution)

    def separable_spec(self, resolution: int) -> OperatorSpec:
        """The depthwise-separable block."""
        return OperatorSpec(
            "ds",
            3,
            self.separable.stride,
            self.stem.channels,
            self.separable.channels,
            -(-resolution // self.stem.stride),
            se_ratio=self.se_ratio,
        )

    def tail_spec(self, resolution: int, num_classes: int) -> OperatorSpec:
        """Last 1×1 convolution, pooling and classifier, as one operator."""
        return OperatorSpec(
            "tail",
            1,
            1,
            self.stages[-1].channels,
            self.tail.channels,
            self._resolution_into(len(self.stages), resolution, first=True),
            features=self.tail.features,
            num_classes=num_classes,
        )

    def distinct_operators(self, resolution: int, num_classes: int) -> list[OperatorSpec]:
        """Every operator any network of the space can hold, once each, in network order."""
        check_resolution(resolution)
        found = [self.stem_spec(resolution), self.separable_spec(resolution)]
        for stage in range(len(self.stages)):
            for slot in range(min(2, self.max_depth)):
                found += [self.block(stage, slot, name, resolution) for name in self.operators]
        found.append(self.tail_spec(resolution, num_classes))
        return list(dict.fromkeys(found))

    def _resolution_into(self, stage: int, resolution: int, *, first: bool) -> int:
        strides = [self.stem.stride, self.separable.stride]
        strides += [s.stride for s in self.stages[: stage if first else stage + 1]]
        for stride in strides:
            resolution = -(-resolution // stride)
        return resolution


def check_resolution(resolution: int) -> None:
    """Refuses an input size the spaces are not defined at.

    Raises:
        ArchitectureError: It is not 32 to 256 in steps of 32.
    """
    if resolution not in RESOLUTIONS:
        raise ArchitectureError(
            f"resolution {resolution} is not one of {', '.join(map(str, RESOLUTIONS))}"
        )


@lru_cache(maxsize=64)
def get_space(name: str) -> SearchSpace:
    """The space of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in space_names():
        raise UnknownNameError.of("search space", name, space_names())
    return read_yaml(_SPACES / f"{name}.yaml", SearchSpace)


@lru_cache(maxsize=1)
def space_names() -> tuple[str, ...]:
    """Names of all search spaces."""
    return tuple(sorted(path.stem for path in _SPACES.glob("*.yaml")))
