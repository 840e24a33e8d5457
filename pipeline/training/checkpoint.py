"""What a training run needs to go on after it was killed: one file, replaced as a whole.

The file holds weights, their moving average, the optimizer's state, what the learner keeps and how
far the run has come. Random numbers need not be kept; see `randomness`. Which layout a tensor has
in memory is no part of the file, but taken from what it is loaded into.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.errors import CheckpointError
from pipeline.files.whole import write_atomic
from pipeline.network.weights import read_weights
from pipeline.records.train import EpochRecord
from pipeline.training.averages import Average
from pipeline.training.learner import Learner, SavedState

_MODEL = "model/"
_OPTIMIZER = "optimizer/"
_AVERAGE = "average/"
_LEARNER = "learner/"
_VALUES = ("learner", "scaler", "updates")


def checkpoint_file(folder: Path) -> Path:
    """Where a run that trains in `folder` keeps its checkpoint."""
    return folder / "checkpoint" / "run.safetensors"


class Progressed(BaseModel):
    """How far a run had come.

    Attributes:
        epochs: The epochs done.
        steps: Steps done of the epoch after them.
        losses: Sum of the losses of those steps.
        seconds: Time taken, over all starts of the run.
        seconds_in_epoch: Part of it that belongs to the epoch after those done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: tuple[EpochRecord, ...] = ()
    steps: int = 0
    losses: float = 0.0
    seconds: float = 0.0
    seconds_in_epoch: float = 0.0


@dataclass(frozen=True)
class Trained:
    """Everything in a run that changes while it is trained.

    Attributes:
        model: Whose parameters the optimizer steps.
        optimizer: Its state holds tensors only.
        average: Of the weights, where one is kept.
        learner: Its state between rounds.
        scaler: Of the loss; its state is empty where it does not scale.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    learner: Learner
    scaler: torch.amp.GradScaler

    def save(self, path: Path, progressed: Progressed, *, inputs: str) -> None:
        """Replaces the checkpoint, atomically.

        Args:
            path: The file.
            progressed: How far the run has come.
            inputs: Digest of what the run was asked to do.

        Raises:
            StorageError: The file cannot be written.
        """
        state = self.learner.state()
        tensors = _named(_MODEL, self.model.state_dict()) | _named(_LEARNER, state.tensors)
        for name, parameter in self.model.named_parameters():
            kept = self.optimizer.state.get(parameter, {})
            tensors |= _named(f"{_OPTIMIZER}{name}/", kept)
        average = self.average.state() if self.average else SavedState()
        tensors |= _named(_AVERAGE, average.tensors)
        metadata = {
            "inputs": inputs,
            "progressed": progressed.model_dump_json(),
            "learner": json.dumps(dict(state.values)),
            "scaler": json.dumps(self.scaler.state_dict()),
            "updates": json.dumps(dict(average.values)),
        }
        # Contiguous: safetensors keeps values, not memory layout.
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_atomic(path, save(whole, metadata=metadata))

    def load(self, path: Path, *, inputs: str) -> Progressed:
        """Takes up a run where its checkpoint is.

        Args:
            path: The file; where it is missing, or is of a run that was asked something else,
                nothing is loaded.
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
            progressed = Progressed.model_validate_json(metadata["progressed"])
            self._take(tensors, {name: json.loads(metadata[name]) for name in _VALUES})
        except (KeyError, ValueError, ValidationError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: is no checkpoint of this run: {error}",
                hint="delete it to start the training over",
            ) from None
        return progressed

    def _take(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        self.model.load_state_dict(_below(tensors, _MODEL))
        _load_optimizer(self.model, self.optimizer, _below(tensors, _OPTIMIZER))
        if self.average:
            self.average.load(SavedState(_below(tensors, _AVERAGE), values["updates"]))
        if values["scaler"]:
            self.scaler.load_state_dict(values["scaler"])
        self.learner.load(SavedState(_below(tensors, _LEARNER), values["learner"]))


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _load_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters[parameter_name]
        if value.shape == parameter.shape:
            # The layout decides which kernels run, and so the last bit of what they compute.
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][key] = value.to(parameter.device)
