"""Who teaches a network that is retrained: a larger path of the hypernetwork, or one of timm's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import CheckpointError, DataError, StageError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.network.timm_networks import check_timm_name
from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.recalibration import recalibrate_batch_norm
from pipeline.training.settings import HYPERNETWORK, TeacherSettings

_RECALIBRATION_IMAGES = 1024
_BATCH = 128


@dataclass(frozen=True)
class TeacherNetwork:
    """Who teaches.

    Attributes:
        name: For people.
        network: Maps the student's images to logits; in evaluation mode.
    """

    name: str
    network: nn.Module


def larger_path(candidates: Sequence[Candidate], student: Architecture) -> Architecture:
    """The hypernetwork's best path that is larger than the student.

    Args:
        candidates: Paths with what the hypernetwork's weights reach on search-validation.
        student: One of them, or of their space.

    Raises:
        StageError: None of the student's input size has more multiply-accumulates.
    """
    macs = next((it.macs for it in candidates if it.architecture == student), 0)
    larger = {
        it.architecture: it.quality
        for it in candidates
        if it.macs > macs
        and it.quality is not None
        and it.architecture.resolution == student.resolution
    }
    if not larger:
        raise StageError(
            f"no path that the search scored is larger than {student.short} "
            f"({macs / 1e6:.2f} MMACs), so the hypernetwork has no teacher for it",
            hint="leave retrain.teacher out, or name a network of timm: "
            "--set 'retrain.teacher={source: NAME, weights: FILE}'",
        )
    return max(larger, key=larger.__getitem__)


def path_as_teacher(
    supernet: Supernet, architecture: Architecture, data: ImageData
) -> TeacherNetwork:
    """A path of the hypernetwork, its batch-norm statistics taken anew from training images.

    Args:
        supernet: Its statistics of that path are changed.
        architecture: The path.
        data: At the path's input size.

    Raises:
        ArchitectureError: The hypernetwork does not hold it.
        DataError: An image cannot be read.
    """
    images = data.sample("train", _RECALIBRATION_IMAGES)
    # Of equal size, as each counts alike.
    parts = images.tensor_split(-(-len(images) // _BATCH))
    recalibrate_batch_norm(supernet, architecture, parts)
    network = supernet.subnet(architecture).eval()
    return TeacherNetwork(f"hypernetwork, {architecture.short}", network)


def check_teacher(settings: TeacherSettings) -> None:
    """Refuses a teacher that cannot be there when it is needed.

    Raises:
        UnknownNameError: timm has no network of that name.
        CheckpointError: There is no such file of weights.
    """
    if settings.source == HYPERNETWORK:
        return
    check_timm_name(settings.source, "teacher", (HYPERNETWORK,))
    if settings.weights and not Path(settings.weights).is_file():
        raise CheckpointError(
            f"{settings.weights}: is no file; expected weights of {settings.source}",
            hint="give a checkpoint of timm: --set retrain.teacher.weights=FILE",
        )


def timm_as_teacher(settings: TeacherSettings, data: ImageData) -> TeacherNetwork:
    """A network of timm that takes the student's images.

    Args:
        settings: Its name, and its weights where they are not timm's own.
        data: What the student is trained on.

    Raises:
        UnknownNameError, CheckpointError: See `check_teacher`.
        CheckpointError: The weights do not load, or cannot be fetched.
        DataError: It has other classes than the images.
    """
    check_teacher(settings)
    network = _loaded(settings, data.num_classes)
    if network.num_classes != data.num_classes:
        raise DataError(
            f"{settings.source} as timm publishes it has {network.num_classes} classes; "
            f"{data.record.name} has {data.num_classes}",
            hint="train it on these images and give the file: "
            f"--set 'retrain.teacher={{source: {settings.source}, weights: FILE}}'",
        )
    return TeacherNetwork(settings.source, _Adapted(network, data))


def _loaded(settings: TeacherSettings, num_classes: int) -> nn.Module:
    name, path = settings.source, Path(settings.weights) if settings.weights else None
    try:
        if path is None:
            return timm.create_model(name, pretrained=True).eval()
        return timm.create_model(name, checkpoint_path=path, num_classes=num_classes).eval()
    except (RuntimeError, OSError, KeyError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path or settings.source}: these weights of {settings.source} do not load: {reason}",
            hint="give a checkpoint of timm: --set retrain.teacher.weights=FILE",
        ) from None


class _Adapted(nn.Module):
    """Brings the student's images to the size and the scale a network of timm was trained with."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, data: ImageData) -> None:
        super().__init__()
        config = resolve_model_data_config(network)
        how = data.record.preprocessing
        std = torch.tensor(config["std"])
        self.network = network
        self.size = config["input_size"][1:]
        shift = (torch.tensor(how.mean) - torch.tensor(config["mean"])) / std
        self.register_buffer("scale", (torch.tensor(how.std) / std).view(1, 3, 1, 1))
        self.register_buffer("shift", shift.view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        images = images * self.scale + self.shift
        if images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", align_corners=False)
        logits: Tensor = self.network(images)
        return logits
