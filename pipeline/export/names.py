"""Names in an exported model: every node says which module it came from, and nothing else.

PyTorch's exporter numbers its nodes, and writes the source line of each into the file, local paths
included. Here nodes get names that are stable across exports and machines,
`<module place>/<operation>` such as `blocks.3.1.conv_dw/Conv`, with the place as metadata too, so
that any runtime's layer times map back to blocks.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import onnx

PLACE = "place"
_SCOPES = "pkg.torch.onnx.name_scopes"
_WEIGHT = ".weight"
_FOLDED = "_bias"


def name_by_place(model: onnx.ModelProto) -> None:
    """Renames nodes and the tensors between them, and drops the exporter's metadata; in place."""
    graph = model.graph
    parameters = {tensor.name for tensor in graph.initializer}
    fixed = {value.name for value in (*graph.input, *graph.output)} | parameters
    seen: Counter[str] = Counter()
    renamed = _bias_names(parameters)
    for node in graph.node:
        place = _place(node, parameters)
        node.name = _distinct(f"{place}/{node.op_type}" if place else node.op_type, seen)
        renamed |= _output_names(node, fixed)
        _forget_origin([node])
        node.metadata_props.add(key=PLACE, value=place)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    named: list[Any] = [*graph.value_info, *graph.initializer]
    for value in named:
        value.name = renamed.get(value.name, value.name)
    _forget_origin(_parts_with_metadata(model))


def _place(node: onnx.NodeProto, parameters: set[str]) -> str:
    """The module a node came from.

    A convolution that batch norm was folded into carries the batch norm's scope; the name of its
    weight still tells the convolution's own.
    """
    for name in node.input:
        if name in parameters and name.endswith(_WEIGHT):
            return name.removesuffix(_WEIGHT)
    scopes = next((item.value for item in node.metadata_props if item.key == _SCOPES), "[]")
    # From the root, which has no name, to the operation itself.
    modules = ast.literal_eval(scopes)[:-1]
    return str(modules[-1]) if modules else ""


def _bias_names(parameters: set[str]) -> dict[str, str]:
    """Biases that folding batch norm made, named as if the convolution had had them."""
    made = {name: name.removesuffix(f"{_WEIGHT}{_FOLDED}") for name in parameters}
    return {
        name: f"{place}.bias"
        for name, place in made.items()
        if place != name and f"{place}.bias" not in parameters
    }


def _distinct(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}_{seen[name]}"


def _output_names(node: onnx.NodeProto, fixed: set[str]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(node.output):
        if name and name not in fixed:
            yield name, f"{node.name}:{index}"


def _parts_with_metadata(model: onnx.ModelProto) -> Iterator[Any]:
    graph = model.graph
    yield model
    yield graph
    for parts in (graph.input, graph.output, graph.value_info, graph.initializer):
        yield from parts


def _forget_origin(parts: Iterable[Any]) -> None:
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
