"""The program of a bundle: images as training sees them, answers, times, one line an error."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from pipeline.bundle import infer
from pipeline.images.photo import photo_preprocessing, to_inputs, to_pixels, to_rgb
from tests.bundle.conftest import Call, Made

PHOTO = photo_preprocessing(64)
ORIENTATION = 0x0112


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)


def pictures() -> dict[str, Image.Image]:
    colour = Image.fromarray(noise(40, 30, 3))
    deep = np.random.default_rng(4).integers(0, 65536, (40, 30)).astype(np.uint16)
    clear = Image.fromarray(noise(40, 30, 4))
    palette = colour.quantize(16)
    palette.info["transparency"] = 3
    return {
        "gray": Image.fromarray(noise(40, 30)),
        "colour": colour,
        "transparent": clear,
        "gray and transparent": clear.convert("LA"),
        "palette": colour.quantize(16),
        "palette with a transparent colour": palette,
        "CMYK": colour.convert("CMYK"),
        "black and white": colour.convert("1"),
        "16 bits": Image.fromarray(deep),
    }


@pytest.mark.parametrize("kind", pictures())
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_are_decoded_as_in_training(kind: str, orientation: int) -> None:
    picture = pictures()[kind]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    form = "TIFF" if picture.mode in ("CMYK",) else "PNG"
    content = io.BytesIO()
    picture.save(content, form, exif=exif)
    with Image.open(content) as image:
        found = infer.as_rgb(image, upright=True, over_white=True)
    with Image.open(content) as image:
        expected = to_rgb(image)
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.size == ((30, 40) if orientation < 5 else (40, 30))


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    found = infer.read_image(tmp_path / "deep.png", {"preprocessing": PHOTO.model_dump()})
    np.testing.assert_array_equal(np.asarray(found)[..., 0], ramp >> 8)


def test_a_photograph_becomes_the_input_that_training_makes() -> None:
    photo = Image.fromarray(noise(90, 50, 3))
    found = infer.to_input(photo, {"preprocessing": PHOTO.model_dump()})
    expected = to_inputs(torch.from_numpy(to_pixels(photo, 64).copy())[None], PHOTO)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (28, 28), (33, 57), (256, 300)])
@pytest.mark.parametrize("side", [32, 64, 96, 224])
def test_bilinear_is_that_of_torch(size: tuple[int, int], side: int) -> None:
    pixels = noise(*size)
    expected = F.interpolate(
        torch.from_numpy(pixels)[None, None].float(), (side, side), mode="bilinear"
    )[0, 0].numpy()
    # A hundredth of a grey level is what a bundle allows.
    assert np.abs(infer.bilinear(pixels, side) - expected).max() < 0.01


def test_preprocessing_that_is_not_known_is_refused() -> None:
    how = PHOTO.model_copy(update={"resize": "bilinear"}).model_dump()
    with pytest.raises(infer.BundleError, match="is unknown here"):
        infer.to_input(Image.fromarray(noise(9, 9, 3)), {"preprocessing": how})


def test_it_answers_what_the_network_answers(bundle: Made, spoilt: Path, call: Call) -> None:
    images = [str(spoilt / image.file) for image in bundle.card.vectors.images]
    code, out, err = call(*images, "--json", "--top", "10", "--runs", "5", "--threads", "2")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["model"], found["precision"], found["threads"]) == ("model.onnx", "fp32", 2)
    with np.load(spoilt / "vectors/vectors.npz") as kept, torch.inference_mode():
        inputs = torch.from_numpy(kept["inputs"])
        shares = bundle.network(inputs).softmax(1).numpy()
    for image, name, expected in zip(found["images"], images, shares, strict=True):
        assert image["image"] == name
        told = {it["label"]: it["probability"] for it in image["predictions"]}
        np.testing.assert_allclose([told[str(n)] for n in range(10)], expected, atol=1e-4)
        assert list(told.values()) == sorted(told.values(), reverse=True)
    took = found["latency_ms"]
    assert 0 < took["fastest"] <= took["median"]
    assert (took["runs"], took["warm_up_runs"], took["images_a_call"]) == (5, 20, 1)


def test_a_chosen_file_is_the_one_that_runs(spoilt: Path, call: Call) -> None:
    image = str(spoilt / "vectors/image-1.png")
    code, out, _ = call(image, "--model", "model.int8.onnx", "--runs", "2")
    assert code == 0
    assert "model.int8.onnx (int8), onnxruntime " in out
    assert "fastest " in out
    assert "median " in out
    assert "of 2 runs after 20 to warm up" in out


def test_an_image_of_another_size_is_brought_to_that_of_the_data_set(spoilt: Path) -> None:
    card = infer.read_card(spoilt)
    assert card["native_size"] == [8, 8]
    with np.load(spoilt / card["vectors"]["file"]) as kept:
        inputs = kept["inputs"]
    for number, image in enumerate(card["vectors"]["images"]):
        small = infer.read_image(spoilt / image["file"], card)
        found = infer.to_input(small.resize((400, 500), Image.Resampling.NEAREST), card)
        distances = np.abs(inputs - found).mean(axis=(1, 2, 3))
        assert distances.argmin() == number
        assert distances[number] < 0.15


def test_the_self_test_passes_and_says_what_it_did(bundle: Made, spoilt: Path, call: Call) -> None:
    code, out, _ = call("--selftest", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ok"] is True
    assert found["images"] == 16
    assert found["files_with_the_right_sha256"] == 1 + len(bundle.card.sha256)
    files = [file.file for file in bundle.card.files]
    assert [check["what"] for check in found["checks"]] == ["preprocessing", *files]
    assert all(check["ok"] and check["found"] <= check["allowed"] for check in found["checks"])


@pytest.mark.parametrize("what", ["preprocessing", "model.int8.onnx"])
def test_outputs_that_are_off_fail_the_self_test(
    spoilt: Path, what: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are as they were made, but here something computes something else."""
    if what == "preprocessing":
        monkeypatch.setattr(infer, "bilinear", lambda pixels, side: np.zeros((side, side)))
    else:
        monkeypatch.setattr(infer.Classifier, "logits", lambda self, inputs: np.full(10, np.nan))
    code, out, _ = call("--selftest")
    assert code == 1
    assert f"{what}: FAILED" in out
    assert "self-test: FAILED" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no-such.png"], 1, ["no-such.png", "no such file"]),
        (["."], 1, [".", "cannot be read as an image"]),
        (["README.md"], 1, ["README.md", "cannot be read as an image"]),
        (["cut.png"], 1, ["cut.png", "cannot be read as an image"]),
        (["vectors/image-0.png", "--model", "model.pt2"], 1, ["model.pt2", "model.onnx"]),
        ([], 2, ["--selftest"]),
        (["vectors/image-0.png", "--selftest"], 2, ["--selftest alone"]),
        (["vectors/image-0.png", "--threads", "0"], 2, ["--threads", "positive number"]),
        (["vectors/image-0.png", "--runs", "many"], 2, ["--runs", "positive number"]),
    ],
)
def test_a_mistake_is_one_clear_line(
    spoilt: Path,
    arguments: list[str],
    code: int,
    words: list[str],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(spoilt)
    Path("cut.png").write_bytes(Path("vectors/image-0.png").read_bytes()[:60])
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert "error: " in line
    for word in words:
        assert word in line


def test_with_json_a_mistake_is_an_object(spoilt: Path, call: Call) -> None:
    code, out, err = call("no-such.png", "--json")
    assert (code, err) == (1, "")
    assert "no-such.png" in json.loads(out)["error"]


def test_a_package_that_is_missing_is_one_line(bundle: Made) -> None:
    bare = subprocess.run(
        [sys.executable, "-I", "-S", bundle.folder / "infer.py", "--selftest"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (bare.returncode, bare.stdout) == (1, "")
    (line,) = bare.stderr.splitlines()
    assert "numpy" in line
    assert "pip install numpy pillow onnxruntime" in line


def test_it_is_python_3_9_and_imports_nothing_else() -> None:
    source = Path(infer.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"numpy", "onnxruntime", "PIL"}
    # New since 3.9, and used elsewhere in this package.
    for word in ("strict=", "file_digest", "match "):
        assert word not in source


def test_help_has_an_example(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert "python infer.py vectors/image-0.png" in out
