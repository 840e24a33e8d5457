"""A bundle that was changed is refused, whichever file it is, and whoever names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.files.whole import digest_of, digest_of_file
from tests.bundle.conftest import Call, Made

FILES = [
    "README.md",
    "infer.py",
    "model.onnx",
    "model.fp16.onnx",
    "model.int8.onnx",
    "model.int8-symmetric.onnx",
    "model.safetensors",
    "vectors/image-0.png",
    "vectors/image-7.png",
    "vectors/vectors.npz",
]


def test_every_file_but_the_card_has_its_digest_in_the_card(bundle: Made) -> None:
    files = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*.*")}
    assert set(bundle.card.sha256) == files - {"model.json"}
    assert set(FILES) < files
    for name, digest in bundle.card.sha256.items():
        assert digest_of_file(bundle.folder / name) == digest
    for file in bundle.card.files:
        assert bundle.card.sha256[file.file] == file.sha256


def test_the_card_has_a_digest_of_itself(bundle: Made) -> None:
    kept = json.loads((bundle.folder / "model.json").read_text(encoding="utf-8"))
    assert kept.pop("digest") == digest_of(kept) == bundle.card.digest


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(spoilt: Path, name: str, call: Call) -> None:
    expected = digest_of_file(spoilt / name)
    content = bytearray((spoilt / name).read_bytes())
    content[len(content) // 2] ^= 1
    (spoilt / name).write_bytes(content)
    code, _, err = call("--selftest")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith(f"error: {name}: was changed")
    assert expected in line
    assert digest_of_file(spoilt / name) in line


def test_a_missing_file_is_refused(spoilt: Path, call: Call) -> None:
    (spoilt / "README.md").unlink()
    code, _, err = call("--selftest")
    assert code == 1
    assert "README.md: is missing" in err


def test_a_changed_card_is_refused(spoilt: Path, call: Call) -> None:
    card = spoilt / "model.json"
    text = card.read_text(encoding="utf-8")
    assert '"labels": [\n    "0"' in text
    card.write_text(text.replace('"labels": [\n    "0"', '"labels": [\n    "9"'), encoding="utf-8")
    code, _, err = call("--selftest")
    assert code == 1
    assert "model.json: was changed" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "expected"),
        ('{"format": "another"}', "expected"),
        ('{"format": "cream-pipeline-bundle", "schema_version": 99}', "99"),
    ],
)
def test_a_card_of_something_else_is_refused(
    spoilt: Path, content: str, words: str, call: Call
) -> None:
    (spoilt / "model.json").write_text(content, encoding="utf-8")
    code, _, err = call("--selftest")
    assert code == 1
    (line,) = err.splitlines()
    assert "model.json" in line
    assert words in line
