"""Stand-alone networks: an architecture as a torch module, and its weights in files.

Parameters are called what the released Cream checkpoints call them: `conv_stem`, `bn1`,
`blocks.S.B.conv_pw`, …, `conv_head`, `classifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import cast

from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.errors import CheckpointError, PipelineError
from pipeline.operators import Tail, build_operator, initialise, pooled_features, seeded
from pipeline.space import Architecture
from pipeline.weights_file import (
    SUFFIX,
    load_exactly,
    read_released,
    read_weights,
    write_weights,
)

_ARCHITECTURE = "architecture"


class Network(nn.Module):
    """One architecture as a module of its own.

    Args:
        architecture: What to build.
        dropout: Share of the classifier's inputs dropped in training.
        operators: Modules in the order of `architecture.operators()`, taken over as they are;
            built anew where None.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        dropout: float = 0.0,
        operators: Sequence[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        placed = architecture.operators()
        stem, *blocks, tail = operators or [build_operator(place.spec) for place in placed]
        tail = cast(Tail, tail)
        self.architecture = architecture
        self.conv_stem = stem.conv
        self.bn1 = stem.bn1
        self.blocks = nn.Sequential(*_stages(placed[1:-1], blocks), nn.Sequential(tail.conv))
        self.conv_head = tail.conv_head
        self.dropout = nn.Dropout(dropout)
        self.classifier = tail.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Classifies images.

        Args:
            x: Shape (n, 3, resolution, resolution).

        Returns:
            Logits of shape (n, num_classes).
        """
        x = self.blocks(self.bn1(self.conv_stem(x)))
        logits: Tensor = self.classifier(self.dropout(pooled_features(x, self.conv_head)))
        return logits


def _stages(
    placed: Sequence[tuple[str, object, object]], blocks: Sequence[nn.Module]
) -> list[nn.Module]:
    pairs = zip(placed, blocks, strict=True)
    stages = groupby(pairs, key=lambda pair: pair[0][0].rpartition(".")[0])
    return [nn.Sequential(*(block for _, block in stage)) for _, stage in stages]


def build_network(architecture: Architecture, *, seed: int, dropout: float = 0.0) -> Network:
    """Builds a network with EfficientNet's initialisation, the same for the same seed."""
    with seeded(seed):
        network = Network(architecture, dropout=dropout)
        initialise(network)
    return network


def load_checkpoint(network: Network, path: Path) -> str:
    """Loads weights into a network, all or none.

    Args:
        network: Takes the weights.
        path: A file of `save_checkpoint` (`.safetensors`), or a released checkpoint (`.pth.tar`)
            with `state_dict` or `state_dict_ema`.

    Returns:
        What was loaded: `safetensors`, `state_dict_ema`, `state_dict` or `weights`.

    Raises:
        StorageError: The file is missing or cannot be read.
        CheckpointError: It is damaged, holds code, or is of another network.
    """
    if path.suffix != SUFFIX:
        weights, what = read_released(path)
        load_exactly(network, weights, path)
        return what
    weights, metadata = read_weights(path)
    _check_same_network(network.architecture, metadata.get(_ARCHITECTURE), path)
    load_exactly(network, weights, path)
    return SUFFIX.removeprefix(".")


def save_checkpoint(network: Network, path: Path) -> None:
    """Writes a network's weights as safetensors, atomically, with its architecture.

    Raises:
        StorageError: The file cannot be written.
    """
    write_weights(path, network, {_ARCHITECTURE: network.architecture.model_dump_json()})


def _check_same_network(expected: Architecture, saved: str | None, path: Path) -> None:
    """Strides leave no trace in the weights, so matching shapes do not show the same network."""
    if saved is None:
        return
    try:
        found = Architecture.model_validate_json(saved)
    except (ValidationError, PipelineError):
        raise CheckpointError(f"{path}: its architecture does not read: {saved[:200]}") from None
    # Weights do not depend on the input size.
    if found.model_copy(update={"resolution": expected.resolution}) != expected:
        raise CheckpointError(
            f"{path}: holds weights of {found.short}; expected {expected.short}"
        )
