"""Models small enough to write by hand, and inputs for them."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper


def images(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def small_model(
    folder: Path,
    *,
    batch: int | str = "batch",
    side: int | str = 4,
    op: str = "Relu",
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """A folder with a model of one node, from `input` to `logits`."""
    node = helper.make_node(op, ["input"], ["logits"], name="node")
    shape = [batch, 3, side, 4]
    graph = helper.make_graph(
        [node],
        "small",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info("logits", dtype, shape)],
    )
    return written(graph, folder)


def failing_model(folder: Path) -> Path:
    """A folder with a model that loads, and finds only when it runs that shapes do not fit."""
    graph = helper.make_graph(
        [
            helper.make_node("NonZero", ["input"], ["where"]),  # as many columns as there are
            helper.make_node("Add", ["where", "seven"], ["logits"]),
        ],
        "failing",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.INT64, None)],
        [helper.make_tensor("seven", TensorProto.INT64, [7], range(7))],
    )
    return written(graph, folder)


def written(graph: onnx.GraphProto, folder: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder
