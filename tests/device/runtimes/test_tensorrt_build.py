"""Engines are built for real, by TensorRT for RTX, which needs no GPU for that."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import REST
from pipeline.device.runtimes._blocks import attribute
from pipeline.device.runtimes._tensorrt_build import BuildSettings, build_engine
from pipeline.device.runtimes._tensorrt_layers import Layer, layers_of_log, precision_of
from pipeline.device.runtimes.tensorrt_rtx import compile_ahead
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.latency.sampling import sample_networks
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.search_space import get_space
from tests.device.runtimes.engines import GPU_KIND, compiler, network_file, one_node
from tests.device.runtimes.models import OnnxModels, outside, same_shape, written

FILES = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}
SUBNETS = sample_networks(get_space("cream").narrowed(max_depth=2), 64, 10, 3, seed=7)
ONE = BuildSettings(batch=1, compute_capability=GPU_KIND)


@pytest.fixture
def trt() -> ModuleType:
    return compiler()


def layers(file: Path, batch: int = 1) -> list[Layer]:
    built = compile_ahead(file, batch=batch, compute_capability=GPU_KIND)
    assert built.warnings == ()
    assert built.layers
    return layers_of_log(built.layers)


def check_layers(architecture: Architecture, precision: str, folder: Path) -> None:
    file = network_file(architecture, FILES[precision], folder)
    found = layers(file)
    assert precision_of(found) == precision
    products = [layer for layer in found if layer.multiplies]
    assert {layer.precision for layer in products} == {precision}
    # Every convolution of the file is one of these.
    computed = {node for layer in products for node in layer.nodes}
    nodes = onnx.load(file).graph.node
    assert {node.name for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")} <= computed
    # And every layer is of a block, in the network's order.
    times = attribute([(layer.module, 1.0) for layer in found], len(found), str(file))
    places = [operator.place for operator in architecture.operators()]
    assert list(times.by_place_ms) == [*places, REST]
    assert times.by_place_ms[REST] == 0


# Precision is the file's.


@pytest.mark.usefixtures("bench_dir", "trt")
def test_a_network_is_computed_in_the_precision_of_its_file(tmp_path: Path) -> None:
    check_layers(published("cream-14", resolution=64), "fp16", tmp_path / "model")


@pytest.mark.slow
@pytest.mark.usefixtures("bench_dir", "trt")
@pytest.mark.parametrize("precision", FILES)
@pytest.mark.parametrize(
    "network",
    [*SUBNETS, published("cream-287", resolution=224)],
    ids=["a", "b", "c", "the largest published one"],
)
def test_networks_are_computed_in_the_precision_of_their_files(
    tmp_path: Path, network: Architecture, precision: str
) -> None:
    check_layers(network, precision, tmp_path / "model")


# Only the target's batch is built for.


@pytest.mark.usefixtures("bench_dir")
@pytest.mark.parametrize("batch", [1, 3])
def test_the_range_of_shapes_is_the_batch_alone(
    trt: ModuleType, tmp_path: Path, batch: int
) -> None:
    model = one_node(tmp_path / "m")
    built = build_engine(trt, model, BuildSettings(batch, GPU_KIND))
    assert built.plan
    assert built.layers
    (shapes,) = re.findall(
        r"Name: input, IOMode: Input.*ProfileInfo: \[ \{ (.*?), Form", built.layers
    )
    limits = re.findall(r"(\w+)Shape: \[([\d,]+)\]", shapes)
    assert limits == [(name, f"{batch},3,4,4") for name in ("Min", "Opt", "Max")]


def test_a_model_of_a_fixed_batch_needs_no_range(trt: ModuleType, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m", batch=2)
    assert build_engine(trt, model, ONE).plan


def test_the_same_process_builds_again_and_again(trt: ModuleType, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m")
    for _ in range(3):
        assert build_engine(trt, model, ONE).plan
        with pytest.raises(MeasurementError):
            build_engine(trt, OnnxModels().failing(tmp_path / "f") / FP32, ONE)


# Refusals are told in our words, with the node.


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(
            lambda whole: whole.replace(b"Relu", b"Rely"),
            r"node 'node' \(Rely\): INVALID_NODE: .*Plugin not found",
            id="unknown operator",
        ),
        pytest.param(
            lambda whole: whole.replace(b"input", b"inbut", 1),
            r"node 'node' \(Relu\): INVALID_GRAPH: .*input was not registered",
            id="loose end",
        ),
        pytest.param(lambda whole: whole[: len(whole) // 2], "MODEL_DESERIALIZE_FAILED", id="cut"),
        pytest.param(lambda whole: b"not a model", "MODEL_DESERIALIZE_FAILED", id="text"),
        pytest.param(lambda whole: b"", "is not a whole ONNX file", id="empty"),
        pytest.param(lambda whole: bytes(range(256)) * 64, "is not a whole ONNX", id="bytes"),
    ],
)
def test_what_the_parser_refuses_is_told(
    trt: ModuleType, tmp_path: Path, content: Callable[[bytes], bytes], told: str
) -> None:
    model = one_node(tmp_path / "hostile")
    model.write_bytes(content(model.read_bytes()))
    with pytest.raises(MeasurementError, match=rf"hostile/model\.onnx: .*{told}") as caught:
        build_engine(trt, model, ONE)
    assert len(caught.value.message) < 2000


def quantised(folder: Path, *, zero_point: int = 0, bias: bool = False) -> Path:
    """The file of a quantised convolution, as ONNX Runtime's own quantiser may write it."""
    rng = np.random.default_rng(0)
    constants = {
        "weights": rng.integers(-127, 127, (16, 3, 3, 3), dtype=np.int8),
        "scale": np.float32(0.01),
        "zero": np.int8(zero_point),
        "none": np.int8(0),
        "bias": np.zeros(16, np.int32),
        "many": np.zeros(1, np.int32),
        "scales": np.full(1, 0.01, np.float32),
    }
    inputs = ["data", "weight"]
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["q"], name="in_q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["data"], name="in_dq"),
        helper.make_node("DequantizeLinear", ["weights", "scale", "none"], ["weight"], name="w_dq"),
    ]
    if bias:
        nodes.append(helper.make_node("DequantizeLinear", ["bias", "scale"], ["b"], name="b_dq"))
        inputs.append("b")
    nodes.append(helper.make_node("Conv", inputs, ["logits"], kernel_shape=[3, 3], name="conv"))
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 16, 6, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return written(graph, folder) / FP32


