#!/usr/bin/env python3
"""Classifies images with the model in this folder, times it, and checks that the folder is whole.

Needs Python 3.9 or newer and numpy, pillow and onnxruntime; nothing else, and no network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import struct
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List

try:
    import numpy as np
    import onnxruntime
    from PIL import Image, ImageOps
except ImportError as missing:
    sys.exit(f"error: {missing}; install: python -m pip install numpy pillow onnxruntime")

HERE = Path(__file__).resolve().parent
CARD = "model.json"
FORMAT, SCHEMA_VERSION = "cream-pipeline-bundle", 1
WARM_UP_RUNS = 20
# Two logits are each off by the root-mean-square of all at random: so far apart they keep order.
CLEAR = 4
# Those of training; Pillow knows others, of which some run programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# Pillow's decoders raise any of these for a damaged file.
UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError,
    NotImplementedError, struct.error, Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # fmt: skip

Card = Dict[str, Any]


class BundleError(Exception):
    """A failure that is told in one line; the program ends with code 1."""


def read_card(folder: Path) -> Card:
    """Reads `model.json` and checks that it is whole: its digest covers all its other fields."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read: {error}") from None
    found = (card.get("format"), card.get("schema_version")) if isinstance(card, dict) else None
    if found != (FORMAT, SCHEMA_VERSION):
        raise BundleError(f"{path}: is {found}; expected {(FORMAT, SCHEMA_VERSION)}")
    return dict(card)


