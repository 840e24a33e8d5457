"""Networks of timm: those that everybody can take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.errors import UnknownNameError
from pipeline.network.operators import last_norms_of_residuals, seeded
from pipeline.network.weights import write_weights


@dataclass(frozen=True)
class TimmNetwork:
    """A network of timm, to compare with.

    Attributes:
        name: timm's name, e.g. `mobilenetv3_small_100`.
        resolution: Side of the input in pixels.
        num_classes: Outputs of the classifier.
    """

    name: str
    resolution: int
    num_classes: int

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.name}@{self.resolution}c{self.num_classes}"


def check_timm_name(name: str, what: str, also: tuple[str, ...] = ()) -> None:
    """Refuses a name that timm has no network of.

    Args:
        name: As the user gave it.
        what: What it was to be, for the message.
        also: Names that would have been right besides timm's.

    Raises:
        UnknownNameError: Names the nearest that there is.
    """
    if not timm.is_model(name):
        raise UnknownNameError.of(what, name, [*also, *timm.list_models()])


def build_timm(network: TimmNetwork, *, seed: int, dropout: float = 0.0) -> nn.Module:
    """Builds a network with timm's initialisation, the same for the same seed.

    Residual blocks begin as the identity, as those of networks of a search space do: a network that
    began worse would be no fair comparison.

    Args:
        network: Which.
        seed: Of its weights.
        dropout: Share of the classifier's inputs dropped in training.

    Raises:
        UnknownNameError: timm has none of that name.
    """
    check_timm_name(network.name, "network of timm")
    with seeded(seed):
        built = timm.create_model(
            network.name, pretrained=False, num_classes=network.num_classes, drop_rate=dropout
        )
    for norm in last_norms_of_residuals(built):
        nn.init.zeros_(norm.weight)
    return built


def save_timm(network: nn.Module, path: Path) -> None:
    """Writes a network's weights as safetensors, atomically, by timm's names.

    Raises:
        StorageError: The file cannot be written.
    """
    write_weights(path, network, {})


def count_timm(network: TimmNetwork) -> tuple[int, int]:
    """Multiply-accumulates of convolutions and linear layers for one image, and parameters.

    Raises:
        UnknownNameError: timm has none of that name.
    """
    check_timm_name(network.name, "network of timm")
    with torch.device("meta"):
        built = timm.create_model(network.name, pretrained=False, num_classes=network.num_classes)
        image = torch.zeros(1, 3, network.resolution, network.resolution)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        built.eval()(image)
    return counted.get_total_flops() // 2, sum(it.numel() for it in built.parameters())
