"""What an ONNX file says of itself, read without the onnx package.

An engine's own environment holds no onnx. TensorRT's parser follows references to weights in other
files wherever they lead on this machine, and OpenVINO forgets the names of free dimensions and of
outputs. Only the fields on the way to what is asked are walked, by their numbers in `onnx.proto`;
what is malformed is left to the engine's parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TENSOR, _SPARSE = "tensor", "sparse"
_NODE, _ATTRIBUTE, _GRAPH, _MODEL, _FUNCTION = "node", "attribute", "graph", "model", "function"
_DATA_LOCATION, _EXTERNAL = 14, 1
_NAME = 8
# Which fields of a message lead to a tensor, and what message each holds.
_FIELDS = {
    _MODEL: {7: _GRAPH, 25: _FUNCTION},
    _FUNCTION: {7: _NODE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
_LONGEST_VARINT = 10
_OF_MODEL_GRAPH = 7
_OF_GRAPH_INPUT, _OF_GRAPH_OUTPUT = 11, 12
_OF_VALUE_NAME, _OF_VALUE_TYPE = 1, 2
_OF_TYPE_TENSOR, _OF_TENSOR_SHAPE, _OF_SHAPE_SIDE = 1, 2, 1
_OF_SIDE_LENGTH, _OF_SIDE_NAME = 1, 2


def external_weights(data: bytes) -> str | None:
    """Name of a tensor whose values lie outside the file, or None.

    Args:
        data: A whole ONNX file.
    """
    pending = [(_MODEL, memoryview(data))]
    while pending:
        kind, message = pending.pop()
        if kind == _TENSOR:
            name = _outside(message)
            if name is not None:
                return name
            continue
        wanted = _FIELDS[kind]
        for number, value in _fields(message):
            if number in wanted and isinstance(value, memoryview):
                pending.append((wanted[number], value))
    return None


class Signature(NamedTuple):
    """What goes into a model and comes out of it.

    Attributes:
        inputs: Length of each side of each input; its name where it is free, None without one.
        outputs: Names of the outputs, in order.
    """

    inputs: dict[str, list[int | str | None]]
    outputs: list[str]


def signature(data: bytes) -> Signature | None:
    """Names and shapes that a model's graph declares; None where no graph is found.

    Args:
        data: A whole ONNX file.
    """
    graph = _first(memoryview(data), _OF_MODEL_GRAPH)
    if graph is None:
        return None
    inputs = {_name(value): _sides(value) for value in _messages(graph, _OF_GRAPH_INPUT)}
    return Signature(inputs, [_name(value) for value in _messages(graph, _OF_GRAPH_OUTPUT)])


def _sides(value: memoryview) -> list[int | str | None]:
    shape: memoryview | None = value
    for number in (_OF_VALUE_TYPE, _OF_TYPE_TENSOR, _OF_TENSOR_SHAPE):
        shape = None if shape is None else _first(shape, number)
    sides: list[int | str | None] = []
    for side in _messages(shape or memoryview(b""), _OF_SHAPE_SIDE):
        fields = dict(_fields(side))
        named, length = fields.get(_OF_SIDE_NAME), fields.get(_OF_SIDE_LENGTH)
        if isinstance(named, memoryview) and len(named) > 0:
            sides.append(bytes(named).decode(errors="replace"))
        else:
            sides.append(length if isinstance(length, int) else None)
    return sides


def _name(value: memoryview) -> str:
    return bytes(_first(value, _OF_VALUE_NAME) or b"").decode(errors="replace")


def _first(message: memoryview, number: int) -> memoryview | None:
    return next(_messages(message, number), None)


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for found, value in _fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def _outside(tensor: memoryview) -> str | None:
    fields = dict(_fields(tensor))
    if fields.get(_DATA_LOCATION) != _EXTERNAL:
        return None
    name = fields.get(_NAME, b"")
    return bytes(name).decode(errors="replace") if isinstance(name, memoryview) else ""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field, up to where the message is malformed."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            return
        if at + size > len(message):
            return
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number and where it ends; past the message's end where it is malformed."""
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(message):
            break
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    return 0, len(message) + 1
