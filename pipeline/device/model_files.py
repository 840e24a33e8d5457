"""Files of an exported model: precision lives in them, so a runtime says which one it reads.

A model is a folder. `model.onnx` and `model.pt2` are written by export; the others are made of
`model.onnx` by export too, when a target that reads them is measured or exported for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.errors import UnknownNameError

FP32 = "model.onnx"
FP16 = "model.fp16.onnx"
INT8 = "model.int8.onnx"
INT8_SYMMETRIC = "model.int8-symmetric.onnx"
PROGRAM = "model.pt2"


class FileKind(NamedTuple):
    """What a file of a model is.

    Attributes:
        precision: What its weights are kept in.
        title: What people call it.
        readers: Who runs it best.
    """

    precision: str
    title: str
    readers: str


KINDS: dict[str, FileKind] = {
    FP32: FileKind("fp32", "ONNX, fp32", "every runtime; OpenVINO computes bf16 from it too"),
    FP16: FileKind("fp16", "ONNX, fp16 inside, fp32 inputs and outputs", "TensorRT, CUDA"),
    INT8: FileKind("int8", "ONNX, int8 QDQ, asymmetric activations", "ONNX Runtime"),
    INT8_SYMMETRIC: FileKind("int8", "ONNX, int8 QDQ, symmetric", "OpenVINO, TensorRT"),
    PROGRAM: FileKind("fp32", "exported PyTorch program", "torch"),
}

_OF_PRECISION = {"fp32": (FP32, PROGRAM), "fp16": (FP16,), "int8": (INT8, INT8_SYMMETRIC)}


def files_of(precisions: Sequence[str], also: Iterable[str] = ()) -> tuple[str, ...]:
    """The files of some precisions and others besides; those in fp32 always.

    Args:
        precisions: fp32, fp16 or int8, which has one file a flavour.
        also: Names of files.

    Raises:
        UnknownNameError: There is no such precision.
    """
    for precision in precisions:
        if precision not in _OF_PRECISION:
            raise UnknownNameError.of("precision of a file", precision, _OF_PRECISION)
    wanted = {file for precision in ("fp32", *precisions) for file in _OF_PRECISION[precision]}
    return tuple(file for file in KINDS if file in wanted | set(also))
