"""Models for runtimes: small ones made by hand, operators and networks, each in the file asked.

A runtime reads one file of a model (`pipeline.device.model_files`); a class here makes that file of
every model that the suite runs.
"""

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pipeline.device.model_files import FP16, FP32, INT8, PROGRAM
from pipeline.export.cache import cached_network, cached_operator
from pipeline.network.network import build_network
from pipeline.network.operators import build_operator, imitate_training, initialise, seeded
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec

_STEP = 1 / 32
"""Of the quantised small model: its values reach from -4 to 4."""


def images(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def operator_module(spec: OperatorSpec) -> nn.Module:
    """An operator with the weights that its exports have."""
    with seeded(0):
        module = build_operator(spec)
        initialise(module)
        imitate_training(module)
    return module.eval()


def network_module(architecture: Architecture) -> nn.Module:
    """A network with the weights that its exports have."""
    network = build_network(architecture.model_copy(update={"name": None}), seed=0)
    with seeded(0):
        imitate_training(network)
    return network.eval()


class Models(Protocol):
    """Makes folders with the one file of a model that a runtime reads.

    Attributes:
        file: Its name.
        free_side: How messages call a free dimension that is not the batch.
        hostile: What may be done to a small model's file so that none is left.
        largest_error: Of the small model's outputs.
    """

    file: str
    free_side: str
    hostile: Mapping[str, Callable[[bytes], bytes]]
    largest_error: float

    def small(self, folder: Path, *, op: str = "Relu", free_side: bool = False) -> Path:
        """A model of one node, `Relu` or `Neg`, from (batch, 3, 4, 4) of any batch to the same."""

    def of_booleans(self, folder: Path) -> Path:
        """A model whose input has a type that no runtime handles."""

    def failing(self, folder: Path) -> Path:
        """A model that may load, and does not run on any (1, 3, 4, 4)."""

    def reaching(self, folder: Path, touched: Path) -> Path:
        """A model that reaches for another file, or makes the folder `touched` when it is read."""

    def operator(self, spec: OperatorSpec, batch: int) -> Path:
        """An operator with random weights."""

    def network(self, architecture: Architecture, batch: int | None) -> Path:
        """A network with random weights."""

    def output(self, name: str) -> str:
        """What sessions call an output that the exporter calls so."""


_CUT = {
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
    "cut by a byte": lambda whole: whole[:-1],
    "empty": lambda whole: b"",
    "text": lambda whole: b"not a model",
    "bytes": lambda whole: bytes(range(256)) * 64,
}


class OnnxModels:
    """ONNX files in fp32, fp16 or int8.

    Args:
        file: Which.
        convolving: Whether a small model has a convolution in fp32 before its node: some engines
            lower the precision of those only.
    """

    free_side = "height"
    hostile: ClassVar = {
        **_CUT,
        "unknown operator": lambda whole: whole.replace(b"Relu", b"Rely"),
        "loose end": lambda whole: whole.replace(b"input", b"inbut", 1),
    }

    def __init__(self, file: str = FP32, *, convolving: bool = False) -> None:
        self.file = file
        self._of_fp32 = convolved_node if convolving else one_node
        self.largest_error = {FP32: 0.0, FP16: 2e-3, INT8: 1.1 * _STEP}.get(file, _STEP)

    def small(self, folder: Path, *, op: str = "Relu", free_side: bool = False) -> Path:
        make = {FP32: self._of_fp32, FP16: half_node}.get(self.file, quantised_node)
        nodes, constants = make(op)
        shape = ["batch", 3, "height" if free_side else 4, 4]
        return self._written(folder, nodes, TensorProto.FLOAT, shape, constants)

    def of_booleans(self, folder: Path) -> Path:
        nodes, constants = one_node("Not")
        return self._written(folder, nodes, TensorProto.BOOL, ["batch", 3, 4, 4], constants)

    def _written(
        self,
        folder: Path,
        nodes: list[onnx.NodeProto],
        dtype: int,
        shape: list[int | str],
        constants: list[TensorProto],
    ) -> Path:
        return written(same_shape(nodes, dtype, shape, constants), folder, self.file)

    def failing(self, folder: Path) -> Path:
        """Finds only when it runs that shapes do not fit."""
        graph = helper.make_graph(
            [
                helper.make_node("NonZero", ["input"], ["where"]),  # as many columns as there are
                helper.make_node("Add", ["where", "seven"], ["logits"]),
            ],
            "failing",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])],
            [helper.make_tensor_value_info("logits", TensorProto.INT64, None)],
            [helper.make_tensor("seven", TensorProto.INT64, [7], range(7))],
        )
        return written(graph, folder, self.file)

    def reaching(self, folder: Path, touched: Path) -> Path:
        """Its weights lie elsewhere."""
        del touched
        folder.parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / "secret").write_bytes(bytes(64))
        weights = outside(np.zeros(4, np.float32), "w", "../secret")
        node = helper.make_node("Add", ["input", "w"], ["logits"])
        return self._written(folder, [node], TensorProto.FLOAT, [1, 3, 4, 4], [weights])

    def operator(self, spec: OperatorSpec, batch: int) -> Path:
        return cached_operator(spec, batch=batch, file=self.file)

    def network(self, architecture: Architecture, batch: int | None) -> Path:
        return cached_network(architecture, batch=batch, file=self.file)

    def output(self, name: str) -> str:
        return name