def test_symmetric_int8_with_float_biases_is_taken(trt: ModuleType, tmp_path: Path) -> None:
    assert build_engine(trt, quantised(tmp_path / "m"), ONE).plan


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"zero_point": 3}, r"node 'in_q' \(QuantizeLinear\): .*[zZ]ero point"),
        ({"bias": True}, r"node 'b_dq' \(DequantizeLinear\): .*Int32"),
    ],
    ids=["asymmetric", "int32 bias"],
)
def test_int8_of_another_flavour_is_refused_and_the_right_one_named(
    trt: ModuleType, tmp_path: Path, model: dict[str, object], told: str
) -> None:
    file = quantised(tmp_path / "flavour", **model)
    with pytest.raises(MeasurementError, match=told) as caught:
        build_engine(trt, file, ONE)
    assert INT8_SYMMETRIC in (caught.value.hint or "")


def test_an_operator_it_has_not_is_told_with_another_runtime(
    trt: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(MeasurementError, match=r"node number 0 \(NonZero\)") as caught:
        build_engine(trt, OnnxModels().failing(tmp_path / "failing") / FP32, ONE)
    assert "onnxruntime" in (caught.value.hint or "")


def test_what_the_builder_refuses_is_told(trt: ModuleType, tmp_path: Path) -> None:
    """A network that parses, of more memory than there can be."""
    model = one_node(tmp_path / "huge", side=2**29)
    with pytest.raises(MeasurementError, match=r"huge/model\.onnx: TensorRT .*"):
        build_engine(trt, model, BuildSettings(2**30, GPU_KIND))


# What is refused before the library sees it.


def test_only_the_batch_may_be_free(trt: ModuleType, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m", side="height")
    with pytest.raises(
        MeasurementError, match=r"'input' has free dimensions \('batch', 3, 'height', 4\); only one"
    ):
        build_engine(trt, model, ONE)


def test_an_input_of_a_type_not_handled_is_told(trt: ModuleType, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m", op="Not", dtype=TensorProto.BOOL)
    with pytest.raises(MeasurementError, match="'input' has type bool, not handled"):
        build_engine(trt, model, ONE)


def test_weights_outside_the_file_are_refused(trt: ModuleType, tmp_path: Path) -> None:
    weights = outside(np.zeros((1, 3, 4, 4), np.float32), "far", "weights.bin")
    (tmp_path / "weights.bin").write_bytes(bytes(192))
    node = helper.make_node("Add", ["input", "far"], ["logits"])
    graph = same_shape([node], TensorProto.FLOAT, [1, 3, 4, 4], [weights])
    with pytest.raises(MeasurementError, match="keeps the weights 'far' in another file"):
        build_engine(trt, written(graph, tmp_path) / FP32, ONE)


def test_a_missing_file_is_told(trt: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"none\.onnx does not exist"):
        build_engine(trt, tmp_path / "none.onnx", ONE)


def test_a_kind_of_gpu_it_does_not_know_is_told(trt: ModuleType, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m")
    with pytest.raises(UnavailableError, match=r"SM75, .*SM89.*; SM1 was asked"):
        build_engine(trt, model, BuildSettings(1, "SM1"))
