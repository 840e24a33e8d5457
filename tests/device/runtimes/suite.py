"""What the suite for runtimes stands on: which runtime, in which precision, on which models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.device import runtimes
from pipeline.device.model_files import PROGRAM
from pipeline.device.runtimes import Runtime, Session
from pipeline.device.target import Precision, Target
from tests.device.runtimes.models import Models, OnnxModels, ProgramModels

# Every operator of the tables of search spaces, and their stem and tail; strides and widths vary.
OPERATORS = {
    "cn": "cn_k3_s2_i3_o16_r32",
    "cn_1x1": "cn_k1_s1_i24_o24_r8",
    "cn_5x5": "cn_k5_s2_i16_o24_r8",
    "ds": "ds_k3_s1_i16_o16_r16_se0.25",
    "ir4_3x3": "ir_k3_s2_e4_i16_o24_r8_se0.25",
    "ir4_5x5": "ir_k5_s1_e4_i24_o24_r8_se0.25",
    "ir4_7x7": "ir_k7_s1_e4_i24_o24_r8_se0.25",
    "ir6_3x3": "ir_k3_s1_e6_i24_o24_r8_se0.25",
    "ir6_5x5": "ir_k5_s2_e6_i16_o24_r8_se0.25",
    "ir6_7x7": "ir_k7_s2_e6_i16_o24_r8_se0.25",
    "res": "res_k3_s2_i24_o40_r8",
    "tail": "tail_k1_s1_i192_o320_r2_f64_c5",
}


class RuntimeSuite:
    """What a subclass says of its runtime.

    Attributes:
        runtime: The runtime's name, which is its file's.
        precision: What its targets ask for.
        threads: CPU threads of its targets; None where the runtime has no such thing.
        max_rel: Largest difference from the reference allowed, relative to the largest output: from
            PyTorch, or in int8 from what the file says, taken literally.
        max_rel_network: Of a whole network from PyTorch, in every precision.
        operators: Which of `OPERATORS` it runs with one image, and which with two.
        batches: Of a model whose batch is free.
        of_networks: Marks of the test that runs a whole network.
        kept_mib: Memory that a hundred models may leave behind once they are closed.
    """

    runtime: ClassVar[str]
    precision: ClassVar[Precision] = "fp32"
    threads: ClassVar[int | None] = None
    max_rel: ClassVar[float] = 1e-4
    max_rel_network: ClassVar[float] = 1e-3
    operators: ClassVar[dict[int, tuple[str, ...]]] = {1: tuple(OPERATORS), 2: ("cn", "ir4_5x5")}
    batches: ClassVar[tuple[int, ...]] = (1, 2, 5)
    of_networks: ClassVar[tuple[pytest.MarkDecorator, ...]] = ()
    kept_mib: ClassVar[float] = 4.0

    @classmethod
    def target_of(cls, batch: int = 1) -> Target:
        return Target("host", cls.runtime, cls.precision, batch, cls.threads)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the suite cannot run here."""
        return runtimes.find(cls.runtime).unavailable()

    @classmethod
    def models(cls) -> Models:
        """Makes models in the file that the runtime reads for the target."""
        file = runtimes.model_file(cls.target_of())
        return ProgramModels() if file == PROGRAM else OnnxModels(file)

    @classmethod
    def cases(cls) -> dict[str, dict[str, object]]:
        """Cases of the tests that take an argument of these names, by what they are called."""
        each = [(kind, batch) for batch, kinds in cls.operators.items() for kind in kinds]
        return {
            "operator": {
                # Of several images fast tests run a whole network.
                f"{kind}-{batch}": pytest.param((kind, batch), marks=cls.slow_if(batch > 1))
                for kind, batch in each
            },
            "free_batch": {str(batch): batch for batch in cls.batches},
            "network": {
                "batch in the file": pytest.param((1, 1), marks=pytest.mark.slow),
                "free batch": pytest.param((None, 2), marks=cls.of_networks),
            },
            "hostile": dict(cls.models().hostile),
        }

    @staticmethod
    def slow_if(is_slow: bool) -> tuple[pytest.MarkDecorator, ...]:
        return (pytest.mark.slow,) if is_slow else ()

    @classmethod
    @contextmanager
    def opened(
        cls, engine: Runtime, model: Path, into: Path, *, batch: int = 1
    ) -> Iterator[Session]:
        target = cls.target_of(batch)
        with engine.open(engine.build(model, target, into), target) as session:
            yield session

    def check(self, found: dict[str, NDArray], expected: NDArray) -> None:
        """Compares the only output of a small model."""
        (value,) = found.values()
        bound = self.models().largest_error
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=bound)

    def reference(self, model: Path, module: nn.Module, x: NDArray) -> NDArray:
        """What an operator's outputs should be.

        How far int8 is from fp32 is the file's doing, not the engine's: there the file is the
        reference, each of its nodes computed in fp32 as it stands.
        """
        if self.precision != "int8":
            with torch.inference_mode():
                return module(torch.from_numpy(x)).numpy()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        file = str(model / self.models().file)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return session.run(None, {"input": x})[0]
