"""An exported program is read as data, and tells its inputs and its precision."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.device.runtimes._torch_program import Program
from pipeline.device.target import Target
from pipeline.errors import MeasurementError
from tests.device.runtimes.models import ProgramModels

TARGET = Target.parse("host/torch-fp32-b3-t1")


def saved(module: torch.nn.Module, examples: tuple[torch.Tensor, ...], file: Path) -> Path:
    torch.export.save(torch.export.export(module, examples), file)
    return file


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(torch.float32, "fp32"), (torch.float16, "fp16"), (torch.bfloat16, "bf16")],
)
def test_the_precision_is_that_of_convolutions(
    tmp_path: Path, dtype: torch.dtype, precision: str
) -> None:
    class Between(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 1, dtype=dtype)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.to(dtype)).float().relu()

    file = saved(Between(), (torch.zeros(1, 3, 4, 4),), tmp_path / "model.pt2")
    assert Program(file, TARGET).precision == precision


def test_several_inputs_and_outputs_have_names(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return a + b, a - b

    file = saved(Two(), (torch.zeros(2), torch.zeros(2)), tmp_path / "model.pt2")
    program = Program(file, TARGET)
    assert list(program.inputs()) == ["a", "b"]
    feed = {"b": np.ones(2, np.float32), "a": np.zeros(2, np.float32)}
    with program.running():
        found = program.named(program.module(*program.tensors(feed)))
    assert {name: value.tolist() for name, value in found.items()} == {
        "output.0": [1, 1],
        "output.1": [-1, -1],
    }


def test_a_program_that_keeps_other_objects_than_tensors_is_refused(tmp_path: Path) -> None:
    """PyTorch would unpickle them, which runs whatever they say."""
    file = ProgramModels().small(tmp_path) / "model.pt2"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("model/data/constants/opaque_obj_0", b"")
    with pytest.raises(MeasurementError, match=r"an object that is no tensor: .*opaque_obj_0"):
        Program(file, TARGET)


def test_another_archive_is_no_program(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("version", "1.0")
    with pytest.raises(MeasurementError, match="is not an exported program"):
        Program(file, TARGET)
