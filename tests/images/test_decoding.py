"""What is trained on is decoded once, to the same bits, and kept where there is room."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.files.cache_folder import CACHE_VARIABLE, cache_dir
from pipeline.images import decoding
from pipeline.images import kept as kept_images
from pipeline.images.by_index import ImagesByIndex
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import Batch
from pipeline.work.progress import Progress
from tests.images.made import assert_same, not_kept, opened, write_folder

EPOCH = Epoch(8, seed=1, number=2)
TWO_SIZES = replace(EPOCH, resolution_at=lambda step: (32, 96)[step % 2])
TRAINED = 33
Told = tuple[str, int, int, str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images of two classes, of which two photographs and two drawings are large."""
    root = write_folder(
        tmp_path_factory.mktemp("decoding") / "images", {"train": {"cat": 20, "dog": 20}}
    )
    for number, suffix in enumerate(("jpg", "jpg", "png", "png")):
        small = root / "train" / "dog" / f"{number}.png"
        large = Image.open(small).resize((700 - 200 * number, 520))
        small.unlink()
        large.save(small.with_suffix(f".{suffix}"))
    return root


@pytest.fixture(autouse=True)
def _small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(kept_images, "_AT_ONCE", 8)
    monkeypatch.setattr(kept_images, "_SHARD_BYTES", 1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which images are read from their files, in some order."""
    read: list[int] = []
    really = ImagesByIndex.read
    monkeypatch.setattr(
        ImagesByIndex,
        "read",
        lambda images, index, convert: read.append(index) or really(images, index, convert),
    )
    monkeypatch.setattr(decoding, "_mean_bytes", lambda images, side: 1.0)
    return read


def watched(told: list[Told]) -> Callable[[str], Progress]:
    return lambda title: lambda done, total, note="": told.append((title, done, total, note))


def trained(root: Path, **changes) -> Iterator[Batch]:
    return opened(root, **changes).train_batches(EPOCH)


def test_training_is_the_same_however_images_are_decoded(root: Path, read: list[int]):
    data = opened(root)
    expected = list(not_kept(data).train_batches(TWO_SIZES))
    read.clear()
    for source in (data, data, opened(root)):
        assert_same(source.train_batches(TWO_SIZES), expected)
    # What is smaller than the sides of both sizes is decoded once, the large images twice.
    large = Counter(read).most_common(4)
    assert [times for _, times in large if times > 1] == [2] * (len(read) - TRAINED)
    assert TRAINED < len(read) <= TRAINED + 4


def test_another_seed_decodes_what_is_missing(root: Path, read: list[int]):
    indices = [set(opened(root, seed=seed).splits["train"].indices.tolist()) for seed in (0, 1)]
    for seed in (0, 1):
        list(trained(root, seed=seed))
    assert sorted(read) == sorted([*indices[0], *(indices[1] - indices[0])])


def test_a_copy_of_the_data_set_shares_what_is_kept(root: Path, tmp_path: Path, read: list[int]):
    expected = list(trained(root))
    read.clear()
    assert_same(trained(shutil.copytree(root, tmp_path / root.name)), expected)
    assert read == []


def test_decoding_that_was_stopped_goes_on(root: Path):
    def stopping(title: str) -> Progress:
        def advance(done: int, total: int, note: str = "") -> None:
            if (title, done) == ("decoding images", 24):
                raise KeyboardInterrupt

        return advance

    told: list[Told] = []
    with pytest.raises(KeyboardInterrupt):
        trained(root, progress=stopping)
    assert_same(trained(root, progress=watched(told)), trained(root))
    rest = [(done, total) for title, done, total, _ in told if title == "decoding images"]
    assert rest == [(8, 9), (9, 9)]


def test_an_image_that_breaks_before_it_is_kept_is_named(tmp_path: Path):
    root = write_folder(tmp_path / "images", {"train": {"cat": 10, "dog": 10}})
    data = opened(root)
    file = root / "train" / data.splits["train"].reader.filename(3).partition("/")[2]
    file.write_text("no image")
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        data.train_batches(EPOCH)
    assert caught.value.message.startswith(str(file))


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (("_MOST_BYTES", 20), "in every epoch: 0.0 GiB are more than 0.0 GiB"),
        (("_MOST_SHARE_OF_FREE", 0), "in every epoch: 0.0 GiB are more than half of what is free"),
    ],
)
def test_what_has_no_room_is_not_kept_and_said_so_once(
    root: Path, limit: tuple[str, int], reason: str, monkeypatch: pytest.MonkeyPatch
):
    expected = list(trained(root))
    shutil.rmtree(cache_dir())
    monkeypatch.setattr(decoding, *limit)
    told: list[Told] = []
    data = opened(root, progress=watched(told))
    for _ in range(2):
        assert_same(data.train_batches(EPOCH), expected)
    (line,) = [it for it in told if it[0] == "decoding images"]
    assert line[1:] == (TRAINED, TRAINED, reason)
    assert not list((cache_dir() / "datasets" / "decoded").rglob("*.images"))


def test_what_is_kept_already_needs_no_room(root: Path, monkeypatch: pytest.MonkeyPatch, read):
    expected = list(trained(root))
    read.clear()
    monkeypatch.setattr(decoding, "_MOST_BYTES", 0)
    assert_same(trained(root), expected)
    assert read == []


def test_images_without_a_checksum_are_not_kept_and_it_is_said(root: Path):
    told: list[Told] = []
    train = opened(root).splits["train"]
    assert decoding.Decoding("hfds/it", None, watched(told)).kept(train, 128) is None
    reason = "in every epoch: there is no checksum to know them by"
    assert told == [("decoding images", TRAINED, TRAINED, reason)]


def test_two_at_once_decode_each_image_once(root: Path, read: list[int]):
    several = [opened(root) for _ in range(3)]
    together = [threading.Thread(target=data.train_batches, args=[EPOCH]) for data in several]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert sorted(read) == sorted(several[0].splits["train"].indices.tolist())
