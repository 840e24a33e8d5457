"""The matching network: which path of the board teaches a student, and with what weight.

*Cream of the Crop* (NeurIPS 2020), section 3.3. The network sees by how much two paths differ in
their softmax outputs and answers with the weight ρ of that teacher in the student's loss. Here the
outputs are those for a fixed set of held-out images, the probes, so that each input of the network
always means the same image and class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MatchingNetwork(nn.Module):
    """Differences of two paths' outputs to the weight ρ of one as the other's teacher.

    Args:
        probes: Images both paths are shown.
        num_classes: Classes of their outputs.
    """

    def __init__(self, probes: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(probes * num_classes, 1)
        # Before it has learned anything it prefers no teacher: ρ = ½ for all, and of equal ones the
        # first on the board, the most accurate, teaches.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, differences: Tensor) -> Tensor:
        """Weights of teachers.

        Args:
            differences: Softmax outputs of the student minus those of each teacher, shape
                (…, probes, classes).

        Returns:
            ρ in 0 to 1, shape (…).
        """
        return torch.sigmoid(self.linear(differences.flatten(-2)).squeeze(-1))


def look_ahead_gradient(
    on_labels: Sequence[Tensor],
    on_teacher: Sequence[Tensor],
    on_validation: Sequence[Tensor],
    learning_rate: float,
) -> Tensor:
    """How the validation loss after one student step depends on ρ.

    The student's step is w⁺ = w − η·∇L with L = ½·(ρ·KD + (2 − ρ)·CE). L is linear in ρ, so the
    derivative through the step is exactly

        dL_val(w⁺)/dρ = −η · ⟨∇L_val(w⁺), ½·(∇KD − ∇CE)⟩,

    a product of three plain gradients; what automatic differentiation of the step would give,
    without its second derivatives.

    Args:
        on_labels: ∇CE at w, a tensor for each parameter of the path.
        on_teacher: ∇KD at w.
        on_validation: ∇L_val at w⁺.
        learning_rate: η.

    Returns:
        A scalar.
    """
    products = [
        torch.sum(validation * (teacher - labels))
        for labels, teacher, validation in zip(on_labels, on_teacher, on_validation, strict=True)
    ]
    return -0.5 * learning_rate * torch.stack(products).sum()
