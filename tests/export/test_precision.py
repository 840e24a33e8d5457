"""Files of a model in fp16 and int8: what they compute, how they are named, what is refused."""

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC, KINDS, PROGRAM, files_of
from pipeline.device.runtimes._blocks import module_of
from pipeline.errors import ExportError, UnknownNameError
from pipeline.export.cache import cached_operator, export_all
from pipeline.export.names import PLACE
from pipeline.export.precision import Images, make_file, noise_for
from pipeline.export.to_onnx import export_network
from pipeline.network.network import build_network
from pipeline.network.operators import imitate_training, seeded
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import parse_key

MADE = (FP16, INT8, INT8_SYMMETRIC)
# Root mean square of the difference, relative to that of the outputs. fp16 has 11 bits of
# significand; int8 has 8 for the whole range of a tensor, and a network adds them up.
TOLERANCE = {FP16: 0.005, INT8: 0.06, INT8_SYMMETRIC: 0.06}
OPERATORS = (
    "cn_k3_s2_i3_o16_r16",
    "ds_k3_s1_i16_o16_r16_se0.25",
    "ir_k5_s2_e6_i16_o24_r16_se0.25",
    "ir_k3_s1_e4_i24_o24_r8_se0.25",
    "res_k3_s1_i24_o24_r8",
    "tail_k1_s1_i192_o320_r2_f64_c5",
)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network's, at 64 pixels and with any batch."""
    stages = (("mb4_3x3",), ("mb6_5x5",), ("mb6_3x3",), ("mb4_5x5",), ("mb6_7x7",))
    architecture = Architecture(space="cream", resolution=64, num_classes=5, stages=stages)
    network = build_network(architecture, seed=0)
    with seeded(0):
        imitate_training(network)
    return export_network(network, tmp_path_factory.mktemp("network"), batch=None)


@pytest.fixture(scope="module")
def made(network_file: Path) -> Path:
    """The network's folder, with its file in every precision."""
    for file in MADE:
        make_file(network_file, file, noise(16))
    return network_file


@pytest.fixture
def operator(bench_dir: Path, tmp_path: Path) -> Path:
    """A copy of its own of a small operator's file."""
    into = tmp_path / "operator"
    into.mkdir()
    shutil.copy(cached_operator(parse_key(OPERATORS[1]), batch=2) / FP32, into / FP32)
    return into


def noise(count: int, side: int = 64, channels: int = 3, seed: int = 3) -> Images:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, channels, side, side), dtype=np.float32)


def run(path: Path, x: Images) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()))


def new_nodes(path: Path) -> list[onnx.NodeProto]:
    kinds = ("Cast", "QuantizeLinear", "DequantizeLinear")
    return [node for node in onnx.load(path).graph.node if node.op_type in kinds]


def saved(folder: Path, *nodes: onnx.NodeProto, tensors: list[TensorProto] | None = None) -> Path:
    """A model of a few nodes from `input` to `output`, four numbers each."""
    value = helper.make_tensor_value_info
    for node in nodes:
        node.metadata_props.add(key=PLACE, value=node.name.partition("/")[0])
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [value("input", TensorProto.FLOAT, [1, 4])],
        [value("output", TensorProto.FLOAT, [1, 4])],
        tensors or [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / FP32)
    return folder


@pytest.mark.parametrize("file", MADE)
def test_a_whole_network_stays_near_fp32(made: Path, file: str) -> None:
    path = made / file
    x = noise(8, seed=4)
    assert distance(run(path, x), run(made / FP32, x)) < TOLERANCE[file]
    assert run(path, x[:3]).shape == (3, 5)
    assert path.stat().st_size < 0.6 * (made / FP32).stat().st_size
    model, source = onnx.load(path), onnx.load(made / FP32)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]
    assert model.graph.input == source.graph.input
    assert model.graph.output == source.graph.output
    assert model.metadata_props == source.metadata_props


@pytest.mark.parametrize("key", OPERATORS)
def test_every_operator_stays_near_fp32(bench_dir: Path, key: str) -> None:
    spec = parse_key(key)
    for file in MADE:
        made = cached_operator(spec, batch=2, file=file)
        x = noise(2, spec.resolution, spec.in_channels, seed=0)
        assert distance(run(made / file, x), run(made / FP32, x)) < TOLERANCE[file]
        places = {node.metadata_props[0].value for node in onnx.load(made / FP32).graph.node}
        assert {node.metadata_props[0].value for node in new_nodes(made / file)} <= places


