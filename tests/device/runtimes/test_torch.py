"""PyTorch itself, eager on the CPU, is a runtime."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch

from pipeline.device.runtimes import Runtime
from tests.device.runtimes.layer_times import LayerTimesConformance


class TestTorch(LayerTimesConformance):
    runtime: ClassVar = "torch"
    threads: ClassVar = 1

    def test_threads_are_the_targets_and_the_processs_again_afterwards(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        before = torch.get_num_threads()
        target = replace(self.target_of(), threads=before + 1)
        model = self.models().small(tmp_path / "m")
        with engine.open(engine.build(model, target, tmp_path), target):
            assert torch.get_num_threads() == before + 1
        assert torch.get_num_threads() == before
