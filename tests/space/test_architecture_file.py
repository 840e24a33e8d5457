"""What `--arch` names: published models, files, the one-line form, and everything that is none."""

import json

import pytest

from pipeline.errors import ArchitectureError, PipelineError, StorageError, UnknownNameError
from pipeline.space.architecture_file import (
    parse_short,
    published,
    published_models,
    read_architectures,
)

GOOD = {"space": "cream", "resolution": 64, "num_classes": 10, "stages": [["mb4_3x3"]] * 5}
SHORT = "cream@64c10:mb4_3x3/mb4_3x3/mb4_3x3/mb4_3x3/mb4_3x3"
NAMES = ["cream-14", "cream-43", "cream-114", "cream-287", "cream-481", "cream-604"]


def test_the_six_published_models_are_known_by_name_smallest_first():
    assert list(published_models()) == NAMES
    resolutions = [model.resolution for model in published_models().values()]
    assert resolutions == [64, 96, 160, 224, 224, 224]


@pytest.mark.parametrize("name", NAMES)
def test_a_published_name_is_an_architecture(name):
    (architecture,) = read_architectures(name)
    assert architecture == published(name)
    assert architecture.name == name
    assert architecture.num_classes == 1000


def test_a_published_model_at_another_size():
    model = published("cream-14", resolution=32, num_classes=10)
    assert (model.resolution, model.num_classes) == (32, 10)
    assert model.stages == published("cream-14").stages


def test_an_unpublished_model_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError) as caught:
        published("cream-15")
    assert caught.value.hint == "did you mean 'cream-14'?"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        json.dumps([GOOD]),
        json.dumps(GOOD) + "\n\n",
        SHORT,
    ],
)
def test_one_architecture(tmp_path, text):
    given = SHORT
    if text != SHORT:
        path = tmp_path / "x.json"
        path.write_text(text)
        given = str(path)
    (architecture,) = read_architectures(given)
    assert architecture.short == SHORT


@pytest.mark.parametrize("text", ["{0}\n{1}\n", "{0}\n\n{1}", "[{0}, {1}]", "{0}\r\n{1}\r\n"])
def test_many_architectures_keep_their_order_and_names(tmp_path, text):
    path = tmp_path / "many.jsonl"
    named = {**GOOD, "name": "second"}
    path.write_bytes(text.format(json.dumps(GOOD), json.dumps(named)).encode())
    first, second = read_architectures(str(path))
    assert (first.name, second.name) == (None, "second")


def test_classes_default_to_1000_in_both_forms(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({key: GOOD[key] for key in GOOD if key != "num_classes"}))
    assert read_architectures(str(path))[0].num_classes == 1000
    assert parse_short(SHORT.replace("c10", "")).num_classes == 1000


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", ArchitectureError, "holds no architecture"),
        (b"\n \n", ArchitectureError, "holds no architecture"),
        (b"[]", ArchitectureError, "holds no architecture"),
        (b"{", ArchitectureError, "x.json:1: not JSON"),
        (b"42", ArchitectureError, "the whole"),
        (b'"cream-14"', ArchitectureError, "the whole"),
        (b"null", ArchitectureError, "the whole"),
        (b"{}", ArchitectureError, "space: Field required"),
        (b"\x93NUMPY\x01", StorageError, "is not text"),
        (b"[" * 100_000, ArchitectureError, "not JSON"),
        (b"1" * 10_000, ArchitectureError, "not JSON"),
        (json.dumps({**GOOD, "space": "craem"}).encode(), UnknownNameError, "'craem'"),
        (json.dumps({**GOOD, "resolution": 100}).encode(), ArchitectureError, "resolution 100"),
        (json.dumps({**GOOD, "resolution": "x"}).encode(), ArchitectureError, "resolution:"),
        (json.dumps({**GOOD, "num_classes": 0}).encode(), ArchitectureError, "num_classes:"),
        (json.dumps({**GOOD, "stages": [["mb4_3x3"] * 7] * 5}).encode(), ArchitectureError,
         "stage 1 has 7 blocks"),
        (json.dumps({**GOOD, "stages": [["mb5_3x3"]] * 5}).encode(), UnknownNameError,
         "'mb5_3x3'"),
        (json.dumps({**GOOD, "stages": [[3]] * 5}).encode(), ArchitectureError, "stages.0.0"),
        (json.dumps({**GOOD, "depth": 3}).encode(), ArchitectureError, "depth"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_name(tmp_path, content, error, words):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        read_architectures(str(path))
    assert words in caught.value.message
    assert "x.json" in caught.value.message


def test_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "many.jsonl"
    cut = json.dumps(GOOD)[:30]
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}\n{cut}")
    with pytest.raises(ArchitectureError, match=r"many\.jsonl:3: not JSON"):
        read_architectures(str(path))
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps({**GOOD, 'resolution': 1})}\n")
    with pytest.raises(ArchitectureError, match=r"many\.jsonl:2: resolution 1 "):
        read_architectures(str(path))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("cream-15", UnknownNameError, "unknown architecture 'cream-15'"),
        ("nowhere.json", StorageError, "nowhere.json does not exist"),
        ("no/where", StorageError, "no/where does not exist"),
        (".", StorageError, "cannot be read"),
        (SHORT.replace("@64", "@65"), ArchitectureError, "resolution 65"),
        (SHORT.replace("c10", "c0"), ArchitectureError, "num_classes"),
        (SHORT.replace("cream", "creem"), UnknownNameError, "'creem'"),
        (SHORT.replace("mb4_3x3/", ""), ArchitectureError, "has 5 stages, the architecture 1"),
        (SHORT.replace("mb4", "mb9"), UnknownNameError, "'mb9_3x3'"),
        (SHORT.replace("64", "6" * 5000), PipelineError, ""),
        (json.dumps(GOOD) * 10, PipelineError, ""),
        ("with\0null", PipelineError, ""),
    ],
)
def test_a_wrong_argument_is_refused(workdir, given, error, words):
    with pytest.raises(error) as caught:
        read_architectures(given)
    assert words in caught.value.message


@pytest.mark.parametrize("text", ["", "cream", "cream@:x", "cream@x:y", "cream@64:", "@64:x"])
def test_what_is_not_of_the_one_line_form_is_refused(text):
    with pytest.raises(ArchitectureError, match="is no architecture; expected SPACE@RESOLUTION"):
        parse_short(text)
