"""Sandwich sampling: the largest learns from labels, the others from it."""

import pytest
import torch

from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.search_space import SearchSpace
from pipeline.training.compute import compute_here
from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.hypernetwork.sandwich import Sandwich
from pipeline.training.learner import TrainingStep
from tests.training.tiny import NARROW

ONLY = NARROW.narrowed(operators=["mb4_3x3"])


@pytest.mark.parametrize(
    ("space", "limits"),
    [
        (NARROW, PathLimits()),
        (NARROW, PathLimits(macs=2.6e6, macs_min=2.0e6)),
        (ONLY, PathLimits()),
    ],
)
def test_the_paths_within_the_limits_learn_each_once(
    space: SearchSpace, limits: PathLimits, matched_digits: ImageData
):
    supernet = Supernet(space, 10, seed=0).train()
    paths = Paths(PathSampler(space, 10, 0, limits), (32,))
    compute = compute_here()
    sandwich = Sandwich(supernet, paths, compute, 0.1, temperature=2.0)
    images, labels = next(iter(matched_digits.train_batches(Epoch(16, seed=0, number=0))))
    step = TrainingStep(3, torch.optim.AdamW(supernet.parameters()))
    loss = sandwich.gradients(images, labels, step)
    smallest, largest = paths.sampler.extremes(32)
    others = {smallest, paths.sampler.path(6, 32), paths.sampler.path(7, 32)} - {largest}
    assert len(others) == (0 if space is ONLY else 3)
    with torch.no_grad(), compute.forward():
        taught = supernet(images, largest)
        expected = label_loss(taught, labels, 0.1) + sum(
            distillation_loss(supernet(images, path), taught, 2.0) for path in others
        )
    torch.testing.assert_close(loss, expected / (1 + len(others)), rtol=1e-4, atol=1e-6)
    trained = {id(p) for path in (largest, *others) for p in supernet.parameters_of(path)}
    assert {id(p) for p in supernet.parameters() if p.grad is not None} == trained
