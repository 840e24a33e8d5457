"""TensorRT for RTX, which compiles without a GPU, and models for it to compile."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.device import runtimes
from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import tensorrt_rtx
from pipeline.export.cache import cached_network
from pipeline.export.precision import make_file, noise_for
from pipeline.space.architecture import Architecture
from tests.device.runtimes.layer_times import BlockTimesConformance, LayerTimesConformance
from tests.device.runtimes.models import Models, OnnxModels, same_shape, written

STEP = 1 / 32
"""Of the quantised small model: its values reach from -4 to 4."""
GPU_KIND = "SM89"


def compiler() -> ModuleType:
    """The module; skips where it is not installed."""
    problem = tensorrt_rtx.Runtime().build_problem()
    if problem:
        pytest.skip(problem)
    return tensorrt_rtx.Runtime().load_module()


def network_file(architecture: Architecture, file: str, into: Path) -> Path:
    """A network's file in some precision, its batch free."""
    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(cached_network(architecture, batch=None) / FP32, into / FP32)
    if file != FP32:
        make_file(into, file, noise_for(into))
    return into / file


def one_node(
    folder: Path,
    *,
    batch: int | str = "batch",
    side: int | str = 4,
    op: str = "Relu",
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """The file of a model of one node."""
    node = helper.make_node(op, ["input"], ["logits"], name="node")
    return written(same_shape([node], dtype, [batch, 3, side, 4]), folder) / FP32


class TensorRtModels(OnnxModels):
    """Models as TensorRT takes them.

    The small one has a convolution that changes nothing: casts around a lone node are fused with
    it, and then nothing tells what it computes in.
    """

    def small(self, folder: Path, *, op: str = "Relu", free_side: bool = False) -> Path:
        identity = np.eye(3).reshape(3, 3, 1, 1)
        convolution = {"name": "conv", "kernel_shape": [1, 1]}
        if self.file == FP16:
            constants = {"weight": identity.astype(np.float16)}
            nodes = [
                helper.make_node("Cast", ["input"], ["half"], name="in", to=TensorProto.FLOAT16),
                helper.make_node("Conv", ["half", "weight"], ["same"], **convolution),
                helper.make_node(op, ["same"], ["result"], name="node"),
                helper.make_node("Cast", ["result"], ["logits"], name="out", to=TensorProto.FLOAT),
            ]
        elif self.file == INT8_SYMMETRIC:
            constants = {
                "kept": identity.astype(np.int8),
                "one": np.ones(3, np.float32),
                "zeros": np.zeros(3, np.int8),
                "step": np.float32(STEP),
                "zero": np.int8(0),
            }
            kept = ["kept", "one", "zeros"]
            nodes = [
                helper.make_node("QuantizeLinear", ["input", "step", "zero"], ["q"], name="q"),
                helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["data"], name="dq"),
                helper.make_node("DequantizeLinear", kept, ["weight"], name="w", axis=0),
                helper.make_node("Conv", ["data", "weight"], ["same"], **convolution),
                helper.make_node(op, ["same"], ["logits"], name="node"),
            ]
        else:
            return super().small(folder, op=op, free_side=free_side)
        tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
        shape = ["batch", 3, "height" if free_side else 4, 4]
        return self._written(folder, nodes, TensorProto.FLOAT, shape, tensors)


class OnTensorRt:
    """Models that TensorRT takes."""

    @classmethod
    def models(cls) -> Models:
        return TensorRtModels(runtimes.model_file(cls.target_of()))


class TensorRtConformance(OnTensorRt, LayerTimesConformance):
    """The suite."""


@pytest.mark.slow
class TensorRtFp16Conformance(OnTensorRt, BlockTimesConformance):
    """The same numbers in fp16."""

    precision: ClassVar = "fp16"
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 5e-2


@pytest.mark.slow
class TensorRtInt8Conformance(OnTensorRt, BlockTimesConformance):
    """The same numbers in int8."""

    precision: ClassVar = "int8"
    max_rel: ClassVar = 0.2
    max_rel_network: ClassVar = 0.5
