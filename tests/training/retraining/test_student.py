"""The loss of a network trained on its own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.network.network import Network, build_network
from pipeline.space.architecture import Architecture
from pipeline.training.compute import Compute
from pipeline.training.learner import TrainingStep
from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.retraining.student import Student
from pipeline.training.settings import RetrainSettings

IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8)
STEP = TrainingStep(0, torch.optim.SGD([torch.zeros(1)]))
SAID = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
TAUGHT = {"teacher": {"weight": 0.3, "temperature": 2.0}}


def learner(
    small: Architecture, said: Callable[[Tensor], Tensor] | None = None, **settings: Any
) -> Student:
    chosen = RetrainSettings(epochs=1, batch_size=8, **settings)
    network = build_network(small, seed=0).eval()  # so that parts of a batch do not differ
    vary = BatchVariation(chosen, 10, seed=0, part=0)
    return Student(network, Compute(torch.device("cpu")), chosen, vary, said)


def gradients(network: Network) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_parts_of_a_batch_add_up_to_the_batch(small: Architecture):
    whole, parts = learner(small), learner(small, accumulate=4)
    torch.testing.assert_close(
        whole.gradients(IMAGES, LABELS, STEP), parts.gradients(IMAGES, LABELS, STEP)
    )
    torch.testing.assert_close(gradients(whole.network), gradients(parts.network))


def test_the_teacher_decides_its_share(small: Architecture):
    """(1 − w)·CE + w·T²·KL; the teacher sees the images the network sees."""
    seen: list[Tensor] = []

    def said_by(images: Tensor) -> Tensor:
        seen.append(images)
        return SAID

    plain = learner(small)
    student = learner(small, said_by, **TAUGHT)
    loss = student.gradients(IMAGES, LABELS, STEP)
    with torch.no_grad():
        logits = student.network(IMAGES)
    kl = F.kl_div(F.log_softmax(logits / 2, 1), F.softmax(SAID / 2, 1), reduction="batchmean")
    expected = 0.7 * plain.gradients(IMAGES, LABELS, STEP) + 0.3 * 4 * kl
    torch.testing.assert_close(loss, expected)
    assert torch.equal(seen[0], IMAGES)


def test_without_a_teacher_the_labels_decide(small: Architecture):
    student = learner(small, label_smoothing=0.1)
    with torch.no_grad():
        expected = F.cross_entropy(student.network(IMAGES), LABELS, label_smoothing=0.1)
    torch.testing.assert_close(student.gradients(IMAGES, LABELS, STEP), expected)


@pytest.mark.parametrize("mixing", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_mixed_images_have_mixed_labels(small: Architecture, mixing: dict[str, float]):
    student = learner(small, **mixing)
    images, shares = student.vary(IMAGES.clone(), LABELS, 0)
    with torch.no_grad():
        logs = F.log_softmax(student.network(images), 1)
    expected = -(shares * logs).sum(1).mean()
    torch.testing.assert_close(student.gradients(IMAGES.clone(), LABELS, STEP), expected)
