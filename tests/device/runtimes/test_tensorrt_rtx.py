"""TensorRT for RTX is a runtime where there is a GPU, and a compiler anywhere."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import tensorrt_rtx
from pipeline.device.runtimes._tensorrt_layers import layers_of_log, precision_of
from pipeline.device.runtimes.tensorrt_rtx import compile_ahead
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.space.operator_spec import parse_key
from tests.device.runtimes.children import said
from tests.device.runtimes.engines import (
    GPU_KIND,
    TensorRtConformance,
    TensorRtFp16Conformance,
    TensorRtInt8Conformance,
    TensorRtModels,
    compiler,
    one_node,
)
from tests.device.runtimes.suite import OPERATORS


class TestTensorRtForRtx(TensorRtConformance):
    runtime: ClassVar = "tensorrt_rtx"


class TestTensorRtForRtxFp16(TensorRtFp16Conformance):
    runtime: ClassVar = "tensorrt_rtx"


class TestTensorRtForRtxInt8(TensorRtInt8Conformance):
    runtime: ClassVar = "tensorrt_rtx"


@pytest.mark.parametrize("kind", ["SM86", "SM89", "SM120"])
def test_it_compiles_for_a_gpu_that_is_not_here(tmp_path: Path, kind: str) -> None:
    compiler()
    built = compile_ahead(one_node(tmp_path), batch=2, compute_capability=kind)
    assert built.plan
    assert built.layers
    assert precision_of(layers_of_log(built.layers)) == "fp32"


@pytest.mark.parametrize(
    ("file", "precision"), [(FP32, "fp32"), (FP16, "fp16"), (INT8_SYMMETRIC, "int8")]
)
@pytest.mark.usefixtures("bench_dir")
def test_it_takes_the_suites_models(tmp_path: Path, file: str, precision: str) -> None:
    """So that the suite tests sessions where there is a GPU, and not its own models."""
    compiler()
    models = TensorRtModels(file)
    kinds = [parse_key(OPERATORS[kind]) for kind in ("ir4_5x5", "tail")]
    folders = [models.small(tmp_path / op, op=op) for op in ("Relu", "Neg")]
    for folder in [*folders, *(models.operator(spec, 1) for spec in kinds)]:
        built = compile_ahead(folder / file, batch=1, compute_capability=GPU_KIND)
        assert precision_of(layers_of_log(built.layers or "")) == precision
    for name, content in models.hostile.items():
        model = models.small(tmp_path / name) / file
        model.write_bytes(content(model.read_bytes()))
        with pytest.raises(MeasurementError, match=name):
            compile_ahead(model, batch=1, compute_capability=GPU_KIND)
    for folder in (models.failing(tmp_path / "failing"), models.of_booleans(tmp_path / "bool")):
        with pytest.raises(MeasurementError, match=r"NonZero|'input'.*bool"):
            compile_ahead(folder / file, batch=1, compute_capability=GPU_KIND)
    free = models.small(tmp_path / "free", free_side=True)
    with pytest.raises(MeasurementError, match=r"'input'.*free.*height"):
        compile_ahead(free / file, batch=1, compute_capability=GPU_KIND)


def test_loading_it_changes_nothing_for_others() -> None:
    """The package that carries its libraries would write beside them, and set variables."""
    compiler()
    said(
        "import os, sys\nfrom pipeline.device.runtimes.tensorrt_rtx import Runtime\n"
        "before = dict(os.environ)\nassert Runtime().load_module().Builder\n"
        "assert dict(os.environ) == before\n"
        "assert 'onnxruntime_ep_nv_tensorrt_rtx' not in sys.modules"
    )


def test_without_its_libraries_the_missing_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler()
    monkeypatch.setattr(tensorrt_rtx, "_LIBRARY_PACKAGES", ("tensorrt_rtx_libs",))
    monkeypatch.setattr(tensorrt_rtx.Runtime, "library", "libtensorrt_rtx_other.so.{major}")
    reason = tensorrt_rtx.Runtime().unavailable()
    assert reason is not None
    assert reason.startswith("libtensorrt_rtx_other.so.1 not found, which tensorrt_rtx_bindings 1.")
    with pytest.raises(UnavailableError, match="libtensorrt_rtx_other"):
        compile_ahead(one_node(tmp_path), batch=1, compute_capability=GPU_KIND)
