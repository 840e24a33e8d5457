"""What TensorRT tells of an engine's layers: what each computes in, and which nodes it came from.

The inspector's JSON has other keys in TensorRT 10 than from 11 on; a builder that runs without a
GPU, whose engines no inspector can open there, prints the same as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.device.runtimes._blocks import module_of
from pipeline.errors import MeasurementError

_NODE = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]*)\]")
_NODE_IN_A_NAME = re.compile(r"[A-Za-z_][\w.]*/[A-Z]\w*")
"""Without metadata, layers are called `Reformatting … to blocks.0.0.conv_dw/Conv + …`."""
_KIND = re.compile(r"conv|correlation|gemm|matmul|matrix_?multiply|fully_?connected", re.IGNORECASE)
_FUSED = re.compile(r"__myl_(\w*?)_(?:myl|0x)")
"""Names of fused kernels list their operations in capitalised abbreviations: `__myl_CorrSilu_…`."""
_FUSED_PRODUCTS = frozenset({"Conv", "Corr", "Fc", "Gemm", "Matm"})
_PLAIN_PRODUCT = "MulSum"
"""How a matrix product too small for a kernel of its own is computed."""
_FUSED_MOVES = frozenset({"Cast", "Conc", "Copy", "Move", "Resh", "Slic", "Tran"})
_MOVING = re.compile(r"reformat|no_?op|shuffle|cast", re.IGNORECASE)
_TYPES = (
    (re.compile(r"bfloat16|bf16", re.IGNORECASE), "bf16"),
    (re.compile(r"half|fp16", re.IGNORECASE), "fp16"),
    (re.compile(r"fp8", re.IGNORECASE), "fp8"),
    (re.compile(r"\bint8", re.IGNORECASE), "int8"),
    (re.compile(r"float|fp32", re.IGNORECASE), "fp32"),
)
_TEXT_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\], "
    r"Constants: \[(?P<constants>.*?)\], Outputs: \[(?P<outputs>.*)\], "
    r"TacticName: (?P<tactic>.*?), StreamId: \d+, Metadata: (?P<metadata>.*)"
)
_TEXT_TYPE = re.compile(r"Datatype: (\w+)")


class Layer(NamedTuple):
    """A layer of an engine.

    Attributes:
        name: As the engine's profiler calls it.
        nodes: The ONNX nodes it came from; empty where the engine put it in.
        multiplies: Whether it is a convolution or a matrix product.
        precision: What it computes in; None where it only moves and converts values, and for types
            that are not floating point or int8.
    """

    name: str
    nodes: tuple[str, ...]
    multiplies: bool
    precision: str | None

    @property
    def module(self) -> str | None:
        """The module of the first node that has one.

        How a fused layer's time divides among its nodes is not known, so all of it counts there.
        """
        return next((found for node in self.nodes if (found := module_of(node))), None)


def layers_of_json(text: str) -> list[Layer]:
    """Layers from the inspector's JSON, in the order in which they run.

    Raises:
        MeasurementError: It is not the detailed JSON of an engine.
    """
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        raise MeasurementError(
            f"TensorRT's inspector does not list the engine's layers: {text[:200]!r}"
        ) from None
    if not all(isinstance(layer, Mapping) for layer in layers):
        raise MeasurementError(
            "the engine tells names of layers only; expected one built with "
            "ProfilingVerbosity.DETAILED, as this pipeline does"
        )
    return [
        _layer(
            name=str(layer.get("Name", "")),
            kinds=(str(layer.get("LayerType", "")), str(layer.get("ParameterType", ""))),
            tactic=str(layer.get("TacticName", "")),
            types=[*_types(layer.get("Inputs")), *_types(layer.get("Outputs"))],
            metadata=str(layer.get("Metadata", "")),
        )
        for layer in layers
    ]


def layers_of_log(text: str) -> list[Layer]:
    """Layers from the list that the builder prints, in the order in which they run.

    Raises:
        MeasurementError: A layer in it does not read.
    """
    found = []
    for line in text.splitlines():
        if not line.startswith("Name: "):
            continue
        match = _TEXT_LAYER.fullmatch(line)
        if match is None:
            raise MeasurementError(f"TensorRT's list of layers does not read at: {line[:200]!r}")
        types = _TEXT_TYPE.findall(match["inputs"]) + _TEXT_TYPE.findall(match["outputs"])
        found.append(
            _layer(match["name"], (match["kind"],), match["tactic"], types, match["metadata"])
        )
    return found


def precision_of(layers: Sequence[Layer]) -> str:
    """What convolutions and matrix products are computed in, several types joined by `+`.

    An engine without such a layer is told by its others.

    Raises:
        MeasurementError: No layer tells its type.
    """
    found = {layer.precision for layer in layers if layer.multiplies and layer.precision}
    found = found or {layer.precision for layer in layers if layer.precision}
    if not found:
        raise MeasurementError(
            f"TensorRT does not tell what the engine computes in ({len(layers)} layers)"
        )
    return "+".join(sorted(found))


def _layer(
    name: str, kinds: Sequence[str], tactic: str, types: Sequence[str], metadata: str
) -> Layer:
    nodes = _NODE.findall(metadata) or _NODE_IN_A_NAME.findall(name)
    fused = _FUSED.match(name)
    if fused:
        operations = set(re.findall(r"[A-Z][a-z]*", fused[1]))
        multiplies = bool(operations & _FUSED_PRODUCTS) or _PLAIN_PRODUCT in fused[1]
        moves = operations <= _FUSED_MOVES
    else:
        multiplies = any(_KIND.search(kind) for kind in kinds)
        moves = not multiplies and any(_MOVING.search(kind) for kind in kinds)
    # A convolution computes in the type of what it takes; what it gives may be wider.
    precision = None if moves else next(iter(map(_precision, types)), None)
    if precision == "fp32" and "tf32" in tactic.lower():
        precision = "tf32"
    return Layer(name, tuple(nodes), multiplies, precision)


def _types(tensors: Any) -> list[str]:
    """Data types; TensorRT 10 tells them in words together with the format."""
    return [
        str(tensor.get("Datatype") or tensor.get("Format/Datatype") or "")
        for tensor in tensors or ()
        if isinstance(tensor, Mapping)
    ]


def _precision(told: str) -> str | None:
    return next((name for pattern, name in _TYPES if pattern.search(told)), None)
