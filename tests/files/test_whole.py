"""Files are whole or not there."""

import errno
import hashlib
import os
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.files.record import Record
from pipeline.files.whole import digest_of, digest_of_file, read_record, write_atomic, write_record


class Settings(Record):
    runtime: str
    precision: Literal["fp32", "fp16"]
    batch: int = 1


SETTINGS = Settings(runtime="onnxruntime", precision="fp32")


@pytest.mark.parametrize("content", ["", "text ü\n", b"\x00\xff", b"x" * 100_000])
def test_what_is_written_is_there(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_others_may_read_what_is_written(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, "x")
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch, function, code):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fails(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, fails)
    with pytest.raises(StorageError) as caught:
        write_atomic(path, "new")
    assert os.strerror(code) in caught.value.message
    assert str(path) in caught.value.message
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interruption_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_in_the_way_is_told(tmp_path):
    write_atomic(tmp_path / "file", "x")
    with pytest.raises(StorageError, match="file"):
        write_atomic(tmp_path / "file" / "inner", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder"):
        write_atomic(tmp_path / "folder", "x")


def test_a_record_reads_back(tmp_path):
    path = tmp_path / "target.json"
    write_record(path, SETTINGS)
    assert read_record(path, Settings) == SETTINGS
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "is not a readable Settings"),
        (b'{"runtime": "on', "is not a readable Settings"),
        (b'{"runtime": "any"}', "precision"),
        (SETTINGS.model_dump_json().replace("fp32", "fp33").encode(), "precision"),
        (SETTINGS.model_dump_json().replace("batch", "bitch").encode(), "bitch"),
        (b"\xff\xfe\x00", "is not a readable Settings"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, content, words):
    path = tmp_path / "target.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        read_record(path, Settings)
    assert str(path) in caught.value.message
    assert words in caught.value.message


def test_the_digest_is_that_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    assert digest_of_file(path) == hashlib.sha256(b"content" * 1000).hexdigest()
    with pytest.raises(StorageError, match="No such file"):
        digest_of_file(tmp_path / "nothing")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES))
def test_the_digest_of_a_value_does_not_depend_on_its_order(value):
    turned = dict(reversed(value.items()))
    assert digest_of(turned) == digest_of(value)


def test_the_digest_of_a_value_depends_on_all_of_it():
    values = [
        {},
        {"a": 1},
        {"a": "1"},
        {"a": [1]},
        {"a": {"b": 1}},
        {"b": 1},
        None,
        [],
        [1, 2],
        [2, 1],
    ]
    assert len({digest_of(value) for value in values}) == len(values)
