"""PyTorch's compiler on the CPU is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device import runtimes
from pipeline.device.runtimes import torch_compile
from tests.device.runtimes.conformance import RuntimeConformance


class TestTorchCompile(RuntimeConformance):
    """Every model is compiled for seconds, so there are few of them."""

    runtime: ClassVar = "torch_compile"
    threads: ClassVar = 1
    operators: ClassVar = {1: ("cn_1x1",)}
    batches: ClassVar = (2,)
    of_networks: ClassVar = (pytest.mark.slow,)

    # A process keeps what it has compiled, so that the same program is compiled once.
    test_opening_and_closing_again_and_again_keeps_no_memory: ClassVar = None

    def test_it_does_not_tell_the_times_of_layers(self) -> None:
        assert not runtimes.tells_layer_times(self.runtime)


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    reason = torch_compile.Runtime().unavailable()
    assert reason == "the C++ compiler g++ is not installed (apt install g++)"


def test_without_pythons_headers_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch_compile.sysconfig, "get_path", lambda name: str(tmp_path))
    reason = torch_compile.Runtime().unavailable()
    assert reason
    assert "Python's headers" in reason