def check_digests(folder: Path, card: Card) -> None:
    """Refuses a folder in which a file is missing or is not the one it was made with."""
    rest = {name: value for name, value in card.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    _compare(CARD, str(card.get("digest")), hashlib.sha256(text.encode()).hexdigest())
    for name, expected in card["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{name}: is missing; expected SHA-256 {expected}")
        _compare(name, expected, hashlib.sha256(path.read_bytes()).hexdigest())


def _compare(name: str, expected: str, found: str) -> None:
    if found != expected:
        raise BundleError(f"{name}: was changed: SHA-256 is {found}, expected {expected}")


def read_image(path: Path, card: Card) -> Image.Image:
    """Decodes an image file as it was done for training; of an animation, the first picture."""
    how = card["preprocessing"]
    # Data sets of gray images have no EXIF data; pictures that are given here may.
    upright = bool(how["exif_transpose"] or how["grayscale_to_rgb"])
    over_white = how["transparent_over"] == "white"
    if not path.exists():
        raise BundleError(f"{path}: there is no such file")
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                return as_rgb(image, upright=upright, over_white=over_white)
    except UNREADABLE as error:
        raise BundleError(f"{path}: cannot be read as an image: {error}") from None


def as_rgb(image: Image.Image, *, upright: bool, over_white: bool) -> Image.Image:
    """An opened image as 8-bit RGB; 16 bits are scaled, where Pillow would cut them off.

    Args:
        image: Any that Pillow opens, but for pixels that do not say what is white.
        upright: Whether it is turned as its EXIF orientation says.
        over_white: Whether transparency is laid over white; else it is dropped.
    """
    if upright:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its 32-bit pixels do not say what is white; save it with 8 or 16 bits")
    if over_white and image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def to_input(image: Image.Image, card: Card) -> np.ndarray:
    """Makes the network's input of an RGB image.

    Returns:
        float32 of shape (1, 3, side, side).
    """
    how = card["preprocessing"]
    side, kind = how["resolution"], (how["grayscale_to_rgb"], how["resize"])
    if kind == (True, "bilinear"):
        values = _from_gray(image, card, side)
    elif kind == (False, "bicubic"):
        squeezed = image.resize((side, side), Image.Resampling.BICUBIC)
        values = np.asarray(squeezed, dtype=np.float32).transpose(2, 0, 1)
    else:
        raise BundleError(f"{CARD}: preprocessing (grayscale, resize) {kind} is unknown here")
    mean, std = (np.array(how[name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))
    return np.ascontiguousarray(((values / np.float32(255) - mean) / std)[None])


def _from_gray(image: Image.Image, card: Card, side: int) -> np.ndarray:
    """Pixel values of a gray image, brought to the size of the data set's images first."""
    size = tuple(card["native_size"])
    gray = image.convert("L")
    if gray.size != size:
        gray = gray.resize(size, Image.Resampling.BICUBIC)
    padded = np.pad(np.asarray(gray), card["preprocessing"]["pad"])
    return np.repeat(bilinear(padded, side)[None], 3, axis=0)


def bilinear(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resizes (h, w) as PyTorch's `interpolate(align_corners=False)` does; Pillow rounds."""
    resized = pixels.astype(np.float64)
    for axis in (0, 1):
        length = resized.shape[axis]
        at = np.maximum((np.arange(side) + 0.5) * length / side - 0.5, 0)
        low = at.astype(np.int64)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, length - 1)
        resized = (1 - share) * resized.take(low, axis) + share * resized.take(high, axis)
    return resized.astype(np.float32)


class Classifier:
    """A model's file, loaded on the CPU.

    Args:
        path: The ONNX file.
        threads: To compute on.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._name = path.name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise BundleError(f"{path.name}: does not run here: {_first_line(error)}") from error
        batch = self._session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else 1

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits of one image of shape (1, 3, side, side); a larger fixed batch repeats it."""
        feed = {"input": np.repeat(inputs, self.batch, axis=0)}
        try:
            outputs: np.ndarray = self._session.run(["logits"], feed)[0]
        except Exception as error:  # as above
            raise BundleError(f"{self._name}: does not run here: {_first_line(error)}") from error
        return outputs[0]

    def latency_ms(self, inputs: np.ndarray, runs: int) -> Dict[str, Any]:
        """Milliseconds of one call, of `runs` timed ones after some untimed ones."""
        feed = {"input": np.repeat(inputs, self.batch, axis=0)}
        taken = []
        for run in range(WARM_UP_RUNS + runs):
            start = time.perf_counter()
            self._session.run(["logits"], feed)
            if run >= WARM_UP_RUNS:
                taken.append(1e3 * (time.perf_counter() - start))
        return {
            "fastest": min(taken),
            "median": statistics.median(taken),
            "runs": runs,
            "warm_up_runs": WARM_UP_RUNS,
            "images_a_call": self.batch,
            "of": "the network alone: reading and preprocessing the image are not in it",
        }


def classify(folder: Path, options: argparse.Namespace) -> Dict[str, Any]:
    """Labels and probabilities of each image, and how long the network takes."""
    card = read_card(folder)
    file = _chosen_file(card, options.model)
    classifier = Classifier(folder / file["file"], options.threads)
    results = []
    for name in options.images:
        start = time.perf_counter()
        inputs = to_input(read_image(Path(name), card), card)
        prepared_ms = 1e3 * (time.perf_counter() - start)
        logits = classifier.logits(inputs).astype(np.float64)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = np.argsort(-shares, kind="stable")[: options.top]
        found = [{"label": card["labels"][i], "probability": float(shares[i])} for i in best]
        results.append({"image": name, "predictions": found, "preprocessing_ms": prepared_ms})
    return {
        "name": card["name"],
        "model": file["file"],
        "precision": file["precision"],
        "runtime": f"onnxruntime {onnxruntime.__version__}, CPU",
        "threads": options.threads,
        "images": results,
        "latency_ms": classifier.latency_ms(inputs, options.runs),
    }


def _chosen_file(card: Card, name: str) -> Dict[str, Any]:
    names = [file["file"] for file in card["files"]]
    if name not in names:
        raise BundleError(f"--model {name}: is not of this bundle; it has {', '.join(names)}")
    return dict(card["files"][names.index(name)])


def selftest(folder: Path, threads: int) -> Dict[str, Any]:
    """Checks digests, then preprocessing, then each file's outputs on the images kept here."""
    card = read_card(folder)
    check_digests(folder, card)
    vectors = card["vectors"]
    with np.load(folder / vectors["file"]) as kept:
        expected = {name: kept[name] for name in kept.files}
    inputs = expected["inputs"]
    made = [to_input(read_image(folder / image["file"], card), card) for image in vectors["images"]]
    checks = [
        _check(
            "preprocessing",
            float(np.abs(np.concatenate(made) - inputs).max()),
            vectors["preprocessing_max_abs"],
        )
    ]
    for file in card["files"]:
        name = file["file"]
        try:
            run = Classifier(folder / name, threads)
            found = np.stack([run.logits(image[None]) for image in inputs])
        except BundleError as error:  # an engine may lack what one precision needs
            checks.append({"what": name, "ok": None, "reason": str(error)})
            continue
        checks.append(judge(name, found, expected[name], file["tolerance"]["max_rms"]))
    ran = [check for check in checks[1:] if check["ok"] is not None]
    return {
        "name": card["name"],
        "runtime": f"onnxruntime {onnxruntime.__version__}, CPU",
        "files_with_the_right_sha256": 1 + len(card["sha256"]),
        "images": len(inputs),
        "checks": checks,
        "ok": bool(ran) and all(check["ok"] is not False for check in checks),
    }


def _check(what: str, found: float, allowed: float) -> Dict[str, Any]:
    # Not a number is not within anything.
    return {"what": what, "ok": bool(found <= allowed), "found": found, "allowed": allowed}


def judge(name: str, found: np.ndarray, expected: np.ndarray, allowed: float) -> Dict[str, Any]:
    """Whether a file's logits, shape (n, classes), are those expected.

    They may differ by `allowed` (see `distance`), and no image's class may change that has its two
    largest logits further apart than `CLEAR` times that.
    """
    check = _check(name, distance(found, expected), allowed)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    clear = first - second > CLEAR * allowed * _spread(expected)
    changed = int((clear & (found.argmax(axis=1) != expected.argmax(axis=1))).sum())
    return {**check, "ok": check["ok"] and not changed, "clear_classes_changed": changed}


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Root-mean-square difference of logits, relative to how far an image's logits spread."""
    squares = np.square(found.astype(np.float64) - expected)
    return float(np.sqrt(squares.mean()) / _spread(expected))


def _spread(logits: np.ndarray) -> float:
    return float(np.sqrt(logits.astype(np.float64).var(axis=1).mean()))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _tell_classes(result: Dict[str, Any]) -> List[str]:
    lines = []
    for image in result["images"]:
        lines.append(image["image"])
        lines += [f"  {100 * p['probability']:6.2f} %  {p['label']}" for p in image["predictions"]]
    took = result["latency_ms"]
    lines.append(
        f"{result['model']} ({result['precision']}), {result['runtime']}, "
        f"{result['threads']} thread(s), {took['images_a_call']} image(s) a call: "
        f"fastest {took['fastest']:.3f} ms, median {took['median']:.3f} ms of {took['runs']} runs "
        f"after {took['warm_up_runs']} to warm up; {took['of']}"
    )
    return lines


def _tell_checks(result: Dict[str, Any]) -> List[str]:
    lines = [f"{result['files_with_the_right_sha256']} files have the right SHA-256"]
    for check in result["checks"]:
        if check["ok"] is None:
            lines.append(check["reason"])
            continue
        verdict = "ok" if check["ok"] else "FAILED"
        changed = check.get("clear_classes_changed")
        how = "off by up to" if changed is None else "off by a root-mean-square of"
        unit = "" if changed is None else " of the logits' spread"
        lines.append(
            f"{check['what']}: {verdict}, {how} {check['found']:.2g}{unit} on "
            f"{result['images']} images ({check['allowed']:.2g} allowed)"
            + (f", another class for {changed}" if changed else "")
        )
    lines.append(f"self-test: {'passed' if result['ok'] else 'FAILED'} ({result['runtime']})")
    return lines


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_positive.__name__ = "positive number"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="examples: python infer.py vectors/image-0.png   |   python infer.py --selftest",
    )
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help="image files, of any kind that Pillow reads")
    add("--model", default="model.onnx", metavar="FILE", help="which file (default: %(default)s)")
    add("--threads", type=_positive, default=1, help="to compute on (default: %(default)s)")
    add("--top", type=_positive, default=3, help="labels an image (default: %(default)s)")
    add("--runs", type=_positive, default=200, help="timed runs (default: %(default)s)")
    add("--json", action="store_true", help="print one JSON object")
    add("--selftest", action="store_true", help="check this folder and what its files compute")
    return parser


def main() -> int:
    """Runs the command line; returns the exit code: 0 done, 1 a failure, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args()
    if options.selftest == bool(options.images):
        parser.error("give images, or --selftest alone")
    try:
        result = selftest(HERE, options.threads) if options.selftest else classify(HERE, options)
    except BundleError as error:
        if options.json:
            print(json.dumps({"error": str(error)}, ensure_ascii=False))
        else:
            print(f"error: {error}", file=sys.stderr)
        return 1
    lines = _tell_checks(result) if options.selftest else _tell_classes(result)
    print(json.dumps(result, ensure_ascii=False) if options.json else "\n".join(lines))
    return 0 if result.get("ok", True) else 1


if __name__ == "__main__":
    sys.exit(main())
