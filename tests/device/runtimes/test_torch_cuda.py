"""PyTorch on a GPU is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device.runtimes import DeviceTimedSession, Runtime, random_feed, torch_cuda
from tests.device.runtimes.conformance import RuntimeConformance


@pytest.mark.gpu
class TestTorchCuda(RuntimeConformance):
    runtime: ClassVar = "torch_cuda"
    # The allocator and cuDNN keep some of what they took.
    kept_mib: ClassVar = 64.0

    @pytest.mark.usefixtures("bench_dir")
    def test_the_device_has_a_clock_and_a_graph(self, engine: Runtime, tmp_path: Path) -> None:
        with self.opened(engine, self.models().small(tmp_path / "m"), tmp_path) as session:
            assert isinstance(session, DeviceTimedSession)
            assert session.notes == ()
            session.bind(random_feed(session.inputs()))
            session.run_bound()
            time = session.device_time()
            assert time.compute_ms > 0
            assert time.enqueue_ms > 0
            assert min(session.transfer_time(3)) > 0


def test_a_torch_for_the_cpu_alone_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch_cuda, "folders_of", lambda name: [tmp_path])
    reason = torch_cuda.Runtime().unavailable()
    assert reason
    assert "without CUDA" in reason
