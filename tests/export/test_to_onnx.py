from __future__ import annotations

import copy
import multiprocessing
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipeline.device.model_files import FP16, PROGRAM
from pipeline.errors import ExportError, StorageError, UnknownNameError
from pipeline.export.cache import cached_network, export_all
from pipeline.export.names import PLACE
from pipeline.export.parity import check_parity, measure_parity
from pipeline.export.to_onnx import (
    MODEL_FILE,
    describe_export,
    export_network,
    export_operator,
    export_timm,
)
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.files.whole import digest_of_file
from pipeline.network.network import Network, build_network
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.timm_networks import TimmNetwork
from pipeline.records.export import Parity
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import OperatorSpec, parse_key

# One operator of each kind; the residual connection is in stage 2.
ARCHITECTURE = Architecture(
    space="cream-table3-released",
    resolution=32,
    num_classes=5,
    stages=(("mb4_3x3",), ("res_3x3", "mb4_5x5"), ("conv_3x3",), ("mb4_3x3",), ("mb4_3x3",)),
    name="small",
)
STEM = parse_key("cn_k3_s2_i3_o16_r32")
LOCAL_PATH = re.compile(
    rb"/(?:[\w.+-]+/)+[\w.+-]+\.(?:py|so|pt|onnx)\b|site-packages|(?<=[\s'\"])/\w+"
)


@pytest.fixture(scope="module")
def network() -> Network:
    network = build_network(ARCHITECTURE, seed=0)
    with seeded(1):
        imitate_training(network)
    return network


@pytest.fixture(scope="module")
def working(network: Network) -> Network:
    """The same network while it is trained, a part of it frozen, in another memory layout."""
    copied = copy.deepcopy(network).to(memory_format=torch.channels_last).train()
    copied.bn1.eval()
    return copied


