"""Whether an ONNX file keeps weights in other files, read without the onnx package.

An engine's own environment holds no onnx, and TensorRT's parser follows such references wherever
they lead on this machine. Only the fields on the way to a tensor's location are walked, by their
numbers in `onnx.proto`; what is malformed is left to the engine's parser.
"""

from __future__ import annotations

from collections.abc import Iterator

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
