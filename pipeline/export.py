"""Networks and operators as files, and how far the files are from what they were made of.

A folder holds one self-contained `model.onnx`: opset 20, weights inside, input `input`, output
`logits` (`output` for an operator that is no classifier), batch norm folded into the convolutions.
Where it is asked for, `model.pt2` is the same network as a program of PyTorch's own.
"""

from __future__ import annotations

import copy
import difflib
import io
from pathlib import Path

import numpy as np
import onnx
import timm
import torch
from google.protobuf.message import DecodeError
from torch import Tensor, nn

from pipeline.cost import architecture_cost
from pipeline.dataset_record import Preprocessing
from pipeline.errors import ExportError, UnknownNameError
from pipeline.files import digest_of_file, storage_errors, write_atomic
from pipeline.model_files import FP32, PROGRAM
from pipeline.network import Network
from pipeline.onnx_classifier import OnnxClassifier
from pipeline.onnx_names import name_by_place
from pipeline.onnx_registry import build_registry_once
from pipeline.operator_spec import OperatorSpec
from pipeline.operators import build_operator, imitate_training, initialise, seeded
from pipeline.records import ExportedModel, Parity

MODEL_FILE = FP32
INPUT = "input"
LOGITS = "logits"
OPSET = 20
RANDOM_SEED = 0
_PARITY_BATCH = 32


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
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1, cutoff=0.5)
        raise UnknownNameError(
            f"timm has no network {name!r}", hint=f"did you mean {near[0]!r}?" if near else None
        )
    with seeded(RANDOM_SEED):
        network = timm.create_model(name, pretrained=False, num_classes=num_classes)
        imitate_training(network)
    shape = (3, resolution, resolution)
    if file == PROGRAM:
        return _write_program(network, name, shape, batch, into)
    return _write(_onnx_of(network, name, shape, batch, LOGITS), into)


def measure_parity(network: Network, onnx_file: Path, images: Tensor, data: str) -> Parity:
    """Compares an exported file, run by ONNX Runtime on the CPU, with the network it was made of.

    Args:
        network: What was exported; left exactly as it is.
        onnx_file: The `model.onnx`.
        images: Shape (n, 3, resolution, resolution), n at least 1.
        data: Which images these are: a data set's name, or `random`.

    Raises:
        ExportError: The file does not run, or an output is not finite.
    """
    source = _evaluation_copy(network)
    with torch.inference_mode():
        expected = torch.cat([source(part) for part in images.split(_PARITY_BATCH)]).numpy()
    run = OnnxClassifier(onnx_file, threads=torch.get_num_threads())
    found = run(images.contiguous().numpy())
    if found.shape != expected.shape or not (np.isfinite(found) & np.isfinite(expected)).all():
        raise ExportError(
            f"{onnx_file}: outputs of shape {found.shape} cannot be compared with the network's "
            f"{expected.shape}: the shapes differ, or a value is not finite"
        )
    distance = np.abs(found - expected)
    scale = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    return Parity(
        images=len(images),
        data=data,
        max_abs=float(distance.max()),
        max_rel=float((distance.max(axis=1) / scale).max()),
        top1_agreement=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
    )


def check_parity(parity: Parity, name: str, *, max_rel: float = 1e-3) -> None:
    """Refuses an exported model whose outputs are not those of its network.

    Args:
        parity: What was measured.
        name: The model's, for the message.
        max_rel: Largest relative difference of a logit allowed; the default is for fp32.

    Raises:
        ExportError: The difference is larger.
    """
    if parity.max_rel > max_rel:
        raise ExportError(
            f"{name}: logits differ by up to {parity.max_rel:.2g} (relative) once exported; "
            f"expected at most {max_rel:.2g} on {parity.images} images of {parity.data}"
        )


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
            _evaluation_copy(module),
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
            _evaluation_copy(module),
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


def _evaluation_copy(module: nn.Module) -> nn.Module:
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