class ProgramModels:
    """Exported PyTorch programs."""

    file = PROGRAM
    free_side = "s"
    largest_error = 0.0
    hostile: ClassVar = {
        **_CUT,
        "unknown operator": lambda whole: whole.replace(b"aten.relu", b"aten.rely"),
        "no graph": lambda whole: whole.replace(b"models/model.json", b"modals/model.json"),
    }

    def small(self, folder: Path, *, op: str = "Relu", free_side: bool = False) -> Path:
        return self._written(folder, _FUNCTIONS[op], free=(0, 2) if free_side else (0,))

    def of_booleans(self, folder: Path) -> Path:
        return self._written(folder, torch.logical_not, dtype=torch.bool)

    def failing(self, folder: Path) -> Path:
        return self._written(folder, _refuse)

    def reaching(self, folder: Path, touched: Path) -> Path:
        """The inputs that it was exported with are an object that makes a folder once unpickled."""
        model = self.small(folder)
        kept = zipfile.ZipFile(io.BytesIO((model / self.file).read_bytes()))
        planted = io.BytesIO()
        torch.save(_Planted(touched), planted)
        with zipfile.ZipFile(model / self.file, "w", zipfile.ZIP_STORED) as changed:
            for name in kept.namelist():
                is_sample = "sample_inputs" in name
                changed.writestr(name, planted.getvalue() if is_sample else kept.read(name))
        return model

    def operator(self, spec: OperatorSpec, batch: int) -> Path:
        return cached_operator(spec, batch=batch, file=self.file)

    def network(self, architecture: Architecture, batch: int | None) -> Path:
        return cached_network(architecture, batch=batch, file=self.file)

    def _written(
        self,
        folder: Path,
        function: Callable[[torch.Tensor], torch.Tensor],
        *,
        free: tuple[int, ...] = (),
        dtype: torch.dtype = torch.float32,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.file).write_bytes(_program(function, free, dtype))
        return folder

    def output(self, name: str) -> str:
        del name
        return "output"


@cache
def _program(
    function: Callable[[torch.Tensor], torch.Tensor], free: tuple[int, ...], dtype: torch.dtype
) -> bytes:
    """A function of (batch, 3, 4, 4) as a program with some free dimensions; exported once."""
    example = torch.zeros(2 if free else 1, 3, 4, 4, dtype=dtype)
    shapes = (dict.fromkeys(free, torch.export.Dim.DYNAMIC),)
    program = torch.export.export(_Calling(function), (example,), dynamic_shapes=shapes)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


