"""Where training runs, and in which precision: the GPU where there is one, else the CPU.

On a GPU forward passes run in bfloat16, or in half precision with a scaled loss where the GPU has
no bfloat16. On the CPU they run in single precision: bfloat16 was slower there, and small maps take
a quicker way (see `pipeline.training.small_maps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipeline.training.small_maps import SmallMaps

MAX_GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: Where.
        precision: What convolutions compute in.
        scaler: Scales the loss in half precision; passes it through otherwise.
    """

    device: torch.device
    precision: torch.dtype = torch.float32
    scaler: torch.amp.GradScaler = field(
        default_factory=lambda: torch.amp.GradScaler("cuda", enabled=False)
    )

    @property
    def name(self) -> str:
        """For people, e.g. `cpu, float32` or `NVIDIA H100, bfloat16`."""
        is_gpu = self.device.type == "cuda"
        device = torch.cuda.get_device_name(self.device) if is_gpu else self.device.type
        return f"{device}, {str(self.precision).removeprefix('torch.')}"

    def forward(self) -> AbstractContextManager[object]:
        """The context of every forward pass."""
        if self.device.type == "cpu":
            return SmallMaps()
        return torch.autocast(self.device.type, self.precision)

    def backward(self, loss: Tensor) -> None:
        """Adds a loss's gradients, scaled, to those of the parameters."""
        self.scaler.scale(loss).backward()

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, keep: bool) -> list[Tensor]:
        """A loss's gradients, not scaled; `keep` lets the graph be used once more."""
        scaled = self.scaler.scale(loss)
        found = torch.autograd.grad(scaled, list(parameters), retain_graph=keep)
        scale = self.scaler.get_scale()
        return [gradient / scale for gradient in found]

    def step(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        """Clips gradients and lets the optimizer step; no value is read back from the device.

        Args:
            optimizer: Steps.
            parameters: All it has; those without a gradient stay as they are.
        """
        self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        self.scaler.step(optimizer)
        self.scaler.update()


def compute_here() -> Compute:
    """The GPU of this process in its best precision, or the CPU."""
    if not torch.cuda.is_available():
        return Compute(torch.device("cpu"))
    device = torch.device("cuda", torch.cuda.current_device())
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Compute(device, torch.bfloat16)
    return Compute(device, torch.float16, torch.amp.GradScaler("cuda"))
