"""What a recipe may say about training. Nothing here needs torch, so recipes read fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.space import check_resolution

Method = Literal["single-path", "cream", "sandwich"]


class FitSettings(BaseModel):
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step, over all processes together.
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


class MatchingSettings(BaseModel):
    """How the matching network learns who teaches whom; see `pipeline.training.matching`.

    Attributes:
        images: Training images held out for it.
        probes: How many of these a path's behaviour is told by.
        every: Steps between two updates.
        learning_rate: Of its Adam optimizer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(default=1000, ge=2)
    probes: int = Field(default=8, ge=1)
    every: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)


class TeachingSettings(BaseModel):
    """How paths teach each other; see `pipeline.training.cream`.

    Attributes:
        board_size: Prioritized paths at each input size (K in the paper).
        start_share: Share of the steps before paths enter the board; where operators grow later
            than that, it is then.
        temperature: Of the distillation loss.
        matching: How the teacher is chosen; None: the most accurate of the board teaches, with
            half the weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    board_size: int = Field(default=10, ge=1)
    start_share: float = Field(default=1 / 6, ge=0, lt=1)
    temperature: float = Field(default=1.0, gt=0)
    matching: MatchingSettings | None = MatchingSettings()


class TrainSettings(FitSettings):
    """How the hypernetwork is trained; see `FitSettings`.

    Attributes:
        method: `single-path`: each step trains one random path. `cream`: the paper's, a prioritized
            path teaches it. `sandwich`: the largest, the smallest and a random path, taught by
            the largest.
        growth_share: Share of the steps in which only the operators are trained that the others
            then grow from; 0: all are trained from the start.
        operator_prior: Weights of operators when paths are drawn; 1 where not named.
        resolutions: Input sizes to train at besides that of the space.
        teaching: For `cream`, and the temperature for `sandwich` too.
        ema_decay: Of the moving average of the shared weights that is kept as the result; 0 keeps
            the weights themselves.
        sync_batch_norm: Whether batch norm sees the images of all processes (GPUs only).
        compile: Whether blocks are compiled before they are trained.
    """

    method: Method = "single-path"
    growth_share: float = Field(default=0.4, ge=0, lt=1)
    operator_prior: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    resolutions: tuple[int, ...] = ()
    teaching: TeachingSettings = TeachingSettings()
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    sync_batch_norm: bool = False
    compile: bool = False

    @property
    def matching_images(self) -> int:
        """Training images to hold out for the matching network."""
        matching = self.teaching.matching if self.method == "cream" else None
        return matching.images if matching else 0

    def sizes(self, resolution: int) -> tuple[int, ...]:
        """All input sizes, that of the space first.

        Raises:
            ArchitectureError: One is not a size the spaces are defined at.
        """
        for size in self.resolutions:
            check_resolution(size)
        return tuple(dict.fromkeys((resolution, *self.resolutions)))


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
        workers: Processes that score at once; the scores do not depend on it. None: one for each
            CPU core this process may use, at most 8; on a GPU one. Each holds the hypernetwork and
            the images in memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(default=2000, ge=1)
    recalibration_images: int = Field(default=1024, ge=2)
    workers: int | None = Field(default=None, ge=1)
