"""Fashion-MNIST's four files: found or fetched, and checked.

They are looked for in the cache, where Debian's package `dataset-fashion-mnist` installs them, at
the address torchvision downloads from, and in Debian's archive, whose package is unpacked without
being installed. Whatever is found is kept in the cache.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torchvision.datasets import FashionMNIST

from pipeline.errors import DataError
from pipeline.files.cache_folder import cache_dir
from pipeline.files.whole import storage_errors, write_atomic
from pipeline.images.in_memory import GrayImages

CLASS_NAMES = tuple(FashionMNIST.classes)

# SHA-256 of the uncompressed content: Debian compresses the same content anew.
CONTENT_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_PACKAGE = "dataset-fashion-mnist"
_PACKAGED = Path("usr/share/datasets/fashion-mnist")
_ORIGIN = "origin.txt"
_IDX_IMAGE_HEADER = 16
_IDX_LABEL_HEADER = 8
_SIDE = 28
_NETWORK_TIMEOUT_S = 10
_APT_TIMEOUT_S = 300

Contents = dict[str, bytes]


class FashionMnistFiles(NamedTuple):
    """The data set as published.

    Attributes:
        train: 60,000 images of 28 × 28.
        test: 10,000 images.
        origin: Where the files came from, whether or not they are in the cache by now.
    """

    train: GrayImages
    test: GrayImages
    origin: str


def read_fashion_mnist() -> FashionMnistFiles:
    """Reads the data set, fetching it where it is not on this machine yet.

    Raises:
        DataError: A file is damaged, or none of the places has the files; tells what was tried.
        StorageError: The cache cannot be written.
    """
    contents, origin = _find()
    return FashionMnistFiles(_images(contents, "train"), _images(contents, "t10k"), origin)


def data_folder() -> Path:
    """Where the files are kept."""
    return cache_dir() / "datasets" / "fashion-mnist"


def read_files(folder: Path) -> Contents:
    """Reads and checks the four `.gz` files of a folder.

    Returns:
        Uncompressed content by name.

    Raises:
        DataError: A file is missing, or is not the published one.
    """
    return {name: _read_file(folder / f"{name}.gz") for name in CONTENT_SHA256}


def _find() -> tuple[Contents, str]:
    cache = data_folder()
    if _has_any_file(cache):
        return read_files(cache), _origin_of(cache)
    with storage_errors(cache):
        cache.parent.mkdir(parents=True, exist_ok=True)
    installed = Path("/") / _PACKAGED
    if _has_any_file(installed):
        return _keep(installed, f"Debian package {_PACKAGE}, installed")
    tried = [f"{cache}: not there", f"{installed}: not there"]
    fetches: tuple[tuple[str, Callable[[Path], tuple[Path, str]]], ...] = (
        ("torchvision's download", _download),
        (f"Debian package {_PACKAGE}", _unpack_package),
    )
    for name, fetch in fetches:
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".fetch-") as workplace:
            try:
                folder, origin = fetch(Path(workplace))
            except DataError as error:
                tried.append(f"{name}: {error.message}")
                continue
            return _keep(folder, origin)
    raise DataError(
        "Fashion-MNIST is not on this machine and cannot be fetched; tried\n  "
        + "\n  ".join(tried),
        hint=f"install Debian's package {_PACKAGE}, or copy the four .gz files to {cache}",
    )


def _has_any_file(folder: Path) -> bool:
    """Whether the files are meant to be here; then a missing one is an error."""
    return any((folder / f"{name}.gz").exists() for name in CONTENT_SHA256)


def _keep(folder: Path, origin: str) -> tuple[Contents, str]:
    """Checks the files and copies them to the cache, all or none."""
    contents = read_files(folder)
    cache = data_folder()
    with (
        storage_errors(cache),
        tempfile.TemporaryDirectory(dir=cache.parent, prefix=".keep-") as workplace,
    ):
        ready = Path(workplace) / cache.name
        ready.mkdir()
        for name in CONTENT_SHA256:
            shutil.copyfile(folder / f"{name}.gz", ready / f"{name}.gz")
        (ready / _ORIGIN).write_text(origin + "\n", encoding="utf-8")
        try:
            ready.replace(cache)
        except OSError:
            # Another run was faster, and what it put there is the same.
            if not _has_any_file(cache):
                raise
    return contents, origin


def _origin_of(cache: Path) -> str:
    note = cache / _ORIGIN
    return note.read_text(encoding="utf-8").strip() if note.exists() else "files in the cache"


def _read_file(path: Path) -> bytes:
    hint = f"delete the folder {path.parent} to have the files fetched again"
    if not path.is_file():
        raise DataError(f"{path}: is missing beside the other files of Fashion-MNIST", hint=hint)
    with storage_errors(path):
        packed = path.read_bytes()
    try:
        content = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged: {error}", hint=hint) from None
    expected, found = CONTENT_SHA256[path.stem], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(
            f"{path}: is damaged: SHA-256 of its uncompressed content is {found}, "
            f"expected {expected}",
            hint=hint,
        )
    return content


def _images(contents: Contents, part: str) -> GrayImages:
    pixels = np.frombuffer(contents[f"{part}-images-idx3-ubyte"], np.uint8, -1, _IDX_IMAGE_HEADER)
    labels = np.frombuffer(contents[f"{part}-labels-idx1-ubyte"], np.uint8, -1, _IDX_LABEL_HEADER)
    return GrayImages(
        torch.from_numpy(pixels.reshape(-1, _SIDE, _SIDE).copy()),
        torch.from_numpy(labels.astype(np.int64)),
    )


def _download(into: Path) -> tuple[Path, str]:
    """Fetches what torchvision would, with a time limit, which torchvision's own code lacks."""
    (mirror, *_) = FashionMNIST.mirrors
    for name in CONTENT_SHA256:
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=_NETWORK_TIMEOUT_S) as answer:
                content = answer.read()
        except OSError as error:
            raise DataError(str(getattr(error, "reason", error))) from None
        write_atomic(into / f"{name}.gz", content)
    read_files(into)
    return into, "torchvision's download"


