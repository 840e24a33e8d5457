"""Small data, a small space and one thread: training here takes seconds and gives the same bits."""

import pytest

from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace, get_space
from tests.images.conftest import _one_thread as _one_thread
from tests.images.conftest import digits as digits


@pytest.fixture(scope="session")
def matched_digits() -> ImageData:
    """192 training images of 32 pixels, and 150 that paths are compared and matched on."""
    return open_dataset("digits", resolution=32, seed=0, max_train=192, matching_images=150)


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])


@pytest.fixture
def small() -> Architecture:
    stages = (("mb4_3x3",), ("mb6_5x5", "mb4_3x3"), ("mb4_3x3",), ("mb4_3x3",), ("mb6_5x5",))
    return Architecture(space="cream", resolution=32, num_classes=10, stages=stages)
