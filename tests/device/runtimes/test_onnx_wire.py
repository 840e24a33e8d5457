"""Weights outside a file are found wherever in the model they are, without the onnx package."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.device.runtimes._onnx_wire import external_weights
from tests.device.runtimes.models import outside


def far(name: str = "far") -> TensorProto:
    return outside(np.zeros(4, np.float32), name, "weights.bin")


def inside() -> TensorProto:
    return numpy_helper.from_array(np.zeros(4, np.float32), "near")


def model(*nodes: onnx.NodeProto, tensors: list[TensorProto]) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    return helper.make_model(helper.make_graph(list(nodes), "g", [value], [value], tensors))


def branch(tensor: TensorProto) -> onnx.GraphProto:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph([], "branch", [], [value], [tensor])


@pytest.mark.parametrize("make", [far, inside])
@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "function", "sparse"])
def test_they_are_found(make, place: str) -> None:
    tensor = make()
    built = model(tensors=[inside()])
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    if place == "initializer":
        built = model(tensors=[inside(), tensor])
    elif place == "constant":
        built = model(node, tensors=[])
    elif place == "branch":
        built = model(
            helper.make_node(
                "If", ["x"], ["y"], then_branch=branch(inside()), else_branch=branch(tensor)
            ),
            tensors=[],
        )
    elif place == "function":
        opset = helper.make_opsetid("", 20)
        built.functions.append(helper.make_function("d", "F", ["x"], ["c"], [node], [opset]))
    else:
        sparse = onnx.SparseTensorProto(values=tensor, indices=inside(), dims=[4])
        built.graph.sparse_initializer.append(sparse)
    expected = "far" if make is far else None
    assert external_weights(built.SerializeToString()) == expected


def test_one_without_a_name_is_found_too() -> None:
    assert external_weights(model(tensors=[far("")]).SerializeToString()) == ""


def test_what_is_no_model_ends() -> None:
    """The engine's own parser tells what is wrong with it."""
    whole = model(tensors=[inside()]).SerializeToString()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            changed[at] = rng.integers(0, 256)
        external_weights(bytes(changed[: rng.integers(0, len(whole) + 1)]))
        external_weights(rng.bytes(500))
