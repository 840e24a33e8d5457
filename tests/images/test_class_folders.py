"""Folders of classes as people have them: links, litter, Unicode, other files."""

import os
import unicodedata
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.images.class_folders import list_images


def make(root: Path, *files: str) -> Path:
    """Files that are listed; nothing opens them."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> dict[str, list[str]]:
    listing = list_images(root, "")
    names: dict[str, list[str]] = {name: [] for name in listing.class_names}
    for file, label in zip(listing.images.files, listing.images.labels, strict=True):
        names[listing.class_names[label]].append(file)
    return names


@pytest.mark.parametrize(
    "by_class",
    [
        {"c9": ["c9/9.jpg", "c9/10.jpg", "c9/A.jpg", "c9/a.jpg"], "c10": ["c10/1.jpg"]},
        {"a": ["a/1.JPG", "a/2.JPEG", "a/3.PNG", "a/4.webp", "a/5.Tiff", "a/6.gif", "a/7.bmp"]},
        {"a": ["a/2023/june/1.jpg", "a/2024/1.jpg"], "b": ["b/1.jpg"]},
        {"chat gris": ["chat gris/é 1².jpg"], "狗": ["狗/٣.png"]},
    ],
    ids=["natural order", "suffixes in any case", "folders within a class", "spaces and Unicode"],
)
def test_files_are_of_the_class_whose_folder_they_are_in(
    tmp_path: Path, by_class: dict[str, list[str]]
):
    files = [file for of_class in by_class.values() for file in of_class]
    other = {"0": ["0/1.jpg"]}
    listed = found(make(tmp_path, *reversed(files), "0/1.jpg"))
    assert list(listed.items()) == list((other | by_class).items())


def test_hidden_files_and_litter_are_not_looked_at(tmp_path: Path):
    litter = [".DS_Store", "a/.DS_Store", "a/Thumbs.db", "a/._1.jpg", "b/desktop.ini"]
    hidden = [".git/x.jpg", "__MACOSX/a/1.jpg", "a/.ipynb_checkpoints/1.jpg"]
    root = make(tmp_path, "a/1.jpg", "b/1.jpg", *litter, *hidden)
    assert found(root) == {"a": ["a/1.jpg"], "b": ["b/1.jpg"]}
    assert not list_images(root, "").other_files


def test_other_files_are_counted(tmp_path: Path):
    root = make(tmp_path, "a/1.jpg", "a/1.heic", "a/2.HEIC", "b/1.jpg", "b/README", "b/notes.txt")
    other = list_images(root, "").other_files
    assert other == {".heic": 2, "without a suffix": 1, ".txt": 1}


def test_links_are_followed_and_loops_end(tmp_path: Path):
    make(tmp_path, "store/1.jpg", "store/deep/2.jpg", "root/b/1.jpg", "root/a/0.jpg")
    root = tmp_path / "root"
    (root / "c").symlink_to(tmp_path / "store")
    (root / "a" / "one.jpg").symlink_to(tmp_path / "store" / "1.jpg")
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "a" / "self").symlink_to("self")
    (root / "b" / "twice").symlink_to(tmp_path / "store" / "deep")
    (root / "b" / "again").symlink_to(tmp_path / "store" / "deep")
    assert found(root) == {
        "a": ["a/0.jpg", "a/one.jpg"],
        "b": ["b/1.jpg", "b/again/2.jpg"],
        "c": ["c/1.jpg", "c/deep/2.jpg"],
    }


def test_composed_and_decomposed_names_are_one_class(tmp_path: Path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    make(tmp_path, f"train/{composed}/1.jpg", "train/tea/1.jpg")
    make(tmp_path, f"val/{decomposed}/1.jpg", "val/tea/1.jpg")
    train = list_images(tmp_path, "train")
    test = list_images(tmp_path, "val", train.class_names)
    assert train.class_names == test.class_names == (composed, "tea")
    assert test.images.labels.tolist() == [0, 1]
    file, label = test.images[0]
    with file:
        assert (file.name, label) == (str(tmp_path / "val" / decomposed / "1.jpg"), 0)


def test_names_that_look_the_same_are_refused(tmp_path: Path):
    for form in ("NFC", "NFD"):
        make(tmp_path, f"{unicodedata.normalize(form, 'café')}/1.jpg")
    with pytest.raises(DataError, match="two folders are named café"):
        list_images(tmp_path, "")


def test_a_class_name_that_is_no_text_is_refused(tmp_path: Path):
    make(tmp_path, "a/1.jpg")
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    with pytest.raises(DataError, match=r"the name of the folder caf. is not UTF-8"):
        list_images(tmp_path, "")


def test_a_class_without_images_in_test_is_told(tmp_path: Path):
    make(tmp_path, "val/a/1.jpg", "val/b/notes.txt")
    with pytest.raises(DataError, match="no images of class b, c"):
        list_images(tmp_path, "val", ("a", "b", "c"))