class _Planted:
    def __init__(self, touched: Path) -> None:
        self._touched = touched

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._touched),)


class _Calling(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._function(x)


def _refuse(x: torch.Tensor) -> torch.Tensor:
    torch._check(x.max().item() > 1e9)
    return torch.relu(x)


_FUNCTIONS = {"Relu": torch.relu, "Neg": torch.neg}

Nodes = tuple[list[onnx.NodeProto], list[TensorProto]]


def one_node(op: str) -> Nodes:
    return [helper.make_node(op, ["input"], ["logits"], name="node")], []


def convolved_node(op: str) -> Nodes:
    """After a 1×1 convolution that changes nothing."""
    weight = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    return [
        helper.make_node("Conv", ["input", "weight"], ["same"], name="conv", kernel_shape=[1, 1]),
        helper.make_node(op, ["same"], ["logits"], name="node"),
    ], [numpy_helper.from_array(weight, "weight")]


def half_node(op: str) -> Nodes:
    return [
        helper.make_node("Cast", ["input"], ["half"], name="in", to=TensorProto.FLOAT16),
        helper.make_node(op, ["half"], ["result"], name="node"),
        helper.make_node("Cast", ["result"], ["logits"], name="out", to=TensorProto.FLOAT),
    ], []


def quantised_node(op: str) -> Nodes:
    """A 1×1 convolution that changes nothing or the sign, in int8, and perhaps a Relu after it."""
    sign = -1 if op == "Neg" else 1
    values = {
        "weight": (sign * 127 * np.eye(3, dtype=np.int8)).reshape(3, 3, 1, 1),
        "weight_step": np.full(3, 1 / 127, np.float32),
        "weight_zero": np.zeros(3, np.int8),
        "step": np.float32(_STEP),
        "zero": np.uint8(128),
    }
    weight = ["weight", "weight_step", "weight_zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "step", "zero"], ["a"], name="qi"),
        helper.make_node("DequantizeLinear", ["a", "step", "zero"], ["b"], name="di"),
        helper.make_node("DequantizeLinear", weight, ["w"], name="dw", axis=0),
        helper.make_node("Conv", ["b", "w"], ["c"], name="conv", kernel_shape=[1, 1]),
        helper.make_node("QuantizeLinear", ["c", "step", "zero"], ["d"], name="qc"),
        helper.make_node("DequantizeLinear", ["d", "step", "zero"], ["last"], name="dc"),
    ]
    if op == "Relu":
        nodes += [
            helper.make_node("Relu", ["last"], ["e"], name="node"),
            helper.make_node("QuantizeLinear", ["e", "step", "zero"], ["f"], name="qo"),
            helper.make_node("DequantizeLinear", ["f", "step", "zero"], ["logits"], name="do"),
        ]
    else:
        nodes[-1].output[0] = "logits"
    return nodes, [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()]


def same_shape(
    nodes: list[onnx.NodeProto],
    dtype: int,
    shape: list[int | str],
    constants: Sequence[TensorProto] = (),
) -> onnx.GraphProto:
    """A graph from `input` to `logits`, which are alike."""
    values = [helper.make_tensor_value_info(name, dtype, shape) for name in ("input", "logits")]
    return helper.make_graph(nodes, "small", values[:1], values[1:], constants)


def outside(values: NDArray[np.generic], name: str, location: str) -> TensorProto:
    """A tensor that lies in another file."""
    tensor = numpy_helper.from_array(values, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def small_model(folder: Path, *, op: str = "Relu") -> Path:
    """A folder with a model of one node in `model.onnx`; see `Models.small`."""
    return OnnxModels().small(folder, op=op)


def written(graph: onnx.GraphProto, folder: Path, file: str = FP32) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(model.SerializeToString())
    return folder
