"""timm's optimizers and its cosine schedule, by step."""

from __future__ import annotations

from typing import Any

from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import nn
from torch.optim import Optimizer as TorchOptimizer

from pipeline.training.settings import Optimizer

_START_SHARE = 0.1
_MORE: dict[Optimizer, dict[str, Any]] = {
    # One kernel for all parameters.
    "adamw": {"fused": True},
    # As EfficientNet was trained (Tan and Le, ICML 2019, section 5): decay 0.9, momentum 0.9.
    "rmsproptf": {"eps": 1e-3},
}


def make_optimizer(
    model: nn.Module, name: Optimizer, *, learning_rate: float, weight_decay: float
) -> TorchOptimizer:
    """An optimizer that decays weights of convolutions and linear layers only.

    Batch norm's scales and all biases are vectors; decay would only push them off.
    """
    return create_optimizer_v2(
        model,
        opt=name,
        lr=learning_rate,
        weight_decay=weight_decay,
        momentum=0.9,
        filter_bias_and_bn=True,
        **_MORE.get(name, {}),
    )


class Schedule:
    """Learning rate by step: a linear rise from a tenth of the peak, then half a cosine to zero.

    Between them it may stay at the peak for a while (Hu et al., 2024, "MiniCPM", section 4): up to
    there a run is the beginning of runs of any length.

    Args:
        optimizer: Has its peak as learning rate.
        steps: Of the whole run.
        warmup_share: Share of them in which it rises.
        stable_share: Share of them after which it falls; less than `warmup_share` means at once.
    """

    def __init__(
        self,
        optimizer: TorchOptimizer,
        steps: int,
        *,
        warmup_share: float,
        stable_share: float = 0.0,
    ) -> None:
        self._optimizer = optimizer
        peak = optimizer.param_groups[0]["lr"]
        rising = round(warmup_share * steps)
        self._rising, self._stable = rising, max(0, round(stable_share * steps) - rising)
        steps -= self._stable
        self._scheduler = CosineLRScheduler(
            optimizer,
            t_initial=max(1, steps - rising),
            warmup_t=rising,
            warmup_lr_init=_START_SHARE * peak,
            warmup_prefix=True,
            t_in_epochs=False,
        )

    def set(self, at: int) -> float:
        """Sets the optimizer's learning rate to that of a step, and returns it."""
        self._scheduler.step_update(at - min(max(at - self._rising, 0), self._stable))
        return float(self._optimizer.param_groups[0]["lr"])
