"""What a recipe may say about training. Nothing here needs torch, so recipes read fast."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FitSettings(BaseModel):
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: At the peak of the cycle.
        weight_decay: Decoupled (AdamW), on weights of convolutions and linear layers.
        label_smoothing: Share of the target spread over all classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=2)
    learning_rate: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)


class TrainSettings(FitSettings):
    """How the hypernetwork is trained; see `FitSettings`."""


class RetrainSettings(FitSettings):
    """How the chosen network is trained; see `FitSettings`.

    Attributes:
        dropout: Share of the classifier's inputs dropped.
        warm_start: Whether to start from the hypernetwork's weights instead of random ones. Off:
            cream-14 at 32 pixels reaches 90.2 % on search-validation in 4 epochs from random
            weights and 88.7 % from a hypernetwork's, with everything else the same.
    """

    dropout: float = Field(default=0.1, ge=0, lt=1)
    warm_start: bool = False


class ScoreSettings(BaseModel):
    """How a candidate of the search is scored.

    Attributes:
        images: Images of search-validation it is scored on; the same ones for every candidate.
        recalibration_images: Training images its batch-norm statistics are taken from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(default=2000, ge=1)
    recalibration_images: int = Field(default=1024, ge=2)