@pytest.fixture(scope="module")
def exported(working: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With any batch."""
    return export_network(working, tmp_path_factory.mktemp("dynamic"), batch=None)


@pytest.fixture(scope="module")
def model(exported: Path) -> onnx.ModelProto:
    return onnx.load(exported / MODEL_FILE)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_program_is_the_same_network_and_knows_nothing_of_this_machine(
    network: Network, tmp_path: Path
) -> None:
    folder = export_network(network, tmp_path, batch=None, file=PROGRAM)
    assert [file.name for file in folder.iterdir()] == [PROGRAM]
    program = torch.export.load(folder / PROGRAM)
    x = images(3)
    with torch.inference_mode():
        assert torch.equal(program.module()(x), network.eval()(x))
    with zipfile.ZipFile(folder / PROGRAM) as parts:
        texts = [parts.read(name) for name in parts.namelist() if name.endswith(".json")]
    assert texts
    for text in texts:
        assert not re.search(rb"site-packages|\.py\b", text)
        assert str(Path.home()).encode() not in text
        assert str(Path.cwd()).encode() not in text


def test_a_program_of_a_fixed_batch_takes_that_batch(tmp_path: Path) -> None:
    program = torch.export.load(export_operator(STEM, tmp_path, batch=2, file=PROGRAM) / PROGRAM)
    assert program.module()(images(2)).shape == (2, 16, 16, 16)
    with pytest.raises(RuntimeError, match="to be equal to 2, but got 3"):
        program.module()(images(3))


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def run(folder: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(folder / MODEL_FILE, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def dimensions(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_file_is_alone_and_whole(exported: Path, tmp_path: Path) -> None:
    assert [file.name for file in exported.iterdir()] == [MODEL_FILE]
    shutil.copy(exported / MODEL_FILE, tmp_path / MODEL_FILE)
    assert run(tmp_path, images(1).numpy()).shape == (1, 5)


def test_inputs_outputs_and_opset_are_the_promised_ones(model: onnx.ModelProto) -> None:
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]
    assert [(value.name, dimensions(value)) for value in model.graph.input] == [
        ("input", ["batch", 3, 32, 32])
    ]
    assert [(value.name, dimensions(value)) for value in model.graph.output] == [
        ("logits", ["batch", 5])
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_a_dynamic_batch_runs_at_any_size(network: Network, exported: Path, count: int) -> None:
    x = images(count)
    with torch.inference_mode():
        expected = network.eval()(x).numpy()
    assert np.abs(run(exported, x.numpy()) - expected).max() < 1e-4


def test_parity_is_within_rounding(network: Network, exported: Path) -> None:
    parity = measure_parity(network, exported / MODEL_FILE, images(40), "random")
    assert (parity.images, parity.data, parity.top1_agreement) == (40, "random", 1.0)
    assert 0 < parity.max_abs < 1e-4
    assert 0 < parity.max_rel < 1e-4
    check_parity(parity, "small")


def test_parity_sees_a_different_network(exported: Path) -> None:
    other = build_network(ARCHITECTURE, seed=7)
    parity = measure_parity(other, exported / MODEL_FILE, images(8), "random")
    assert parity.max_rel > 0.1
    with pytest.raises(ExportError, match=r"small: logits differ by up to .* on 8 images"):
        check_parity(parity, "small")


def test_parity_is_what_its_definition_says(network: Network, exported: Path) -> None:
    x = images(6)
    other = build_network(ARCHITECTURE, seed=7).eval()
    with torch.inference_mode():
        expected = other(x).numpy()
    found = run(exported, x.numpy())
    parity = measure_parity(other, exported / MODEL_FILE, x, "random")
    relative = [abs(f - e).max() / abs(e).max() for f, e in zip(found, expected, strict=True)]
    agreement = np.mean([f.argmax() == e.argmax() for f, e in zip(found, expected, strict=True)])
    assert parity.max_abs == pytest.approx(abs(found - expected).max(), rel=1e-4)
    assert parity.max_rel == pytest.approx(max(relative), rel=1e-4)
    assert parity.top1_agreement == agreement


def test_nodes_are_named_by_place_and_operation(model: onnx.ModelProto) -> None:
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert names[:3] == ["conv_stem/Conv", "bn1.act/Sigmoid", "bn1.act/Mul"]
    assert {
        "blocks.0.0.conv_dw/Conv",
        "blocks.0.0/Add",
        "blocks.1.0.conv_pw/Conv",
        "blocks.1.0.se.conv_reduce/Conv",
        "blocks.1.0.se/ReduceMean",
        "blocks.2.0.downsample.0/Conv",
        "blocks.2.1.conv_pwl/Conv",
        "blocks.2.1/Add",
        "blocks.3.0.conv/Conv",
        "blocks.6.0.conv/Conv",
        "conv_head/Conv",
        "classifier/Gemm",
    } <= set(names)


def test_every_node_carries_a_place_that_is_a_module(
    network: Network, model: onnx.ModelProto
) -> None:
    modules = {name for name, _ in network.named_modules()} - {""}
    for node in model.graph.node:
        assert [item.key for item in node.metadata_props] == [PLACE]
        place = node.metadata_props[0].value
        assert place in modules, node.name
        assert node.name.startswith(f"{place}/{node.op_type}")


def test_weights_keep_their_names_and_every_convolution_has_a_bias(
    network: Network, model: onnx.ModelProto
) -> None:
    tensors = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    weights = {k: list(v.shape) for k, v in network.named_parameters() if v.ndim > 1}
    assert weights.items() <= tensors.items()
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            place = node.name.partition("/")[0]
            assert list(node.input[1:]) == [f"{place}.weight", f"{place}.bias"]
            assert tensors[f"{place}.bias"]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_nothing_of_this_machine_is_in_the_file(exported: Path, model: onnx.ModelProto) -> None:
    content = (exported / MODEL_FILE).read_bytes()
    assert LOCAL_PATH.search(b'File "/some/where/network.py", line 3')
    for tensor in model.graph.initializer:  # random bytes may look like anything
        content = content.replace(tensor.raw_data, b"")
    assert LOCAL_PATH.findall(content) == []
    assert str(Path.home()).encode() not in content
    assert str(Path.cwd()).encode() not in content
    assert [item.key for item in model.metadata_props] == ["architecture"]
    assert Architecture.model_validate_json(model.metadata_props[0].value).name == "small"
    parts = [*model.graph.input, *model.graph.value_info, *model.graph.initializer]
    assert not any(part.metadata_props or part.doc_string for part in parts)


@pytest.mark.slow
def test_a_second_export_is_the_same_file(network: Network, exported: Path, tmp_path: Path) -> None:
    again = export_network(network, tmp_path, batch=None)
    assert digest_of_file(again / MODEL_FILE) == digest_of_file(exported / MODEL_FILE)


def test_an_export_leaves_the_network_as_it_was(
    network: Network, working: Network, exported: Path
) -> None:
    measure_parity(working, exported / MODEL_FILE, images(2), "random")
    assert working.training
    assert not working.bn1.training
    before = network.state_dict()
    assert all(torch.equal(before[name], t) for name, t in working.state_dict().items())
    assert working.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_record_says_what_the_file_is(network: Network, exported: Path) -> None:
    file = exported / MODEL_FILE
    parity = measure_parity(network, file, images(2), "random")
    record = describe_export(
        network,
        file,
        record_folder=exported.parent,
        weights="random (seed 0)",
        parity=parity,
        preprocessing=None,
    )
    cost = architecture_cost(ARCHITECTURE)
    assert record.onnx == f"{exported.name}/{MODEL_FILE}"
    assert (record.name, record.opset, record.batch, record.precision) == (
        "small",
        20,
        None,
        "fp32",
    )
    assert (record.macs, record.params) == (cost.macs, cost.params)
    assert record.size_bytes == file.stat().st_size
    assert record.sha256 == digest_of_file(file)


def test_a_file_that_is_no_model_is_told(network: Network, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a model")
    with pytest.raises(ExportError, match=r"bad\.onnx: does not run in ONNX Runtime"):
        measure_parity(network, bad, images(1), "random")
    parity = Parity(images=1, data="random", max_abs=0, max_rel=0, top1_agreement=1)
    with pytest.raises(ExportError, match=r"bad\.onnx: is not an ONNX model"):
        describe_export(
            network, bad, record_folder=tmp_path, weights="", parity=parity, preprocessing=None
        )


def test_weights_that_are_not_numbers_are_told(exported: Path) -> None:
    broken = build_network(ARCHITECTURE, seed=0)
    torch.nn.init.constant_(broken.conv_head.bias, float("nan"))
    with pytest.raises(ExportError, match="not finite"):
        measure_parity(broken, exported / MODEL_FILE, images(1), "random")


def test_a_network_that_does_not_export_is_named(network: Network, tmp_path: Path) -> None:
    broken = build_network(ARCHITECTURE, seed=0)
    broken.conv_stem = torch.nn.Conv2d(7, 16, 3)
    with pytest.raises(ExportError, match="small: does not export to ONNX"):
        export_network(broken, tmp_path / "none", batch=1)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        export_operator(STEM, tmp_path / "file", batch=1)


@pytest.mark.parametrize(
    ("key", "output", "shape"),
    [
        ("cn_k3_s2_i3_o16_r32", "output", (2, 16, 16, 16)),
        ("res_k3_s1_i24_o24_r8", "output", (2, 24, 8, 8)),
        ("tail_k1_s1_i192_o320_r2_f64_c5", "logits", (2, 5)),
    ],
)
def test_an_operator_exports_on_its_own(
    tmp_path: Path, key: str, output: str, shape: tuple[int, ...]
) -> None:
    spec = parse_key(key)
    folder = export_operator(spec, tmp_path, batch=2)
    graph = onnx.load(folder / MODEL_FILE).graph
    assert [value.name for value in (*graph.input, *graph.output)] == ["input", output]
    x = np.ones((2, spec.in_channels, spec.resolution, spec.resolution), np.float32)
    assert run(folder, x).shape == shape
    # As after training: no bias was zero and dropped.
    assert all(len(node.input) == 3 for node in graph.node if node.op_type in ("Conv", "Gemm"))


def test_an_unknown_timm_network_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="unknown network of timm 'mobilenetv3_smal'"
    ) as caught:
        export_timm("mobilenetv3_smal", tmp_path, resolution=32, num_classes=5, batch=1)
    assert "mobilenetv3_small" in (caught.value.hint or "")


@pytest.mark.slow
def test_a_timm_network_exports(tmp_path: Path) -> None:
    folder = export_timm("lcnet_050", tmp_path, resolution=32, num_classes=5, batch=None)
    names = [node.name for node in onnx.load(folder / MODEL_FILE).graph.node]
    assert len(set(names)) == len(names)
    assert names[0] == "conv_stem/Conv"
    assert run(folder, images(3).numpy()).shape == (3, 5)


def test_equal_architectures_share_one_file_with_random_weights(cache: Path) -> None:
    first = cached_network(ARCHITECTURE, batch=4)
    stamp = (first / MODEL_FILE).stat().st_mtime_ns
    assert cache in first.parents
    assert first == cached_network(ARCHITECTURE.model_copy(update={"name": "other"}), batch=4)
    assert (first / MODEL_FILE).stat().st_mtime_ns == stamp
    assert b"small" not in (first / MODEL_FILE).read_bytes()
    # The batch is fixed, and parity fills the last call up.
    assert dimensions(onnx.load(first / MODEL_FILE).graph.input[0]) == [4, 3, 32, 32]
    network = build_network(ARCHITECTURE, seed=0)
    with seeded(0):
        imitate_training(network)
    parity = measure_parity(network, first / MODEL_FILE, images(6), "random")
    assert parity.images == 6
    assert parity.max_abs < 1e-4


def test_few_jobs_are_exported_here_in_order_and_once(cache: Path) -> None:
    second = parse_key("cn_k1_s1_i4_o8_r4")
    seen: list[tuple[int, int, str]] = []
    jobs = [STEM, second, STEM]
    folders = export_all(jobs, batch=1, progress=lambda *at: seen.append(at))
    assert folders[0] == folders[2] != folders[1]
    assert all((folder / MODEL_FILE).is_file() for folder in folders)
    assert seen == [(0, 2, "in the cache"), (1, 2, STEM.key), (2, 2, second.key)]
    seen.clear()
    assert export_all(jobs, batch=1, progress=lambda *at: seen.append(at)) == folders
    assert seen == [(2, 2, "in the cache")]
    assert export_all([STEM], batch=2)[0] not in folders


def test_a_kill_while_writing_leaves_nothing_that_counts_as_there(cache: Path) -> None:
    folder = export_all([STEM], batch=1)[0]
    whole = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).rename(folder / f".{MODEL_FILE}.x1.part")  # as a killed write leaves it
    (folder / f".{MODEL_FILE}.x1.part").write_bytes(whole[:100])
    assert export_all([STEM], batch=1) == [folder]
    assert (folder / MODEL_FILE).read_bytes() == whole


def narrow_jobs() -> list[OperatorSpec]:
    return [parse_key(f"cn_k1_s1_i4_o{width}_r4") for width in (8, 16, 24, 32)]


@pytest.mark.slow
def test_many_jobs_are_exported_by_several_processes(cache: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    folders = export_all(
        narrow_jobs(), batch=1, file=FP16, workers=2, progress=lambda *at: seen.append(at)
    )
    assert all((folder / FP16).is_file() for folder in folders)
    shapes = [dimensions(onnx.load(f / MODEL_FILE).graph.output[0]) for f in folders]
    assert shapes == [[1, width, 4, 4] for width in (8, 16, 24, 32)]
    assert [done for done, _, _ in seen] == [0, 1, 2, 3, 4]
    assert {note for _, _, note in seen[1:]} == {job.key for job in narrow_jobs()}
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_an_error_in_another_process_arrives_as_it_was(cache: Path) -> None:
    jobs = [TimmNetwork("no_such_network", 32, 5), *narrow_jobs()]
    with pytest.raises(UnknownNameError, match="unknown network of timm 'no_such_network'"):
        export_all(jobs, batch=1, workers=2)
    assert multiprocessing.active_children() == []
