"""Stand-alone networks: an architecture as a torch module, and its weights in files.

Parameters are called what the released Cream checkpoints call them: `conv_stem`, `bn1`,
`blocks.S.B.conv_pw`, …, `conv_head`, `classifier`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from torch import nn

from pipeline.errors import CheckpointError, PipelineError
from pipeline.network.operators import build_operator, initialise, seeded
from pipeline.network.weights import (
    SUFFIX,
    load_exactly,
    read_released,
    read_weights,
    write_weights,
)
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import PlacedOperator

_ARCHITECTURE = "architecture"


class Network(nn.Sequential):
    """One architecture as a module of its own.

    Maps images of shape (n, 3, resolution, resolution) to logits of shape (n, num_classes).

    Args:
        architecture: What to build.
        dropout: Share of the classifier's inputs dropped in training.
        operators: Modules in the order of `architecture.operators()`, taken over as they are;
            built anew where None.

    Attributes:
        architecture: What was built.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        dropout: float = 0.0,
        operators: Sequence[nn.Module] | None = None,
    ) -> None:
        placed = architecture.operators()
        built = operators or [build_operator(place.spec) for place in placed]
        stem, *blocks, tail = cast(Sequence[Any], built)
        super().__init__(
            OrderedDict(
                conv_stem=stem.conv,
                bn1=stem.bn1,
                blocks=nn.Sequential(*_stages(placed[1:-1], blocks), nn.Sequential(tail.conv)),
                global_pool=tail.global_pool,
                conv_head=tail.conv_head,
                act2=tail.act2,
                flatten=tail.flatten,
                dropout=nn.Dropout(dropout),
                classifier=tail.classifier,
            )
        )
        self.architecture = architecture


def _stages(placed: Sequence[PlacedOperator], blocks: Sequence[nn.Module]) -> list[nn.Sequential]:
    """Groups blocks by the stage in their places, `blocks.{stage}.{slot}`."""
    stages: dict[str, list[nn.Module]] = {}
    for operator, block in zip(placed, blocks, strict=True):
        stages.setdefault(operator.place.rpartition(".")[0], []).append(block)
    return [nn.Sequential(*stage) for stage in stages.values()]


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
        raise CheckpointError(f"{path}: holds weights of {found.short}; expected {expected.short}")
