"""The loss of a path: the labels, and where there is a teacher, what the teacher says."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def label_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with smoothed labels, mean over images.

    Args:
        logits: Shape (n, classes).
        labels: Shape (n,), int64.
        smoothing: Share of the target spread over all classes.
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence from a teacher's softened outputs (Hinton et al. 2015), mean over images.

    Scaled by temperature², so that gradients keep their size whatever the temperature.

    Args:
        logits: Shape (n, classes).
        teacher_logits: The same shape; no gradient goes into them.
        temperature: Above 1, wrong classes count for more.
    """
    expected = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    given = F.log_softmax(logits / temperature, dim=1)
    return temperature**2 * F.kl_div(given, expected, reduction="batchmean", log_target=True)


def taught_loss(on_labels: Tensor, on_teacher: Tensor, weight: Tensor | float) -> Tensor:
    """½·(ρ·KD + (2 − ρ)·CE): the loss of a path with a teacher (paper, section 3.3).

    Args:
        on_labels: CE, a scalar.
        on_teacher: KD, a scalar.
        weight: ρ, 0 to 1: how much the teacher counts.
    """
    return 0.5 * (weight * on_teacher + (2 - weight) * on_labels)
