"""Images that are kept are read as they were decoded, and from files that are whole."""

import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import StorageError
from pipeline.images import kept as kept_module
from pipeline.images.kept import KeptImages, Photo, keep, kept_images

NUMBERS = [4, 7, 8, 30, 31]
SIDE = 11


def decode(number: int) -> Photo:
    """An image whose size and pixels depend on its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (3 + number, 40 - number, 3))
    return Image.fromarray(pixels.astype(np.uint8)), number % 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Takes shards of two images."""
    monkeypatch.setattr(kept_module, "_AT_ONCE", 2)
    monkeypatch.setattr(kept_module, "_SHARD_BYTES", 1)
    kept_images(tmp_path / "kept")
    return tmp_path / "kept"


def check_read(kept: KeptImages, numbers: list[int]) -> None:
    assert [number for number in range(50) if kept.has(number, SIDE)] == numbers
    for number in numbers:
        (image, label), (expected, of) = kept.read(number, SIDE), decode(number)
        assert (image.mode, label) == ("RGB", of)
        assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_images_are_read_as_they_were_decoded(folder: Path):
    assert list(keep(folder, NUMBERS, SIDE, decode)) == [2, 4, 5]
    assert len(list(folder.iterdir())) == 3
    check_read(kept_images(folder), NUMBERS)


def test_small_images_are_kept_once_for_larger_sides_and_for_no_smaller(folder: Path):
    list(keep(folder, NUMBERS, SIDE, decode))
    kept = kept_images(folder)
    shorter = {number: min(decode(number)[0].size) for number in NUMBERS}
    assert shorter == {4: 7, 7: 10, 8: 11, 30: 10, 31: 9}
    assert [number for number in NUMBERS if kept.has(number, 50)] == [4, 7, 30, 31]
    assert [number for number in NUMBERS if kept.has(number, 8)] == [4]


def test_another_process_is_given_names_of_files(folder: Path):
    list(keep(folder, NUMBERS, SIDE, decode))
    given = pickle.dumps(kept_images(folder))
    assert len(given) < 1000
    check_read(pickle.loads(given), NUMBERS)


@pytest.mark.parametrize("damage", ["cut", "a byte", "empty"])
def test_a_damaged_shard_is_removed_and_its_images_are_missing(folder: Path, damage: str):
    list(keep(folder, NUMBERS, SIDE, decode))
    shard = max(folder.iterdir())
    content = bytearray(shard.read_bytes())
    lost = {content[8], content[56]} if content[0] == 2 else {content[8]}
    if damage == "a byte":
        content[-7] ^= 1
    shard.write_bytes({"cut": content[:-1], "empty": b""}.get(damage, content))
    check_read(kept_images(folder), sorted({*NUMBERS} - lost))
    assert not shard.exists()
    list(keep(folder, sorted(lost), SIDE, decode))
    assert shard.exists()
    check_read(kept_images(folder), NUMBERS)


def test_what_a_kill_left_half_written_is_removed(folder: Path):
    list(keep(folder, NUMBERS[:2], SIDE, decode))
    half = folder / f".{'0' * 64}.images.abc.part"
    half.write_bytes(b"half")
    check_read(kept_images(folder), NUMBERS[:2])
    assert not half.exists()


def test_a_full_disk_is_an_error_and_leaves_what_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    done = keep(folder, NUMBERS, SIDE, decode)
    assert next(done) == 2

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        next(done)
    assert "free space" in (caught.value.hint or "")
    check_read(kept_images(folder), NUMBERS[:2])
