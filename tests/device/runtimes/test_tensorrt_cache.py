"""Engines are kept by all that they depend on, and written whole."""

from pathlib import Path

import pytest

from pipeline.device.runtimes._tensorrt_cache import engine_file, keep, read_if_kept, timing_file
from pipeline.errors import StorageError

FACTS = {"runtime": "tensorrt", "version": "11.4.0", "gpu": "a", "batch": 1, "capability": None}


@pytest.mark.usefixtures("workdir")
def test_a_file_is_for_its_facts_alone() -> None:
    files = {engine_file(FACTS), timing_file(FACTS)}
    for name, other in {"runtime": "x", "version": "11.4.1", "gpu": "b", "batch": 2}.items():
        files.add(engine_file({**FACTS, name: other}))
    assert len(files) == 6
    assert engine_file(dict(reversed(FACTS.items()))) == engine_file(FACTS)


@pytest.mark.usefixtures("workdir")
def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    file = engine_file(FACTS)
    assert file.is_relative_to(tmp_path / "cache" / "engines")
    assert read_if_kept(file) is None
    for content in (b"engine", b"another"):
        keep(file, content)
        assert read_if_kept(file) == content
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file") as caught:
        keep(tmp_path / "file" / "engine.plan", b"engine")
    assert "CREAM_PIPELINE_CACHE" in (caught.value.hint or "")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="directory"):
        read_if_kept(tmp_path)
