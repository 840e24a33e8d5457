"""Small images of every kind: digits, folders, shards; one thread gives the same bits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.images.image_data import ImageData
from tests.images.made import opened, write_folder, write_shards

KINDS = {
    "digits": {"max_train": 40, "matching_images": 45},
    "folder": {"max_train": 40, "matching_images": 20},
    "shards": {"matching_images": 11},
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread(one_thread: None) -> None:
    """For all tests here."""


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty cache for the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """320 training images of 32 pixels."""
    return opened("digits", max_train=320)


# Each pass over a stream starts worker processes.
@pytest.fixture(
    scope="session", params=["digits", "folder", pytest.param("shards", marks=pytest.mark.slow)]
)
def kind(request: pytest.FixtureRequest) -> str:
    """A key of `KINDS`."""
    return request.param


@pytest.fixture(scope="session")
def name(kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a data set of the kind is opened by."""
    if kind == "digits":
        return kind
    root = tmp_path_factory.mktemp(kind) / "images"
    if kind == "folder":
        return str(write_folder(root, {"train": {"cat": 50, "dog": 50}}))
    pytest.importorskip("webdataset")
    return f"wds/{write_shards(root)}"


@pytest.fixture(scope="module")
def data(kind: str, name: str) -> ImageData:
    """Few training images of 32 pixels, and some for the matching network."""
    return opened(name, **KINDS[kind])


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of images: `image_folder({"train": {"cat": 3, "dog": 3}})`."""
    return lambda content: write_folder(tmp_path / "images", content)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A WebDataset: 6 train shards and 2 of validation, 10 images each."""
    pytest.importorskip("webdataset")
    return write_shards(tmp_path / "shards")
