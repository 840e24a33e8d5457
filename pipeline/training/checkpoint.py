"""What a training run needs to go on after it was killed: one file, replaced after each epoch.

The file holds weights, buffers, the optimizer's state and the epochs done. Random numbers need
not be kept; see `randomness`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.errors import CheckpointError
from pipeline.files import write_atomic
from pipeline.records import EpochRecord
from pipeline.weights_file import read_weights

_MODEL = "model/"
_OPTIMIZER = "optimizer/"
_EPOCHS = TypeAdapter(tuple[EpochRecord, ...])


@dataclass(frozen=True)
class Progressed:
    """How far a run had come.

    Attributes:
        epochs: The epochs done.
        seconds: Time they took, over all starts of the run.
    """

    epochs: tuple[EpochRecord, ...] = ()
    seconds: float = 0.0


def save_progress(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progressed: Progressed,
    *,
    inputs: str,
) -> None:
    """Replaces the checkpoint, atomically.

    Args:
        path: The file.
        model: Whose parameters the optimizer steps.
        optimizer: Its state holds tensors only.
        progressed: How far the run has come.
        inputs: Digest of what the run was asked to do.

    Raises:
        StorageError: The file cannot be written.
    """
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{name}/{key}"] = value
    metadata = {
        "inputs": inputs,
        "epochs": _EPOCHS.dump_json(progressed.epochs).decode(),
        "seconds": json.dumps(progressed.seconds),
    }
    # Contiguous: safetensors keeps values, not memory layout.
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(whole, metadata=metadata))


def load_progress(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, inputs: str
) -> Progressed:
    """Takes up a run where its checkpoint is.

    Args:
        path: The file; where it is missing, or is of a run that was asked something else, nothing
            is loaded.
        model: Takes weights and buffers.
        optimizer: Takes its state.
        inputs: Digest of what the run is asked to do.

    Raises:
        CheckpointError: The file is damaged.
    """
    if not path.exists():
        return Progressed()
    tensors, metadata = read_weights(path)
    if metadata.get("inputs") != inputs:
        return Progressed()
    try:
        epochs = _EPOCHS.validate_json(metadata["epochs"])
        seconds = float(json.loads(metadata["seconds"]))
        model.load_state_dict(_below(tensors, _MODEL))
    except (KeyError, ValueError, ValidationError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: is no checkpoint of this run: {error}",
            hint="delete it to start the training over",
        ) from None
    _load_optimizer(model, optimizer, _below(tensors, _OPTIMIZER))
    return Progressed(epochs, seconds)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _load_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters[parameter_name]
        if value.shape == parameter.shape:
            # The layout decides which kernels run, and so the last bit of what they compute.
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][key] = value
