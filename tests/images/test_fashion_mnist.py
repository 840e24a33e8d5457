"""Fashion-MNIST's files: where they are looked for, and what is told when they are not whole."""

import functools
import gzip
import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from pipeline.images import fashion_mnist
from pipeline.images.datasets import open_dataset
from pipeline.images.fashion_mnist import data_folder, read_fashion_mnist

NAMES = tuple(fashion_mnist.CONTENT_SHA256)


def _made_up(name: str) -> bytes:
    count = 40 if name.startswith("train") else 10
    random = np.random.default_rng(0)
    if "labels" in name:
        return bytes(8) + bytes(np.arange(count, dtype=np.uint8) % 10)
    return bytes(16) + random.integers(0, 256, count * 28 * 28).astype(np.uint8).tobytes()


@pytest.fixture
def source(workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four files of the right form, whose checksums are taken for the right ones."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in NAMES:
        content = _made_up(name)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(fashion_mnist.CONTENT_SHA256, name, digest)
    return folder


@pytest.fixture
def nowhere(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package installed, no network, no apt-get."""
    monkeypatch.setattr(fashion_mnist, "_PACKAGED", Path("no/such/place"))
    monkeypatch.setattr(fashion_mnist.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("PATH", "/no/such/place")


@pytest.fixture
def mirror(source: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(source))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("nowhere")
def test_files_put_in_the_cache_are_read(source: Path):
    shutil.copytree(source, data_folder())
    files = read_fashion_mnist()
    assert files.train.pixels.shape == (40, 28, 28)
    assert files.train.pixels.dtype == torch.uint8
    assert files.test.labels.tolist() == list(range(10))
    content = np.frombuffer(_made_up(NAMES[0])[16:], np.uint8).reshape(40, 28, 28)
    assert np.array_equal(files.train.pixels.numpy(), content)


@pytest.mark.usefixtures("nowhere")
def test_installed_files_are_kept_in_the_cache(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fashion_mnist, "_PACKAGED", source)
    first = read_fashion_mnist()
    shutil.rmtree(source)
    again = read_fashion_mnist()
    assert torch.equal(first.train.pixels, again.train.pixels)
    assert again.origin == first.origin == "Debian package dataset-fashion-mnist, installed"


@pytest.mark.usefixtures("nowhere")
def test_files_are_downloaded_once(mirror: str, source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fashion_mnist.FashionMNIST, "mirrors", [mirror])
    first = read_fashion_mnist()
    shutil.rmtree(source)
    assert read_fashion_mnist().origin == first.origin == "torchvision's download"
    assert sorted(p.name for p in data_folder().parent.iterdir()) == ["fashion-mnist"]


@pytest.mark.usefixtures("nowhere")
def test_a_damaged_download_is_not_kept(mirror: str, source: Path, monkeypatch):
    monkeypatch.setattr(fashion_mnist.FashionMNIST, "mirrors", [mirror])
    (source / f"{NAMES[1]}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match=f"torchvision's download: .*{NAMES[1]}.gz: is damaged"):
        read_fashion_mnist()
    assert not data_folder().exists()


@pytest.mark.usefixtures("nowhere")
def test_when_all_fails_every_attempt_is_told():
    with pytest.raises(DataError) as caught:
        read_fashion_mnist()
    told = caught.value.message.splitlines()[1:]
    assert [line.rpartition(": ")[0].strip() for line in told] == [
        str(data_folder()),
        "/no/such/place",
        "torchvision's download",
        "Debian package dataset-fashion-mnist",
    ]
    assert "dataset-fashion-mnist" in (caught.value.hint or "")
    assert str(data_folder()) in (caught.value.hint or "")


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_told_with_both_sums(name: str, source: Path):
    shutil.copytree(source, data_folder())
    content = _made_up(name)[:-1] + b"\0"
    file = data_folder() / f"{name}.gz"
    file.write_bytes(gzip.compress(content))
    with pytest.raises(DataError) as caught:
        read_fashion_mnist()
    assert str(file) in caught.value.message
    assert hashlib.sha256(content).hexdigest() in caught.value.message
    assert fashion_mnist.CONTENT_SHA256[name] in caught.value.message


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("keep", "message"),
    [(0, "is damaged"), (10, "is damaged"), (60, "is damaged"), (None, "is missing")],
)
def test_a_file_that_is_cut_short_or_missing_is_told(keep: int | None, message: str, source: Path):
    shutil.copytree(source, data_folder())
    file = data_folder() / f"{NAMES[2]}.gz"
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"{file.name}: {message}"):
        read_fashion_mnist()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt-get on this system")
@pytest.mark.usefixtures("workdir")
def test_debians_package_is_fetched_without_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fashion_mnist.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    data = open_dataset("fashion-mnist", resolution=32, seed=0)
    record = data.record
    assert (record.num_train, record.num_search_validation, record.num_test) == (
        55_000,
        5_000,
        10_000,
    )
    train = torch.cat([images[:, 0] for images, _ in data.batches("train", 5000)])
    assert abs(float(train.mean())) < 0.01
    assert abs(float(train.std()) - 1) < 0.01
    counts = torch.cat([of for _, of in data.batches("search-validation", 5000)]).bincount()
    assert counts.tolist() == [500] * 10
