"""What is erased and mixed depends on the step, the seed and the process, and on nothing else."""

import random
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.training.retraining.batch_variation import BatchVariation
from pipeline.training.settings import RetrainSettings

IMAGES = torch.linspace(-1, 1, 8 * 3 * 16 * 16).view(8, 3, 16, 16)
LABELS = torch.arange(8) % 5


def vary(*, seed: int = 0, part: int = 0, **settings: Any) -> BatchVariation:
    chosen = RetrainSettings(epochs=1, batch_size=8, **settings)
    return BatchVariation(chosen, 5, seed=seed, part=part)


def test_nothing_asked_for_nothing_changed():
    images, labels = vary()(IMAGES, LABELS, 3)
    assert images is IMAGES
    assert labels is LABELS


@pytest.mark.parametrize("settings", [{"random_erasing": 1.0}, {"mixup": 0.4}, {"cutmix": 1.0}])
def test_the_same_step_is_varied_the_same_way(settings: dict[str, float]):
    varied = vary(**settings)
    first = varied(IMAGES.clone(), LABELS, 3)
    random.random(), np.random.rand(), torch.rand(1)
    varied(IMAGES.clone(), LABELS, 4)
    again = varied(IMAGES.clone(), LABELS, 3)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    for other in (vary(seed=1, **settings), vary(part=1, **settings)):
        assert not torch.equal(first[0], other(IMAGES.clone(), LABELS, 3)[0])


def test_whoever_else_draws_random_numbers_is_not_disturbed():
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), float(np.random.rand()), float(torch.rand(1))
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    vary(random_erasing=1.0, mixup=0.4)(IMAGES.clone(), LABELS, 0)
    assert (random.random(), float(np.random.rand()), float(torch.rand(1))) == expected


def test_about_as_many_images_are_erased_as_asked_for():
    varied = vary(random_erasing=0.25)
    changed = [
        (images != IMAGES).flatten(1).any(1).float().mean()
        for images in (varied(IMAGES.clone(), LABELS, at)[0] for at in range(100))
    ]
    assert float(torch.stack(changed).mean()) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("settings", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_mixed_labels_are_shares_of_the_classes(settings: dict[str, float]):
    """Those of an image and its partner, smoothed; they sum to one."""
    _, shares = vary(label_smoothing=0.1, **settings)(IMAGES.clone(), LABELS, 1)
    assert shares.shape == (8, 5)
    torch.testing.assert_close(shares.sum(1), torch.ones(8))
    assert torch.all(shares >= 0.1 / 5 - 1e-6)
    partners = LABELS.flip(0)
    for row, label, partner in zip(shares, LABELS, partners, strict=True):
        assert float(row[label]) > 0.02
        others = [i for i in range(5) if i not in (int(label), int(partner))]
        torch.testing.assert_close(row[others], torch.full((len(others),), 0.02))
