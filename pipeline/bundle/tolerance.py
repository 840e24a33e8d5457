"""How far the logits that a machine computes from a file may be from those the file says.

The logits kept in a bundle are what the very same file says by the ONNX standard's arithmetic, so a
machine differs by its kernels alone: sums in another order, and in int8 a value between two steps
that is rounded the other way, which all later layers pass on. How well the file stands for the
network has no part in it. Both can be had here: by settings of ONNX Runtime, which fuse and split
the work in other ways, and for int8 by images half a grey level off, which change many a rounding
and next to nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.bundle.answers import AS_DEVICES_DO, Logits, answers
from pipeline.bundle.card import Tolerance
from pipeline.bundle.infer import distance
from pipeline.errors import ExportError
from pipeline.records.dataset import Preprocessing

# Twice the mean square. Sixteen images of an int8 file scatter by a tenth: four deviations of it.
_MARGIN = 1.4
_GREY_LEVELS = 0.5
# Kernels that are half the logits' spread off are wrong, and no measure of what others may do.
_WRONG = 0.5
# 84 roundings of float32.
_LEAST_FP32 = 1e-5
# Some CPUs compute in fp16, others only read it. Rounded in each of 64 layers at random: √64 times
# half a unit in the last place.
_LEAST_FP16 = 8 * 2.0**-11


def tolerance(
    onnx_file: Path,
    images: Logits,
    expected: Logits,
    how: Preprocessing,
    *,
    precision: str,
) -> Tolerance:
    """What is allowed for a file.

    Args:
        onnx_file: The file.
        images: Shape (n, 3, side, side).
        expected: What it says of them by the standard.
        how: What made inputs of the images.
        precision: Of the file.

    Raises:
        ExportError: The file does not run with one of the settings, or its logits are not even
            near.
    """
    measured = {
        setting: distance(answers(onnx_file, images, setting), expected)
        for setting in AS_DEVICES_DO
    }
    for setting, far in measured.items():
        if not far < _WRONG:
            raise ExportError(
                f"{onnx_file.name}: ONNX Runtime ({setting}) computes it wrongly on this machine: "
                f"logits are {far:.2g} of their spread away from what the file says; less than "
                f"{_WRONG:g} was expected",
                hint="make the bundle on another CPU, or without this precision "
                "(export.precisions)",
            )
    if precision == "int8":
        # Where all settings round alike, nothing would be seen of what one rounding does.
        name = f"images up to {_GREY_LEVELS:g} grey levels off"
        measured[name] = distance(answers(onnx_file, _shaken(images, how)), expected)
    worst = max(measured, key=lambda name: measured[name])
    least, reason = _least(onnx_file, precision, expected)
    return Tolerance(
        max_rms=max(_MARGIN * measured[worst], least),
        derivation=f"{_MARGIN:g} times {measured[worst]:.2g}, the most by which logits of "
        f"{len(images)} images differ in ONNX Runtime here ({worst}); at least {least:.2g}, "
        f"{reason}",
    )


def _shaken(images: Logits, how: Preprocessing) -> Logits:
    """Every pixel moved at random, by less than the eye or a camera tells."""
    step = _GREY_LEVELS / 255 / np.array(how.std, np.float32).reshape(3, 1, 1)
    moved = np.random.default_rng(0).uniform(-1, 1, images.shape).astype(np.float32)
    return images + step * moved


def _least(onnx_file: Path, precision: str, expected: Logits) -> tuple[float, str]:
    if precision == "fp16":
        return _LEAST_FP16, "fp16's rounding in 64 layers"
    step = _output_step(onnx_file)
    if step is None:
        return _LEAST_FP32, "84 roundings of float32"
    spread = float(np.sqrt(expected.var(axis=1).mean()))
    return step / spread, "one step in which its logits are quantized"


def _output_step(onnx_file: Path) -> float | None:
    """What one quantization step of the logits is; None where they are not quantized."""
    graph = onnx.load(onnx_file).graph
    (last,) = (node for node in graph.node if "logits" in node.output)
    if last.op_type != "DequantizeLinear":
        return None
    (scale,) = (tensor for tensor in graph.initializer if tensor.name == last.input[1])
    return float(numpy_helper.to_array(scale))
