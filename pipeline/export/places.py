"""Places of the nodes that a change of precision puts into a model.

Nodes that convert (`Cast`, `QuantizeLinear`, `DequantizeLinear`) belong to the block of the node
whose output they convert; of the network's input and of weights, to that of the node they feed.
They are named as the exporter's nodes are (`pipeline.export.names`), so that runtimes' layer times
map to blocks in any precision.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from pipeline.errors import ExportError
from pipeline.export.names import PLACE

_CONVERTING = frozenset({"Cast", "QuantizeLinear", "DequantizeLinear"})


def place_new_nodes(model: onnx.ModelProto, source: Path) -> None:
    """Names nodes without a place, sorts all nodes and infers shapes anew; in place.

    Args:
        model: Made of a model whose nodes all have a place; whatever else it holds is kept.
        source: What it was made of, for messages.

    Raises:
        ExportError: A node that does more than convert has no place, or is where none feeds it.
    """
    graph = model.graph
    _sort(graph)
    places = _places(graph, source)
    seen = Counter(node.name for node in graph.node if _own_place(node) is not None)
    renamed: dict[str, str] = {}
    outputs = {value.name for value in graph.output}
    for node, place in zip(graph.node, places, strict=True):
        if _own_place(node) is not None:
            continue
        node.name = _distinct(f"{place}/{node.op_type}" if place else node.op_type, seen)
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
        node.metadata_props.add(key=PLACE, value=place)
        renamed |= {
            name: f"{node.name}:{index}"
            for index, name in enumerate(node.output)
            if name not in outputs
        }
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    graph.ClearField("value_info")
    graph.value_info.extend(onnx.shape_inference.infer_shapes(model).graph.value_info)


def _sort(graph: onnx.GraphProto) -> None:
    """Each node after those that feed it, and as late as it may be if it has no other input."""
    producers = {name: node for node in graph.node for name in node.output}
    done: set[int] = set()
    ordered: list[onnx.NodeProto] = []

    def place(node: onnx.NodeProto) -> None:
        # Chains of new nodes are short, and older nodes stand in order: this goes not deep.
        if id(node) in done:
            return
        done.add(id(node))
        for name in node.input:
            if name in producers:
                place(producers[name])
        ordered.append(node)

    nodes = list(graph.node)
    for node in nodes:
        if _own_place(node) is not None:
            place(node)
    for node in nodes:
        place(node)
    copies = []
    for node in ordered:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    graph.ClearField("node")
    graph.node.extend(copies)


def _places(graph: onnx.GraphProto, source: Path) -> list[str]:
    """Of each node: its own, else of the node it converts the output of, else the one it feeds."""
    nodes = list(graph.node)
    found = [_own_place(node) for node in nodes]
    for node, place in zip(nodes, found, strict=True):
        if place is None and node.op_type not in _CONVERTING:
            raise ExportError(f"{source}: node {node.name} ({node.op_type}) has no place")
    by_output: dict[str, str] = {}
    for index, node in enumerate(nodes):
        if found[index] is None:
            found[index] = by_output.get(node.input[0])
        place = found[index]
        if place is not None:
            by_output |= dict.fromkeys(node.output, place)
    by_input: dict[str, str] = {}
    for index in reversed(range(len(nodes))):
        node = nodes[index]
        if found[index] is None:
            found[index] = next((by_input[name] for name in node.output if name in by_input), None)
        place = found[index]
        if place is None:
            raise ExportError(f"{source}: node {node.name} ({node.op_type}) feeds no other node")
        by_input |= dict.fromkeys(node.input, place)
    return [place or "" for place in found]


def _own_place(node: onnx.NodeProto) -> str | None:
    return next((item.value for item in node.metadata_props if item.key == PLACE), None)


def _distinct(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}_{seen[name]}"