def _unpack_package(into: Path) -> tuple[Path, str]:
    """Fetches Debian's package and unpacks it; needs apt, but neither root nor its lists."""
    apt = _apt_get(into)
    # A list that does not load (another archive's, say) does not matter if the package is found.
    _, said = _run([*apt, "update"], into)
    code, said_then = _run([*apt, "download", _PACKAGE], into)
    packages = sorted(into.glob(f"{_PACKAGE}_*.deb"))
    if code or not packages:
        raise DataError(_last_error(said_then) or _last_error(said) or "apt-get finds no package")
    code, said = _run(["dpkg-deb", "--extract", str(packages[0]), str(into)], into)
    if code:
        raise DataError(_last_error(said) or "dpkg-deb cannot unpack the package")
    read_files(into / _PACKAGED)
    version = packages[0].name.split("_")[1]
    return into / _PACKAGED, f"Debian package {_PACKAGE} {version}"


def _apt_get(into: Path) -> list[str]:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DataError("needs apt-get and dpkg-deb, which this system lacks")
    lists, cache = into / "lists", into / "cache"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    options = {
        "Dir::State::Lists": str(lists),
        "Dir::Cache": str(cache),
        # Without this, root's apt fetches as a user who may not write here.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": str(_NETWORK_TIMEOUT_S),
        "Acquire::https::Timeout": str(_NETWORK_TIMEOUT_S),
    }
    return [
        "apt-get",
        *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
    ]


def _run(command: list[str], folder: Path) -> tuple[int, str]:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            errors="replace",
            timeout=_APT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return 1, f"E: {command[0]} took more than {_APT_TIMEOUT_S} s"
    return done.returncode, done.stderr


def _last_error(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("E:", "Err:", "dpkg-deb:"))]
    return lines[-1] if lines else ""
