"""Files are read once, judged once, and never change what they were without being noticed."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import StorageError
from pipeline.images import checks as image_check
from pipeline.images.checks import check_images
from pipeline.work.progress import Progress, unwatched

FILES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six images, of which the third is text."""
    monkeypatch.setenv("CREAM_PIPELINE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "images"
    folder.mkdir()
    for place, name in enumerate(FILES):
        Image.fromarray(np.full((5, 4), place, np.uint8)).save(folder / name)
    (folder / "2.png").write_text("no image")
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read, in some order."""
    names: list[str] = []
    really = image_check._read_through
    monkeypatch.setattr(
        image_check, "_read_through", lambda path: names.append(path.name) or really(path)
    )
    return names


def journal(root: Path) -> Path:
    (path,) = (root.parent / "cache" / "datasets" / "checked").glob("images-*.jsonl")
    return path


def test_each_file_is_read_once(root: Path, read: list[str]):
    first = check_images(root, FILES, unwatched)
    assert [verdict.reason is None for verdict in first] == [i != 2 for i in range(6)]
    assert len({verdict.digest for verdict in first}) == 6
    assert sorted(read) == FILES
    assert check_images(root, FILES, unwatched) == first
    assert len(read) == 6


def test_a_changed_file_is_read_again(root: Path, read: list[str]):
    before = check_images(root, FILES, unwatched)
    read.clear()
    (root / "2.png").write_bytes((root / "1.png").read_bytes())
    (root / "3.png").write_text("broken")
    os.utime(root / "4.png", ns=(0, 0))
    after = check_images(root, FILES, unwatched)
    assert sorted(read) == ["2.png", "3.png", "4.png"]
    assert [verdict.reason is None for verdict in after] == [i != 3 for i in range(6)]
    assert after[2].digest == before[1].digest
    assert after[4].digest == before[4].digest


def test_a_check_that_was_stopped_goes_on(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(image_check, "_IMAGES_A_LINE", 2)

    def stopping(title: str) -> Progress:
        def advance(done: int, total: int, note: str = "") -> None:
            if done == 4:
                raise KeyboardInterrupt

        return advance

    with pytest.raises(KeyboardInterrupt):
        check_images(root, FILES, stopping)
    assert sorted(read) == FILES[:4]
    with journal(root).open("a") as file:
        file.write('\n{"4.png": [70, ')
    check_images(root, FILES, unwatched)
    assert sorted(read) == FILES
    assert [len(json.loads(line)) for line in journal(root).read_text().split("\n")[1:3]] == [2, 2]


def test_progress_names_the_first_that_cannot_be_read(root: Path):
    told = []

    def watching(title: str) -> Progress:
        return lambda done, total, note="": told.append((title, done, total, note))

    check_images(root, FILES, watching)
    check_images(root, FILES, watching)
    assert told == [("checking images", 6, 6, "1 cannot be read, first 2.png")]


def test_what_is_not_there_or_no_file_is_told(root: Path):
    (root / "gone.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    gone, pipe = check_images(root, ["gone.png", "pipe.png"], unwatched)
    assert gone.reason == "No such file or directory"
    assert pipe.reason == "is no regular file"
    (root / "nowhere.png").write_bytes((root / "0.png").read_bytes())
    assert check_images(root, ["gone.png"], unwatched)[0].reason is None


def test_two_at_once_read_each_file_once(root: Path, read: list[str]):
    verdicts = []
    together = [
        threading.Thread(target=lambda: verdicts.append(check_images(root, FILES, unwatched)))
        for _ in range(3)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert sorted(read) == FILES


def test_a_cache_that_cannot_be_written_is_an_error(root: Path):
    (root.parent / "cache").write_text("a file")
    with pytest.raises(StorageError, match="cache"):
        check_images(root, FILES, unwatched)
