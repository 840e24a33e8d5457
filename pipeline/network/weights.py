"""Files of weights: safetensors written and read, released checkpoints read without running code.

A released `.pth.tar` is a pickle, and a pickle can run anything when it is loaded. Only tensors,
plain containers and the `argparse.Namespace` that training scripts leave behind are accepted.
"""

from __future__ import annotations

import argparse
import io
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.errors import CheckpointError, StorageError
from pipeline.files.whole import storage_errors, write_atomic

SUFFIX = ".safetensors"
_EMA = "state_dict_ema"
_STATE = "state_dict"
_LISTED = 5
_FORBIDDEN_GLOBAL = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL ([\w.]+)")
_TORCH_PROTOCOL = 2

Weights = dict[str, Tensor]


def write_weights(path: Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Writes a module's parameters and buffers as safetensors, atomically.

    Raises:
        StorageError: The file cannot be written.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()
    }
    write_atomic(path, save(tensors, metadata=dict(metadata)))


def read_weights(path: Path) -> tuple[Weights, dict[str, str]]:
    """Reads a safetensors file.

    Returns:
        The tensors by name, and the file's metadata.

    Raises:
        StorageError: The file is missing or cannot be read.
        CheckpointError: It is not safetensors, or is cut short.
    """
    _require_file(path)
    try:
        with storage_errors(path), safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: is not a whole safetensors file: {error}", hint="copy or write it again"
        ) from None


def read_released(path: Path) -> tuple[Weights, str]:
    """Reads a checkpoint as the Cream code and timm write it.

    Args:
        path: A `.pth.tar` or `.pth` that holds `state_dict_ema`, `state_dict`, or weights alone.

    Returns:
        The tensors by name without `module.` prefixes, and what they were called in the file.
        The moving average is preferred where there is one.

    Raises:
        StorageError: The file is missing or cannot be read.
        CheckpointError: It is damaged, holds code, or holds no weights.
    """
    _require_file(path)
    content = _load_data_only(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: holds {type(content).__name__}; expected a checkpoint with `{_STATE}`"
        )
    for name in (_EMA, _STATE):
        if content.get(name):
            return _tensors_of(content[name], f"{path}: {name}"), name
    return _tensors_of(content, f"{path}"), "weights"


def load_exactly(module: nn.Module, weights: Weights, source: Path) -> None:
    """Copies weights into a module; nothing is changed unless all of them fit.

    Batch norm's counter of batches may be missing: older checkpoints have none, and nothing here
    depends on it.

    Raises:
        CheckpointError: Names are missing or unexpected, or shapes differ; lists the first of each.
    """
    own = module.state_dict()
    missing = [n for n in own if n not in weights and not n.endswith(".num_batches_tracked")]
    unexpected = [name for name in weights if name not in own]
    misshapen = [
        f"{name} {tuple(weights[name].shape)} where {tuple(own[name].shape)} is expected"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems = [
        _listed(what, names)
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{source}: does not fit the network: {'; '.join(problems)}",
            hint="check that the architecture and its num_classes are those of the checkpoint",
        )
    module.load_state_dict(weights, strict=False)


def _listed(what: str, names: list[str]) -> str:
    more = ", …" if len(names) > _LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:_LISTED])}{more})"


def _require_file(path: Path) -> None:
    if not path.is_file():
        kind = "is a folder, not a file of weights" if path.is_dir() else "does not exist"
        raise StorageError(f"checkpoint {path} {kind}")


def _load_data_only(path: Path) -> object:
    with storage_errors(path):
        data = path.read_bytes()
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # Said of any pickle that torch.save did not write; the refusal says it better.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            content: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # Damage surfaces as almost any exception, assertions included, depending on where it lies.
    except Exception as error:
        raise _refusal(path, data, str(error)) from error
    return content


def _refusal(path: Path, data: bytes, problem: str) -> CheckpointError:
    forbidden = _FORBIDDEN_GLOBAL.search(problem)
    if forbidden or _is_newer_pickle(data):
        what = f" ({forbidden[1]})" if forbidden else ""
        return CheckpointError(
            f"{path}: holds code{what} that is not loaded; expected tensors written by torch.save",
            hint="only use checkpoints you trust; save it again as a plain state_dict",
        )
    return CheckpointError(
        f"{path}: is not a whole checkpoint; expected what torch.save writes",
        hint="if it was downloaded or copied, do that again",
    )


def _is_newer_pickle(data: bytes) -> bool:
    """Whether it is a bare pickle of a protocol that torch.save does not use.

    Everything but the plainest values are instructions to run something there.
    """
    return len(data) > 1 and data[0] == pickle.PROTO[0] and data[1] > _TORCH_PROTOCOL


def _tensors_of(state: object, where: str) -> Weights:
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{where}: holds no weights")
    weights: Weights = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{where}: {name!r} is {type(value).__name__}; expected names and tensors only"
            )
        weights[name.removeprefix("module.")] = value
    return weights
