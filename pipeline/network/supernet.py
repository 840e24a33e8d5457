"""The hypernetwork: all networks of a space in one module, with shared weights.

Every network that has `mb4_3x3` as block 1 of stage 3 uses the same weights there. Other operators
of that slot have weights of their own (`separate`, as in *Cream of the Crop*), or parts of the same
ones (`entangled`, see `pipeline.network.entangled`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from torch import Tensor, nn

from pipeline.errors import ArchitectureError, CheckpointError, PipelineError
from pipeline.network.entangled import EntangledSlot, PartOfOperator
from pipeline.network.network import Network
from pipeline.network.operators import build_operator, initialise, seeded
from pipeline.network.weights import load_exactly, read_weights, write_weights
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import RESOLUTIONS, SearchSpace, get_space

Sharing = Literal["separate", "entangled"]

_METADATA = "supernet"


class Supernet(nn.Module):
    """The networks of a space with shared weights.

    The weights serve every input size: no operator's parameters depend on it.

    Args:
        space: The space, possibly narrowed.
        num_classes: Outputs of the classifier.
        seed: Of the initialisation.
        sharing: Whether the operators of a slot share weights.

    Attributes:
        blocks: `blocks.{stage + 1}.{slot}[operator]`; `blocks.0.0` is the separable block.
    """

    def __init__(
        self, space: SearchSpace, num_classes: int, *, seed: int, sharing: Sharing = "separate"
    ) -> None:
        super().__init__()
        self.space = space
        self.num_classes = num_classes
        self.sharing: Sharing = sharing
        with seeded(seed):
            self._build(RESOLUTIONS[0])
            initialise(self)

    def _build(self, resolution: int) -> None:
        space = self.space
        separable = nn.ModuleList([build_operator(space.separable_spec(resolution))])
        stages = [
            nn.ModuleList(self._slot(stage, slot, resolution) for slot in range(space.max_depth))
            for stage in range(len(space.stages))
        ]
        self.conv_stem = build_operator(space.stem_spec(resolution))
        self.blocks = nn.ModuleList([separable, *stages])
        self.tail = build_operator(space.tail_spec(resolution, self.num_classes))

    def _slot(self, stage: int, slot: int, resolution: int) -> nn.Module:
        specs = {
            name: self.space.block(stage, slot, name, resolution) for name in self.space.operators
        }
        if self.sharing == "entangled":
            return EntangledSlot(specs)
        return nn.ModuleDict({name: build_operator(spec) for name, spec in specs.items()})

    def operators(self) -> list[nn.Module]:
        """All modules that paths are made of, stem and tail included."""
        separable, *stages = cast(Any, self.blocks)
        chosen = [operator for stage in stages for slot in stage for operator in slot.values()]
        return [self.conv_stem, separable[0], *chosen, self.tail]

    def path(self, architecture: Architecture) -> list[nn.Module]:
        """The modules of one network, in order, stem and tail included.

        Raises:
            ArchitectureError: The architecture is not one of this supernet's.
        """
        self._check(architecture)
        blocks = cast(Any, self.blocks)
        chosen = [
            blocks[stage][slot][name]
            for stage, names in enumerate(architecture.stages, start=1)
            for slot, name in enumerate(names)
        ]
        return [self.conv_stem, blocks[0][0], *chosen, self.tail]

    def parameters_of(self, architecture: Architecture) -> list[nn.Parameter]:
        """What a step that trains one network moves; each parameter once.

        Raises:
            ArchitectureError: The architecture is not one of this supernet's.
        """
        found = (
            parameter
            for module in self.path(architecture)
            for parameter in (
                module.shared() if isinstance(module, PartOfOperator) else module.parameters()
            )
        )
        return list(dict.fromkeys(found))

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Classifies images with one of the networks.

        Args:
            x: Shape (n, 3, resolution, resolution).
            architecture: The network.

        Returns:
            Logits of shape (n, num_classes).

        Raises:
            ArchitectureError: The architecture is not one of this supernet's.
        """
        for module in self.path(architecture):
            x = module(x)
        return x

    def forward_all(self, x: Tensor, architectures: Sequence[Architecture]) -> list[Tensor]:
        """Classifies the same images with several networks; leading blocks they share run once.

        Args:
            x: Shape (n, 3, resolution, resolution).
            architectures: The networks.

        Returns:
            For each network what `forward` returns.

        Raises:
            ArchitectureError: An architecture is not one of this supernet's.
        """
        paths = [self.path(architecture) for architecture in architectures]
        logits: list[Tensor] = [x] * len(paths)
        _branch(x, dict(enumerate(paths)), 0, logits)
        return logits

    def subnet(self, architecture: Architecture, *, dropout: float = 0.0) -> Network:
        """One of the networks on its own, with copies of weights and batch-norm statistics.

        Args:
            architecture: The network.
            dropout: Share of the classifier's inputs dropped in training.

        Raises:
            ArchitectureError: The architecture is not one of this supernet's.
        """
        modules = [
            module.alone() if isinstance(module, PartOfOperator) else copy.deepcopy(module)
            for module in self.path(architecture)
        ]
        network = Network(architecture, dropout=dropout, operators=modules)
        return network.train(self.training)

    def _check(self, architecture: Architecture) -> None:
        space = self.space
        if architecture.space != space.name or architecture.num_classes != self.num_classes:
            raise ArchitectureError(
                f"{architecture.short} given to a supernet of space {space.name} "
                f"with {self.num_classes} classes"
            )
        if not architecture.is_held_by(space):
            raise ArchitectureError(
                f"{architecture.short} is outside the supernet: max_depth {space.max_depth}, "
                f"operators {', '.join(space.operators)}"
            )