@pytest.mark.parametrize("file", MADE)
def test_every_node_is_named_after_the_place_it_belongs_to(made: Path, file: str) -> None:
    graph = onnx.load(made / file).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    known = {node.name.partition("/")[0] for node in onnx.load(made / FP32).graph.node}
    for node in graph.node:
        assert [item.key for item in node.metadata_props] == [PLACE]
        place = node.metadata_props[0].value
        assert place in known
        assert re.fullmatch(rf"{re.escape(place)}/{node.op_type}(_\d+)?", node.name)
    # The input is converted for the stem, the output where it is made.
    assert names[0].startswith("conv_stem/")
    assert module_of(names[-1]) == "classifier"


def test_weights_and_activations_belong_to_whom_they_feed_and_come_from(made: Path) -> None:
    graph = onnx.load(made / INT8).graph
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            source = producers.get(node.input[0])
            if source is None:  # a weight or a bias
                fed = [other for other in graph.node if node.output[0] in other.input]
                assert {module_of(other.name) for other in fed} == {module_of(node.name)}
            else:
                assert source.op_type == "QuantizeLinear"
                assert module_of(source.name) == module_of(node.name)
        elif node.op_type == "QuantizeLinear" and node.input[0] in producers:
            assert module_of(producers[node.input[0]].name) == module_of(node.name)


def test_the_flavours_of_int8_are_what_their_engines_take(made: Path) -> None:
    for file, activations in ((INT8, TensorProto.UINT8), (INT8_SYMMETRIC, TensorProto.INT8)):
        graph = onnx.load(made / file).graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        converting = [node for node in graph.node if node.op_type == "QuantizeLinear"]
        zero_points = [tensors[node.input[2]] for node in converting]
        assert {zero.data_type for zero in zero_points} == {activations}
        biases = [t for t in tensors.values() if t.data_type == TensorProto.INT32]
        for node in graph.node:
            if node.op_type == "Conv":
                assert node.input[1] not in tensors  # weights are quantised everywhere
        if file == INT8_SYMMETRIC:
            assert not biases
            for node in graph.node:
                if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                    assert not onnx.numpy_helper.to_array(tensors[node.input[2]]).any()
        else:
            assert biases


@pytest.mark.parametrize("file", [INT8, INT8_SYMMETRIC])
def test_no_two_products_saturate_where_a_cpu_adds_them_in_16_bits(made: Path, file: str) -> None:
    graph = onnx.load(made / file).graph
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    weights = [tensors[n.input[0]] for n in graph.node if n.input[0] in tensors]
    greatest = [abs(w.astype(int)).max() for w in weights if w.dtype == np.int8 and w.ndim > 1]
    assert len(greatest) == sum(node.op_type in ("Conv", "Gemm") for node in graph.node) > 30
    assert 2 * 255 * max(greatest) <= np.iinfo(np.int16).max
    # And no bit more is given away than that takes.
    assert min(greatest) >= 63


@pytest.mark.parametrize("file", MADE)
def test_the_same_images_give_the_same_bytes_without_a_word(
    made: Path,
    tmp_path: Path,
    file: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.WARNING)
    shutil.copy(made / FP32, tmp_path / FP32)
    content = make_file(tmp_path, file, noise(16)).read_bytes()
    assert (made / file).read_bytes() == content
    assert str(tmp_path).encode() not in content
    assert b"/tmp" not in content
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FP32, file])
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))


def test_ranges_come_from_the_images(operator: Path) -> None:
    x = noise(2, 16, 16)
    wide = make_file(operator, INT8, 4 * x).read_bytes()
    expected = run(operator / FP32, x)
    near = distance(run(make_file(operator, INT8, x), x), expected)
    assert (operator / INT8).read_bytes() != wide
    far = distance(run(make_file(operator, INT8, 40 * x), x), expected)
    assert near < far


