"""The files of a model in fp16 and int8, made of its `model.onnx`.

Precision belongs to the file: an engine runs what the file says, so each precision and each flavour
of int8 is a file of its own (`pipeline.device.model_files`).

* fp16 keeps fp32 inputs and outputs, and computes everything between them in fp16.
* int8 for ONNX Runtime has asymmetric uint8 activations, int8 weights with a scale a channel, and
  int32 biases. Every node is quantised that the engine has an int8 kernel for, since it computes
  in int8 only where a node's output is quantised too: with the activations in fp32 it is slower.
  The squeeze-and-excitation branch is no exception: in fp32 it makes the file nearly twice as
  large, and gains neither speed nor accuracy.
* int8 for TensorRT and OpenVINO is symmetric throughout, its biases stay fp32, and only what goes
  *into* convolutions, matrix products and additions is quantised, as TensorRT's parser and the
  fusions of both want it.

Milliseconds of cream-14 at 64 | 224 pixels on one thread of a Xeon with VNNI, batch 1, least of 80:

    file                            ONNX Runtime 1.32     OpenVINO 2026.4
    fp32                            1.07 |  7.10          1.64 |  8.06
    int8, every node                1.12 | 10.13          1.73 | 10.31
    int8, only convolutions         1.44 | 13.83          1.38 |  8.27
    int8, only what goes in         4.28 | 21.07          1.15 |  6.35
    int8, the same, symmetric       4.36 | 21.58          1.15 |  6.26

Ranges are the least and greatest value on the calibration images. On a trained cream-14 that gave
outputs nearer to fp32's (6 % off, root mean square) than cutting off the outermost tenth (45 %) or
fiftieth (12 %) of the images, or their mean (61 %).

Weights keep to seven bits, -64 to 64. x86 CPUs without VNNI instructions add two products of int8
into 16 bits, and two of 255 x 127 do not fit: they answered otherwise than others from the same
file. Two of 255 x 64 fit, so every CPU answers alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipeline.device.full_batches import full_batches
from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC
from pipeline.errors import ExportError
from pipeline.export.places import place_new_nodes
from pipeline.files.whole import storage_errors, write_atomic

Images = NDArray[np.float32]

_BATCH = 16
_NOISE_IMAGES = 8
_RANDOM_SEED = 0
# What ONNX Runtime and OpenVINO compute in int8, and what only hands int8 on.
_QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "Mul", "Sigmoid", "Relu", "Clip", "Reshape",
              "Flatten", "MaxPool", "GlobalAveragePool")  # fmt: skip
_QUANTISED_SYMMETRIC = ("Conv", "Gemm", "MatMul", "Add")


def make_file(folder: Path, file: str, images: Images | None = None) -> Path:
    """Makes a model's file in another precision; the same bytes for the same model and images.

    Args:
        folder: Holds `model.onnx`.
        file: `model.fp16.onnx`, `model.int8.onnx` or `model.int8-symmetric.onnx`.
        images: What activations' ranges are taken from, shape (n, channels, side, side); an fp16
            file needs none. A batch that is not full repeats the last image.

    Returns:
        The file.

    Raises:
        ExportError: `model.onnx` is missing or no model, the images do not fit it, or it cannot be
            had in that precision; names the node.
        StorageError: The file cannot be written.
    """
    source = folder / FP32
    model = read_model(source)
    original = [node.name for node in model.graph.node]
    if len(set(original)) < len(original) or not all(original):
        raise ExportError(
            f"{source}: its nodes have no names of their own",
            hint="export it with: python run_pipeline.py export",
        )
    made = _makers()[file](model, images, source)
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    made.ClearField("metadata_props")
    made.metadata_props.extend(model.metadata_props)
    place_new_nodes(made, source)
    _check(model, made, folder / file)
    write_atomic(folder / file, made.SerializeToString(deterministic=True))
    return folder / file


def noise_for(folder: Path) -> Images:
    """Normal noise in the shape of a model's input, to calibrate what is only timed.

    Latency does not depend on the values; accuracy does.

    Raises:
        ExportError: `model.onnx` is missing or no model.
    """
    shape = _input_shape(read_model(folder / FP32))
    random = np.random.default_rng(_RANDOM_SEED)
    return random.standard_normal((shape[0] or _NOISE_IMAGES, *shape[1:]), dtype=np.float32)


def read_model(path: Path) -> onnx.ModelProto:
    """Reads an ONNX file.

    Raises:
        ExportError: It is not there or no ONNX model.
        StorageError: It cannot be read.
    """
    if not path.is_file():
        raise ExportError(f"{path} is not there", hint="export the model first")
    try:
        with storage_errors(path):
            model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.input:
        raise ExportError(f"{path}: is not an ONNX model", hint="export it again")
    return model


Maker = Callable[[onnx.ModelProto, Images | None, Path], onnx.ModelProto]


def _makers() -> dict[str, Maker]:
    return {FP16: _half, **{file: partial(_in_int8, it) for file, it in _FLAVOURS.items()}}


def _half(model: onnx.ModelProto, images: Images | None, source: Path) -> onnx.ModelProto:
    del images
    from onnxruntime.transformers.float16 import convert_float_to_float16

    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and (abs(values) > np.finfo(np.float16).max).any():
            raise ExportError(
                f"{source}: {tensor.name} holds {abs(values).max():.3g}, more than fp16 can "
                f"({np.finfo(np.float16).max:.0f})",
                hint="export it in fp32 only",
            )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        with warnings.catch_warnings():
            # Weights too small for fp16 become the smallest it has.
            warnings.simplefilter("ignore")
            made: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    except Exception as error:
        raise ExportError(f"{source}: cannot be had in fp16: {error}") from error
    return made


_Ranges = dict[str, tuple[np.float32, np.float32]]


class _Flavour(NamedTuple):
    """One way of int8.

    Attributes:
        activations: Type of what flows between nodes.
        operations: What is quantised.
        options: The quantiser's own.
    """

    activations: int
    operations: Sequence[str]
    options: dict[str, object]


_FLAVOURS = {
    INT8: _Flavour(
        TensorProto.UINT8, _QUANTISED, {"ActivationSymmetric": False, "WeightSymmetric": True}
    ),
    INT8_SYMMETRIC: _Flavour(
        TensorProto.INT8,
        _QUANTISED_SYMMETRIC,
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": list(_QUANTISED_SYMMETRIC),
        },
    ),
}


def _in_int8(
    flavour: _Flavour, model: onnx.ModelProto, images: Images | None, source: Path
) -> onnx.ModelProto:
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    ranges = _ranges(model, images, source)
    operations = flavour.operations
    present = [op for op in operations if any(node.op_type == op for node in model.graph.node)]
    try:
        # The pieces of ONNX Runtime's `quantize_static`, which writes files and logs by itself.
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=True,  # of weights: nothing else is asked with it
            weight_qType=TensorProto.INT8,
            activation_qType=flavour.activations,
            tensors_range=TensorsData(CalibrationMethod.MinMax, dict(ranges)),
            nodes_to_quantize=[],
            nodes_to_exclude=[],
            op_types_to_quantize=present,
            extra_options=flavour.options,
        )
        quantizer.quantize_model()
    except Exception as error:
        raise ExportError(f"{source}: cannot be had in int8: {error}") from error
    made: onnx.ModelProto = quantizer.model.model
    if not any(node.op_type == "QuantizeLinear" for node in made.graph.node):
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise ExportError(
            f"{source}: has no node that can be had in int8 (it has {kinds}; "
            f"expected one of {', '.join(operations)})"
        )
    return made


def _ranges(model: onnx.ModelProto, images: Images | None, source: Path) -> _Ranges:
    """Least and greatest value of every tensor between nodes, over all images."""
    if images is None or not len(images):
        raise ExportError(
            f"{source}: int8 needs images to calibrate on; none were given",
            hint="give the images it is meant for",
        )
    fixed, *rest = _input_shape(model)
    if list(images.shape[1:]) != rest or images.dtype != np.float32:
        raise ExportError(
            f"{source}: calibration images are {images.dtype} {list(images.shape[1:])}; "
            f"expected float32 {rest}"
        )
    if not np.isfinite(images).all():
        raise ExportError(f"{source}: a value of the calibration images is not finite")
    tensors = [model.graph.input[0].name, *_floats(model)]
    session = _ranging_session(model, tensors, source)
    lows, highs = [], []
    batch = fixed or min(_BATCH, len(images))
    for part in full_batches(len(images), batch):
        found = session.run(None, {model.graph.input[0].name: images[part]})[-2 * len(tensors) :]
        lows.append(found[: len(tensors)])
        highs.append(found[len(tensors) :])
    low = np.min(np.asarray(lows, np.float32), axis=0)
    high = np.max(np.asarray(highs, np.float32), axis=0)
    for name, *bounds in zip(tensors, low, high, strict=True):
        if not np.isfinite(bounds).all():
            raise ExportError(f"{source}: {_of(model, name)} is not finite on calibration images")
    return {name: (least, most) for name, least, most in zip(tensors, low, high, strict=True)}


def _ranging_session(model: onnx.ModelProto, tensors: Sequence[str], source: Path) -> Any:
    """Runs a model and returns, after its outputs, each tensor's least and greatest value."""
    import onnxruntime

    augmented = onnx.ModelProto()
    augmented.CopyFrom(model)
    graph = augmented.graph
    for operation in ("ReduceMin", "ReduceMax"):
        for name in tensors:
            output = f"{name}/{operation}"
            graph.node.append(helper.make_node(operation, [name], [output], output, keepdims=0))
            graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Optimised graphs, and so their rounding, would differ between CPUs.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            augmented.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise ExportError(f"{source}: does not run in ONNX Runtime: {error}") from error


def _floats(model: onnx.ModelProto) -> Iterator[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    for node in model.graph.node:
        for name in node.output:
            if types.get(name) == TensorProto.FLOAT:
                yield name


def _of(model: onnx.ModelProto, tensor: str) -> str:
    producers = {name: node.name for node in model.graph.node for name in node.output}
    return f"node {producers[tensor]}" if tensor in producers else f"input {tensor}"


def _input_shape(model: onnx.ModelProto) -> list[int]:
    """Sides of the first input; 0 where one is free."""
    return [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]


def _check(model: onnx.ModelProto, made: onnx.ModelProto, path: Path) -> None:
    """What was asked of a converter is not always what it made."""
    opsets = [(item.domain, item.version) for item in made.opset_import]
    expected = [(item.domain, item.version) for item in model.opset_import]
    if opsets != expected:
        raise ExportError(f"{path}: was made with opsets {opsets}; expected {expected}")
    for ours, theirs in (
        (made.graph.input, model.graph.input),
        (made.graph.output, model.graph.output),
    ):
        if [value.SerializeToString() for value in ours] != [v.SerializeToString() for v in theirs]:
            raise ExportError(f"{path}: was made with other inputs or outputs")
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{path}: was made as invalid ONNX: {error}") from error
