"""What ONNX Runtime computes in is read from its profile; it runs where it was told to, or not."""

import json
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from pipeline.device.runtimes import _onnx_session
from pipeline.device.runtimes._onnx_session import CPU, Profiled, Provider, load, opened, profiled
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError
from tests.device.runtimes.models import small_model

TARGET = Target.parse("host/onnxruntime-fp32-b1-t1")
CUDA = Provider("CUDAExecutionProvider", {}, {}, on_gpu=True)


@pytest.mark.parametrize(
    ("nodes", "precision"),
    [
        ([("Conv", "float"), ("Relu", "float16")], "fp32"),
        ([("Cast", "float16"), ("Conv", "float")], "fp32"),
        ([("Conv", "float16"), ("Gemm", "float")], "fp16+fp32"),
        ([("QLinearConv", "uint8"), ("QGemm", "int8")], "int8"),
        ([("QLinearConv", "uint8"), ("FusedConv", "float")], "fp32+int8"),
        ([("DynamicQuantizeMatMul", "float")], "int8"),
        ([("MatMul", "bfloat16")], "bf16"),
        ([("Relu", "float16"), ("Cast", "float")], "fp16"),
        ([("Add", "int64")], "fp32"),
        ([], "fp32"),
    ],
)
def test_the_precision_is_that_of_convolutions_and_products(
    nodes: list[tuple[str, str]], precision: str
) -> None:
    operations, types = [node[0] for node in nodes], [node[1] for node in nodes]
    assert Profiled(1.0, operations, operations, types, [0.0] * len(nodes)).precision == precision


def test_an_fp32_model_is_not_profiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx_session, "profiled", None)
    with opened(small_model(tmp_path) / "model.onnx", TARGET, CPU) as session:
        assert session.precision_as_built == "fp32"


def test_another_provider_than_asked_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(tmp_path) / "model.onnx"
    if CUDA.name in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has the provider")
    with pytest.raises(UnavailableError, match=r"has .*CPUExecutionProvider.*CUDA.* is needed"):
        load(model, TARGET, CUDA)
    # As where the package has the provider and its libraries do not load.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA.name, CPU.name])
    with pytest.raises((UnavailableError, MeasurementError)):
        load(model, TARGET, CUDA)


def test_a_full_profile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime keeps a million events and drops the rest."""
    model = small_model(tmp_path) / "model.onnx"
    whole = json.loads
    monkeypatch.setattr(_onnx_session.json, "loads", lambda text: whole(text)[:-5])
    with pytest.raises(MeasurementError, match=r"profile holds \d of 3 runs"):
        profiled(model, TARGET, CPU, runs=3)


@pytest.mark.parametrize(
    ("threads", "entries"),
    [
        (1, {"session.intra_op.allow_spinning": "0"}),
        (2, {"session.force_spinning_stop": "1"}),
    ],
)
def test_threads_do_not_spin_between_runs(threads: int, entries: dict[str, str]) -> None:
    target = replace(TARGET, threads=threads)
    options = _onnx_session._options(onnxruntime, target, CPU)
    assert options.intra_op_num_threads == threads
    for name, value in entries.items():
        assert options.get_session_config_entry(name) == value


def test_a_closed_session_keeps_no_model(tmp_path: Path) -> None:
    with opened(small_model(tmp_path) / "model.onnx", TARGET, CPU) as session:
        assert session._session is not None
    assert session._session is None
