"""TensorRT for RTX, which compiles without a GPU, and models for it to compile."""

import shutil
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.export_cache import cached_network
from pipeline.model_files import FP32
from pipeline.precision import make_file, noise_for
from pipeline.runtimes import tensorrt_rtx
from pipeline.space import Architecture

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
    shape = [batch, 3, side, 4]
    graph = helper.make_graph(
        [helper.make_node(op, ["input"], ["logits"], name="node")],
        "small",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info("logits", dtype, shape)],
    )
    return file_of(graph, folder)


def of_an_operator_it_has_not(folder: Path) -> Path:
    """The file of a model with a node that TensorRT has only as a plugin."""
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["input"], ["logits"])],
        "failing",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.INT64, None)],
    )
    return file_of(graph, folder)


def file_of(graph: onnx.GraphProto, folder: Path) -> Path:
    """Writes a model's file."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FP32).write_bytes(model.SerializeToString())
    return folder / FP32
