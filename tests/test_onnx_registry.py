"""The table of translations is built once, and the files are the same."""

import subprocess
import sys
from pathlib import Path

from pipeline.export import export_operator
from pipeline.model_files import FP32
from pipeline.onnx_registry import build_registry_once
from pipeline.operator_spec import parse_key

KEY = "ir_k3_s1_e4_i8_o8_r8_se0.25"
WITHOUT = """
import sys
from pathlib import Path
from pipeline import export
from pipeline.operator_spec import parse_key
export.build_registry_once = lambda: False
export.export_operator(parse_key(sys.argv[1]), Path(sys.argv[2]), batch=1)
"""


def test_exports_share_one_table() -> None:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    # Where an update of PyTorch takes the method away, exports are slow and this says so.
    assert build_registry_once()
    assert ONNXRegistry.from_torchlib() is ONNXRegistry.from_torchlib()


def test_the_files_are_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, KEY, str(tmp_path / "without")]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1])
    export_operator(parse_key("cn_k1_s1_i8_o8_r8"), tmp_path / "other", batch=1)
    export_operator(parse_key(KEY), tmp_path / "shared", batch=1)
    expected = (tmp_path / "without" / FP32).read_bytes()
    assert (tmp_path / "shared" / FP32).read_bytes() == expected
