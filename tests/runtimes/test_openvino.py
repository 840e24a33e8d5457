"""OpenVINO on the CPU is a runtime, in the precision asked, and keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import MeasurementError
from pipeline.runtimes import Runtime, openvino
from tests.runtimes.conformance import ROOT
from tests.runtimes.layer_times import LayerTimesConformance
from tests.runtimes.models import images, small_model, written


def convolution(folder: Path, *, weights: str) -> Path:
    """A folder with a model of one convolution: fp32 inputs, `fp16` or quantised `int8` weights."""
    rng = np.random.default_rng(0)
    constants = {"w": (0.1 * rng.standard_normal((16, 3, 3, 3))).astype(np.float16)}
    nodes = [helper.make_node("Cast", ["w"], ["weight"], to=TensorProto.FLOAT)]
    data = "input"
    if weights == "int8":
        constants = {
            "w": rng.integers(-127, 127, (16, 3, 3, 3), dtype=np.int8),
            "scale": np.float32(0.01),
            "u": np.uint8(128),
            "i": np.int8(0),
        }
        nodes = [
            helper.make_node("QuantizeLinear", ["input", "scale", "u"], ["quantised"]),
            helper.make_node("DequantizeLinear", ["quantised", "scale", "u"], ["data"]),
            helper.make_node("DequantizeLinear", ["w", "scale", "i"], ["weight"]),
        ]
        data = "data"
    nodes.append(helper.make_node("Conv", [data, "weight"], ["logits"], kernel_shape=[3, 3]))
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 16, 6, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return written(graph, folder)


class TestOpenVino(LayerTimesConformance):
    runtime: ClassVar = "openvino"
    target: ClassVar = "host/openvino-fp32-b{batch}-t1"
    package: ClassVar = "openvino"
    unsupported: ClassVar = ("bf16", "fp16", "int8")

    @pytest.mark.parametrize(("weights", "precision"), [("fp16", "fp32"), ("int8", "fp32+int8")])
    def test_the_precision_is_what_is_computed_in(
        self, engine: Runtime, tmp_path: Path, weights: str, precision: str
    ) -> None:
        """Not what the inputs or the weights are kept in."""
        model = convolution(tmp_path / "model", weights=weights)
        with self.opened(engine, model, tmp_path / "built") as session:
            session.run({"input": images(1, 3, 8, 8)})
            assert session.precision_as_built == precision

    def test_another_precision_than_fp32_is_never_run_in_silence(
        self, engine: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As its own default would be, on CPUs with bf16 instructions."""
        settings = openvino._settings(self.target_of())
        del settings["INFERENCE_PRECISION_HINT"]
        monkeypatch.setattr(openvino, "_settings", lambda target: settings)
        core = openvino._import_engine().Core()
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this CPU has no bf16 instructions")
        with (
            pytest.raises(MeasurementError, match="computes in bf16; f32 was asked"),
            self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built"),
        ):
            pass

    def test_the_engine_tells_nobody(self, engine: Runtime, tmp_path: Path) -> None:
        """Its import alone would report to its makers and leave an identity in the home folder."""
        model = small_model(tmp_path / "m")
        home = tmp_path / "home"
        home.mkdir()
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "from pipeline import runtimes\n"
            "from pipeline.device import Target\n"
            "calls = []\n"
            "watch = lambda event, _: event.startswith('socket.') and calls.append(event)\n"
            "sys.addaudithook(watch)\n"
            "engine = runtimes.find('openvino')\n"
            f"target = Target.parse({self.target_of().name!r})\n"
            f"with engine.open(Path({str(model / 'model.onnx')!r}), target) as session:\n"
            "    session.run(runtimes.random_feed(session.inputs()))\n"
            "known = [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
            "sys.exit(f'{calls} {known}' if calls or known else 0)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"HOME": str(home)},
            capture_output=True,
            text=True,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert list(home.iterdir()) == []