def _branch(
    x: Tensor, paths: Mapping[int, Sequence[nn.Module]], depth: int, logits: list[Tensor]
) -> None:
    """Runs the modules at `depth` of all paths that have come to `x`, and what follows them."""
    following: dict[nn.Module, dict[int, Sequence[nn.Module]]] = {}
    for index, path in paths.items():
        following.setdefault(path[depth], {})[index] = path
    for module, its_paths in following.items():
        y = module(x)
        # Only the tail ends a path, and no two modules of one path are the same.
        ended = [index for index, path in its_paths.items() if depth + 1 == len(path)]
        for index in ended:
            logits[index] = y
        if not ended:
            _branch(y, its_paths, depth + 1, logits)


def save_supernet(supernet: Supernet, path: Path) -> None:
    """Writes a supernet as safetensors, atomically, with what it takes to build it again.

    Raises:
        StorageError: The file cannot be written.
    """
    space = supernet.space
    description = {
        "space": space.name,
        "max_depth": space.max_depth,
        "operators": space.operators,
        "num_classes": supernet.num_classes,
        "sharing": supernet.sharing,
    }
    write_weights(path, supernet, {_METADATA: json.dumps(description)})


def load_supernet(path: Path) -> Supernet:
    """Reads a file of `save_supernet`.

    Raises:
        StorageError: The file is missing or cannot be read.
        CheckpointError: It is damaged, or no supernet of a known space.
    """
    weights, metadata = read_weights(path)
    supernet = _described(metadata.get(_METADATA), path)
    load_exactly(supernet, weights, path)
    return supernet


def _described(description: str | None, path: Path) -> Supernet:
    if description is None:
        raise CheckpointError(f"{path}: holds no supernet", hint="write one with the verb train")
    try:
        read = json.loads(description)
        space = get_space(read["space"]).narrowed(
            max_depth=read["max_depth"], operators=read["operators"]
        )
        # Those of earlier versions do not say it.
        sharing = read.get("sharing", "separate")
        return Supernet(space, int(read["num_classes"]), seed=0, sharing=sharing)
    except (ValueError, KeyError, TypeError, PipelineError) as error:
        raise CheckpointError(f"{path}: its description does not read: {error}") from None
