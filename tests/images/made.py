"""Images made up, as folders and as shards, and how batches of them are compared."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.images.datasets import open_dataset
from pipeline.images.decoding import Decoding
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import Batch, ImageData, Split
from pipeline.images.indexed import IndexedImages
from pipeline.work.progress import unwatched


def opened(name: Path | str, **changes) -> ImageData:
    return open_dataset(str(name), **{"resolution": 32, "seed": 0, **changes})


def not_kept(data: ImageData) -> ImageData:
    """The same images of a folder, decoded whenever they are trained on."""
    assert isinstance(data, IndexedImages)
    return replace(data, decoding=Decoding(data.record.name, None, unwatched))


def write_folder(root: Path, content: Mapping[str, Mapping[str, int]]) -> Path:
    """Numbers of images by split and class: `{"train": {"cat": 3, "dog": 3}}`."""
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


def write_shards(root: Path) -> Path:
    """A WebDataset: 6 train shards and 2 of validation, 10 images each."""
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


def everything(data: ImageData, split: Split) -> Batch:
    """All images of a split, and their labels."""
    images, labels = zip(*data.batches(split, 64), strict=True)
    return torch.cat(images), torch.cat(labels)


def digest(batches: Iterable[Batch]) -> str:
    """SHA-256 over the bytes of batches, in their order."""
    found = hashlib.sha256()
    for images, labels in batches:
        found.update(images.numpy().tobytes())
        found.update(labels.numpy().tobytes())
    return found.hexdigest()


def assert_same(batches: Iterable[Batch], others: Iterable[Batch]) -> None:
    for (images, labels), (same, of) in zip(batches, others, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, of)


def assert_steps_agree(data: ImageData, epoch: Epoch, count: int, sizes: Sequence[int]) -> None:
    """What `count` processes are given from `epoch.start` on is what one is given of all of it.

    Args:
        data: Images of 32 pixels.
        epoch: At the data's own size, for one process.
        count: Number of processes.
        sizes: 32 or 64, for each step of the epoch.
    """
    whole = replace(epoch, start=0)
    small, large = (list(of_size.train_batches(whole)) for of_size in (data, data.at(64)))
    expected = [(small if size == 32 else large)[step] for step, size in enumerate(sizes)]
    sized = replace(epoch, resolution_at=lambda step: sizes[step])
    given = (data.train_batches(replace(sized, part=(index, count))) for index in range(count))
    joined = (
        tuple(torch.cat(tensors) for tensors in zip(*of_step, strict=True))
        for of_step in zip(*given, strict=True)
    )
    assert_same(joined, expected[epoch.start :])
