"""Small images of many kinds: digits, folders, shards; one thread gives the same bits."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import Batch, ImageData


@pytest.fixture(autouse=True, scope="session")
def _one_thread(one_thread: None) -> None:
    """For all tests here."""


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """320 training images of 32 pixels."""
    return open_dataset("digits", resolution=32, seed=0, max_train=320)


@pytest.fixture(scope="session")
def digest() -> Callable[[Iterable[Batch]], str]:
    """SHA-256 over the bytes of batches, in their order."""

    def of(batches: Iterable[Batch]) -> str:
        found = hashlib.sha256()
        for images, labels in batches:
            found.update(images.numpy().tobytes())
            found.update(labels.numpy().tobytes())
        return found.hexdigest()

    return of


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of images: `image_folder({"train": {"cat": 3, "dog": 3}})`."""

    def make(content: dict[str, dict[str, int]]) -> Path:
        root = tmp_path / "images"
        random = np.random.default_rng(0)
        for split, classes in content.items():
            for number, (name, count) in enumerate(classes.items()):
                folder = root / split / name
                folder.mkdir(parents=True)
                for i in range(count):
                    shape = (20 + 4 * number, 24, 3)
                    pixels = random.integers(90 * number, 90 * number + 80, shape)
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        return root

    return make


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A WebDataset: 6 train shards and 2 of validation, 10 images each."""
    root = tmp_path / "shards"
    root.mkdir()
    splits = {}
    for split, count in (("train", 6), ("validation", 2)):
        names = [f"{split}-{number:03d}.tar" for number in range(count)]
        for name in names:
            _write_shard(root / name, seed=sum(name.encode()))
        splits[split] = {
            "name": split,
            "num_samples": 10 * count,
            "filenames": names,
            "shard_lengths": [10] * count,
        }
    info = {"name": "made-up", "class_names": ["dark", "bright"], "splits": splits}
    (root / "_info.json").write_text(json.dumps(info))
    return root


def _write_shard(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for i in range(10):
            pixels = random.integers(120 * (i % 2), 120 * (i % 2) + 100, (20, 24, 3))
            png = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(png, "png")
            for suffix, content in (("png", png.getvalue()), ("cls", str(i % 2).encode())):
                entry = tarfile.TarInfo(f"{i:03d}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
