"""Networks and operators as files, and how far the files are from what they were made of.

A folder holds one self-contained `model.onnx`: opset 20, weights inside, input `input`, output
`logits` (`output` for an operator that is no classifier), batch norm folded into the convolutions.
Where it is asked for, `model.pt2` is the same network as a program of PyTorch's own.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path

import onnx
import timm
import torch
from google.protobuf.message import DecodeError
from torch import nn

from pipeline.device.model_files import FP32, PROGRAM
from pipeline.errors import ExportError
from pipeline.export.names import name_by_place
from pipeline.export.translations import build_registry_once
from pipeline.files.whole import digest_of_file, storage_errors, write_atomic
from pipeline.network.network import Network
from pipeline.network.operators import build_operator, imitate_training, initialise, seeded
from pipeline.network.timm_networks import check_timm_name
from pipeline.records.dataset import Preprocessing
from pipeline.records.export import ExportedModel, Parity
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import OperatorSpec

MODEL_FILE = FP32
INPUT = "input"
LOGITS = "logits"
OPSET = 20
RANDOM_SEED = 0


def export_operator(spec: OperatorSpec, into: Path, *, batch: int, file: str = FP32) -> Path:
    """Exports one operator with random weights.

    Args:
        spec: Any kind, stem and tail included.
        into: Folder for the file.
        batch: Images a call.
        file: `model.onnx` or `model.pt2`.

    Returns:
        The folder.

    Raises:
        ExportError: The exporter refuses it.
        StorageError: The file cannot be written.
    """
    with seeded(RANDOM_SEED):
        operator = build_operator(spec)
        initialise(operator)
        imitate_training(operator)
    output = LOGITS if spec.kind == "tail" else "output"
    shape = (spec.in_channels, spec.resolution, spec.resolution)
    if file == PROGRAM:
        return _write_program(operator, spec.key, shape, batch, into)
    return _write(_onnx_of(operator, spec.key, shape, batch, output), into)


def export_network(network: Network, into: Path, *, batch: int | None, file: str = FP32) -> Path:
    """Exports a network with the weights it has, and its architecture in the file's metadata.

    Args:
        network: Exported as in evaluation; left exactly as it is.
        into: Folder for the file.
        batch: Images a call; None for any number.
        file: `model.onnx` or `model.pt2`.

    Returns:
        The folder.

    Raises:
        ExportError: The exporter refuses it.
        StorageError: The file cannot be written.
    """
    architecture = network.architecture
    shape = (3, architecture.resolution, architecture.resolution)
    if file == PROGRAM:
        return _write_program(network, architecture.label, shape, batch, into)
    model = _onnx_of(network, architecture.label, shape, batch, LOGITS)
    model.metadata_props.add(key="architecture", value=architecture.model_dump_json())
    return _write(model, into)


def export_timm(
    name: str,
    into: Path,
    *,
    resolution: int,
    num_classes: int,
    batch: int | None,
    file: str = FP32,
) -> Path:
    """Exports a network of timm with random weights, to compare with.

    Args:
        name: timm's name, e.g. `mobilenetv3_small_100`.
        into: Folder for the file.
        resolution: Side of the input in pixels.
        num_classes: Outputs of the classifier.
        batch: Images a call; None for any number.
        file: `model.onnx` or `model.pt2`.

    Returns:
        The folder.

    Raises:
        UnknownNameError: timm has no such network.
        ExportError: The exporter refuses it.
        StorageError: The file cannot be written.
    """
    check_timm_name(name, "network of timm")
    with seeded(RANDOM_SEED):
        network = timm.create_model(name, pretrained=False, num_classes=num_classes)
        imitate_training(network)
    shape = (3, resolution, resolution)
    if file == PROGRAM:
        return _write_program(network, name, shape, batch, into)
    return _write(_onnx_of(network, name, shape, batch, LOGITS), into)


def describe_export(
    network: Network,
    onnx_file: Path,
    *,
    record_folder: Path,
    weights: str,
    parity: Parity,
    preprocessing: Preprocessing | None,
) -> ExportedModel:
    """The record of an exported network; opset and batch are read back from the file.

    Args:
        network: What was exported.
        onnx_file: The `model.onnx`.
        record_folder: Folder the record is written to; holds the file.
        weights: `checkpoint <file>`, or `random (seed n)`.
        parity: From `measure_parity`.
        preprocessing: How images become inputs; None where the weights are random.

    Raises:
        ExportError: The file is no ONNX model.
        StorageError: The file cannot be read.
    """
    model = _read(onnx_file)
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    cost = architecture_cost(network.architecture)
    return ExportedModel(
        name=network.architecture.label,
        architecture=network.architecture,
        onnx=onnx_file.relative_to(record_folder).as_posix(),
        sha256=digest_of_file(onnx_file),
        size_bytes=onnx_file.stat().st_size,
        opset=_opset(model),
        precision="fp32",
        batch=batch.dim_value if batch.HasField("dim_value") else None,
        weights=weights,
        macs=cost.macs,
        params=cost.params,
        parity=parity,
        preprocessing=preprocessing,
    )


def _write_program(
    module: nn.Module, name: str, shape: tuple[int, int, int], batch: int | None, into: Path
) -> Path:
    """Writes what `torch.export.load` reads, without anything of this machine."""
    images = torch.zeros((batch or 2, *shape))
    try:
        program = torch.export.export(
            evaluation_copy(module),
            (images,),
            dynamic_shapes=None if batch else ({0: torch.export.Dim("batch")},),
        )
        for part in program.graph_module.modules():
            for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
                node.meta.pop("stack_trace", None)  # lines of local files
        program.example_inputs = None
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"{name}: does not export to PyTorch: {_first_line(error)}") from error
    write_atomic(into / PROGRAM, buffer.getvalue())
    return into


def _onnx_of(
    module: nn.Module, name: str, shape: tuple[int, int, int], batch: int | None, output: str
) -> onnx.ModelProto:
    # An example of one image would fix the batch at one.
    images = torch.zeros((batch or 2, *shape))
    build_registry_once()
    try:
        program = torch.onnx.export(
            evaluation_copy(module),
            (images,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[output],
            opset_version=OPSET,
            dynamic_shapes=None if batch else ({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ExportError(f"{name}: does not export to ONNX: {_first_line(error)}") from error
    if program is None:
        raise ExportError(f"{name}: does not export to ONNX: the exporter returned nothing")
    model = program.model_proto
    name_by_place(model)
    _check(model, name)
    return model


def evaluation_copy(module: nn.Module) -> nn.Module:
    """In evaluation mode on the CPU; the original keeps its mode, device and memory layout."""
    evaluated = copy.deepcopy(module).cpu().eval()
    return evaluated.to(memory_format=torch.contiguous_format)


def _check(model: onnx.ModelProto, name: str) -> None:
    """What is asked of an opset is not always what is written, so read it back."""
    if _opset(model) != OPSET or len(model.opset_import) != 1:
        written = ", ".join(f"{i.domain or 'ai.onnx'} {i.version}" for i in model.opset_import)
        raise ExportError(f"{name}: the exporter wrote opset {written}; expected {OPSET} alone")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{name}: exports to invalid ONNX: {_first_line(error)}") from error


def _opset(model: onnx.ModelProto) -> int:
    return next((item.version for item in model.opset_import if not item.domain), 0)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _write(model: onnx.ModelProto, into: Path) -> Path:
    write_atomic(into / MODEL_FILE, model.SerializeToString(deterministic=True))
    return into


def _read(path: Path) -> onnx.ModelProto:
    try:
        with storage_errors(path):
            model = onnx.load(path)
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.input:
        raise ExportError(f"{path}: is not an ONNX model", hint="export it again")
    return model
