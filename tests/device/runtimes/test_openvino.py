"""OpenVINO on the CPU is a runtime, in the precision asked, and keeps to itself."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import Runtime, openvino
from pipeline.errors import UnavailableError
from tests.device.runtimes.children import said
from tests.device.runtimes.conformance import PrecisionConformance
from tests.device.runtimes.layer_times import BlockTimesConformance, LayerTimesConformance
from tests.device.runtimes.models import OnnxModels, small_model


def capabilities() -> list[str]:
    """What OpenVINO says that this CPU computes in."""
    return openvino._import_engine().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class TestOpenVino(LayerTimesConformance):
    runtime: ClassVar = "openvino"
    threads: ClassVar = 1

    @pytest.mark.parametrize(("file", "built"), [(FP16, "fp32"), (INT8_SYMMETRIC, "int8")])
    def test_the_precision_is_what_is_computed_in(
        self, engine: Runtime, tmp_path: Path, file: str, built: str
    ) -> None:
        """Not what inputs are kept in; and what was not asked is refused."""
        model = OnnxModels(file).small(tmp_path / "m")
        (model / file).rename(model / FP32)
        if built == "fp32":
            with self.opened(engine, model, tmp_path / "built") as session:
                assert session.precision_as_built == "fp32"
            return
        with (
            pytest.raises(UnavailableError, match=r"fp32 was asked.* in int8"),
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass

    @pytest.mark.parametrize(("precision", "capability"), [("bf16", "BF16"), ("fp16", "FP16")])
    def test_what_this_cpu_does_not_compute_is_refused(
        self, engine: Runtime, tmp_path: Path, precision: str, capability: str
    ) -> None:
        """Though OpenVINO would run bf16 nevertheless, several times as slow."""
        if capability in capabilities():
            pytest.skip(f"this CPU has {capability}")
        target = replace(self.target_of(), precision=precision)
        artifact = engine.build(small_model(tmp_path / "m"), target, tmp_path)
        with (
            pytest.raises(UnavailableError, match=f"does not compute {precision}.*FP32") as caught,
            engine.open(artifact, target),
        ):
            pass
        assert caught.value.hint

    def test_another_precision_than_fp32_is_never_run_in_silence(
        self, engine: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As its own default would be, on CPUs with bf16 instructions.

        With a convolution: without AMX nothing else is computed in bf16.
        """
        if "BF16" not in capabilities():
            pytest.skip("this CPU has no bf16 instructions")
        model = OnnxModels(FP32, convolving=True).small(tmp_path / "m")
        settings = openvino._settings(self.target_of())
        del settings["INFERENCE_PRECISION_HINT"]
        monkeypatch.setattr(openvino, "_settings", lambda target: settings)
        with (
            pytest.raises(UnavailableError, match=r"fp32 was asked.* in bf16"),
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass

    def test_the_engine_tells_nobody(self, engine: Runtime, tmp_path: Path) -> None:
        """Its import alone would report to its makers and leave an identity in the home folder."""
        model = small_model(tmp_path / "m")
        home = tmp_path / "home"
        home.mkdir()
        said(
            "import sys\n"
            "from pathlib import Path\n"
            "from pipeline.device import runtimes\n"
            "from pipeline.device.target import Target\n"
            "calls = []\n"
            "watch = lambda event, _: event.startswith('socket.') and calls.append(event)\n"
            "sys.addaudithook(watch)\n"
            "engine = runtimes.find('openvino')\n"
            "target = Target.parse(sys.argv[1])\n"
            "with engine.open(Path(sys.argv[2]), target) as session:\n"
            "    session.run(runtimes.random_feed(session.inputs()))\n"
            "known = [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
            "sys.exit(f'{calls} {known}' if calls or known else 0)",
            self.target_of().name,
            str(model / FP32),
            HOME=str(home),
        )
        assert list(home.iterdir()) == []


class TestOpenVinoInt8(BlockTimesConformance):
    runtime: ClassVar = "openvino"
    threads: ClassVar = 1
    precision: ClassVar = "int8"
    max_rel: ClassVar = 0.03
    max_rel_network: ClassVar = 0.05


class TestOpenVinoBf16(PrecisionConformance):
    runtime: ClassVar = "openvino"
    threads: ClassVar = 1
    precision: ClassVar = "bf16"
    max_rel: ClassVar = 0.03
    max_rel_network: ClassVar = 0.1

    @classmethod
    def models(cls) -> OnnxModels:
        """With a convolution: nothing else by itself makes OpenVINO compute in bf16."""
        return OnnxModels(FP32, convolving=True)

    @classmethod
    def unavailable(cls) -> str | None:
        reason = super().unavailable()
        if reason is None and "BF16" not in capabilities():
            reason = f"this CPU has no bf16 instructions: {', '.join(capabilities())}"
        return reason

    def check(self, found: dict[str, NDArray], expected: NDArray) -> None:
        (value,) = found.values()
        np.testing.assert_allclose(value, expected, rtol=1e-2)
