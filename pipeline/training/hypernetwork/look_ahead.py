"""A student's step before it is taken: where it leads, and how that depends on its teacher.

*Cream of the Crop* (NeurIPS 2020), section 3.3, takes one step of the student ahead to learn how
much a teacher should count. The step here is the one that will really be taken: clipped gradients,
AdamW with the moments it has by then, decoupled weight decay.

The gradient of the loss L = ½·(ρ·KD + (2 − ρ)·CE) is linear in ρ:

    ḡ = ½·(ρ·∇KD + (2 − ρ)·∇CE),        dḡ/dρ = ½·(∇KD − ∇CE) =: d.

It is clipped to the norm C: g = f·ḡ with f = min(1, C/(‖ḡ‖ + c)), c as small as torch's. Where f is
below 1, d‖ḡ‖/dρ = ⟨ḡ, d⟩/‖ḡ‖ makes it

    dg/dρ = f·d − f/(‖ḡ‖ + c)·⟨ḡ, d⟩/‖ḡ‖·ḡ,        and dg/dρ = d where nothing is clipped.

AdamW's k-th step of a weight w with learning rate η and decay λ is, element by element,

    m' = β₁·m + (1 − β₁)·g      m̂ = m'/(1 − β₁ᵏ)
    v' = β₂·v + (1 − β₂)·g²     r = √(v'/(1 − β₂ᵏ))
    w⁺ = (1 − η·λ)·w − η·m̂/(r + ε).

m, v and w do not depend on ρ. With dm̂/dg = (1 − β₁)/(1 − β₁ᵏ) and, as r² = v'/(1 − β₂ᵏ),
2·r·dr/dg = 2·(1 − β₂)·g/(1 − β₂ᵏ), the quotient rule gives

    dw⁺/dρ = −η·(dm̂/dg − m̂/(r + ε)·dr/dg)/(r + ε)·dg/dρ,
    dr/dg = (1 − β₂)·g/((1 − β₂ᵏ)·r).

Where r = 0 both g and v are, and dr/dg stands beside m̂: it is taken to be 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.training.compute import MAX_GRADIENT_NORM

# As in torch.nn.utils.clip_grad_norm_.
_CLIP_EPSILON = 1e-6


@dataclass(frozen=True)
class StepAhead:
    """What a step would do, a tensor for each parameter.

    Attributes:
        weights: w⁺.
        slopes: dw⁺/dρ.
    """

    weights: list[Tensor]
    slopes: list[Tensor]

    def slope_of(self, gradients: Sequence[Tensor]) -> Tensor:
        """dL/dρ for a loss of the weights after the step, a scalar.

        Args:
            gradients: ∇L at w⁺.
        """
        products = [torch.sum(g * s) for g, s in zip(gradients, self.slopes, strict=True)]
        return torch.stack(products).sum()


def step_ahead(
    optimizer: torch.optim.AdamW,
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor],
    directions: Sequence[Tensor],
) -> StepAhead:
    """Where the optimizer's next step leads; nothing is changed.

    Args:
        optimizer: As it is before the step, its learning rate set.
        parameters: All that the step trains.
        gradients: ḡ, a tensor for each parameter, neither scaled nor clipped.
        directions: dḡ/dρ.
    """
    group_of = {p: group for group in optimizer.param_groups for p in group["params"]}
    ahead = StepAhead([], [])
    with torch.no_grad():
        clipped = _clipped(gradients, directions)
        for parameter, gradient, direction in zip(parameters, *clipped, strict=True):
            group = group_of[parameter]
            rate, epsilon, (beta1, beta2) = group["lr"], group["eps"], group["betas"]
            # Empty before a parameter's first step.
            state = optimizer.state.get(parameter, {})
            first = state.get("exp_avg", torch.zeros_like(parameter))
            second = state.get("exp_avg_sq", torch.zeros_like(parameter))
            # In double precision, as 1 − β₂ᵏ starts at a thousandth; no value leaves the device.
            step = torch.as_tensor(state.get("step", 0.0)).double() + 1
            unbias1, unbias2 = 1 - beta1**step, 1 - beta2**step
            mean = (beta1 * first + (1 - beta1) * gradient) / unbias1
            root = ((beta2 * second + (1 - beta2) * gradient.square()) / unbias2).sqrt()
            below = root + epsilon
            root_slope = (1 - beta2) / unbias2 * gradient / root
            root_slope = torch.where(root > 0, root_slope, 0.0)
            slope = ((1 - beta1) / unbias1 - mean / below * root_slope) / below * direction
            kept = 1 - rate * group["weight_decay"]
            ahead.weights.append(kept * parameter - rate * mean / below)
            ahead.slopes.append(-rate * slope)
    return ahead


def _clipped(
    gradients: Sequence[Tensor], directions: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    along = torch.stack([torch.sum(g * d) for g, d in zip(gradients, directions, strict=True)])
    factor = MAX_GRADIENT_NORM / (norm + _CLIP_EPSILON)
    shrinks = factor / (norm + _CLIP_EPSILON) * along.sum() / norm
    shrinks, factor = torch.where(factor < 1, shrinks, 0.0), factor.clamp(max=1.0)
    return (
        [factor * g for g in gradients],
        [factor * d - shrinks * g for g, d in zip(gradients, directions, strict=True)],
    )


@contextmanager
def placed(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Within it parameters have these values; afterwards their own again, to the bit."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        torch._foreach_copy_(list(parameters), list(values))
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(parameters), kept)