def test_a_fixed_batch_is_filled_up(operator: Path) -> None:
    x = noise(3, 16, 16)
    assert noise_for(operator).shape == (2, 16, 16, 16)
    path = make_file(operator, INT8, x)
    same = make_file(operator, INT8, x[[0, 1, 2, 2]]).read_bytes()
    assert path.read_bytes() == same


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (None, "none were given"),
        (noise(1)[:0], "none were given"),
        (noise(1), r"float32 \[3, 64, 64\]; expected float32 \[16, 16, 16\]"),
        (noise(1, 16, 16).astype(np.float64), "are float64"),
        (noise(1, 16, 16) * np.float32(np.inf), "not finite"),
    ],
)
def test_images_that_do_not_fit_are_told(operator: Path, images: Images, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        make_file(operator, INT8, images)
    assert [path.name for path in operator.iterdir()] == [FP32]


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"model\.onnx is not there"):
        make_file(tmp_path, FP16)
    for content in (b"", b"not a model", b"\x08\x0a"):
        (tmp_path / FP32).write_bytes(content)
        with pytest.raises(ExportError, match=r"model\.onnx: is not an ONNX model"):
            make_file(tmp_path, INT8, noise(1))


def test_a_damaged_model_is_told(operator: Path) -> None:
    whole = (operator / FP32).read_bytes()
    (operator / FP32).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError):
        make_file(operator, INT8, noise(2, 16, 16))
    assert not (operator / INT8).exists()


def test_what_int8_cannot_be_had_of_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "exp", helper.make_node("Exp", ["input"], ["output"], name="a/Exp"))
    for file in (INT8, INT8_SYMMETRIC):
        with pytest.raises(ExportError, match=r"no node that can be had in int8 \(it has Exp"):
            make_file(folder, file, np.ones((1, 4), np.float32))
    assert make_file(folder, FP16).is_file()


def test_a_node_that_blows_up_is_named(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "log",
        helper.make_node("Log", ["input"], ["logs"], name="a/Log"),
        helper.make_node("Add", ["logs", "input"], ["output"], name="b/Add"),
    )
    with pytest.raises(ExportError, match="node a/Log is not finite on calibration images"):
        make_file(folder, INT8, np.zeros((1, 4), np.float32))


def test_weights_too_large_for_fp16_are_named(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.full(4, 1e5, np.float32), "b.weight")
    node = helper.make_node("Mul", ["input", "b.weight"], ["output"], name="b/Mul")
    with pytest.raises(ExportError, match=r"b\.weight holds 1e\+05, more than fp16 can"):
        make_file(saved(tmp_path / "large", node, tensors=[weight]), FP16)


def test_a_model_without_names_or_places_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bare", helper.make_node("Add", ["input", "input"], ["output"]))
    with pytest.raises(ExportError, match="have no names of their own") as caught:
        make_file(folder, FP16)
    assert "export" in (caught.value.hint or "")
    model = onnx.load(folder / FP32)
    model.graph.node[0].name = "add"
    model.graph.node[0].ClearField("metadata_props")
    onnx.save(model, folder / FP32)
    with pytest.raises(ExportError, match=r"node add \(Add\) has no place"):
        make_file(folder, FP16)


def test_the_cache_makes_the_file_that_is_asked_for(bench_dir: Path) -> None:
    spec = parse_key(OPERATORS[0])
    (folder,) = export_all([spec], batch=3, file=INT8)
    assert (folder / FP32).is_file()
    stamp = (folder / INT8).stat().st_mtime_ns
    seen: list[tuple[int, int, str]] = []
    assert export_all([spec], batch=3, file=INT8, progress=lambda *at: seen.append(at)) == [folder]
    assert seen == [(1, 1, "in the cache")]
    assert (folder / INT8).stat().st_mtime_ns == stamp
    assert not (folder / PROGRAM).exists()
    with pytest.raises(UnknownNameError, match=r"unknown file of a model 'model\.int4\.onnx'"):
        cached_operator(spec, batch=3, file="model.int4.onnx")


def test_which_files_precisions_are() -> None:
    assert files_of(()) == files_of(["fp32"]) == (FP32, PROGRAM)
    assert set(files_of(["int8", "fp16"])) == set(KINDS)
    assert files_of((), [INT8]) == (FP32, INT8, PROGRAM)
