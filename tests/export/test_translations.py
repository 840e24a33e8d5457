"""The table of translations is built once, and the files are the same."""

from pathlib import Path

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

from pipeline.device.model_files import FP32
from pipeline.export.to_onnx import export_operator
from pipeline.export.translations import build_registry_once
from pipeline.space.operator_spec import parse_key

SPEC = parse_key("ir_k3_s1_e4_i8_o8_r8_se0.25")


def test_exports_share_one_table() -> None:
    # Where an update of PyTorch takes the method away, exports are slow and this says so.
    assert build_registry_once()
    assert ONNXRegistry.from_torchlib() is ONNXRegistry.from_torchlib()


def test_the_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_registry_once()
    export_operator(parse_key("cn_k1_s1_i8_o8_r8"), tmp_path / "before", batch=1)
    export_operator(SPEC, tmp_path / "shared", batch=1)
    built = []
    build = ONNXRegistry.from_torchlib.__wrapped__

    def anew(*args: object, **options: object) -> ONNXRegistry:
        built.append(build(*args, **options))
        return built[-1]

    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(anew))
    export_operator(SPEC, tmp_path / "alone", batch=1)
    assert len(built) == 1
    assert (tmp_path / "shared" / FP32).read_bytes() == (tmp_path / "alone" / FP32).read_bytes()
