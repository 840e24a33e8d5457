"""What a recipe may say about training. Nothing here needs torch, so recipes read fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.space.search_space import check_resolution

Method = Literal["single-path", "cream", "sandwich"]
Sharing = Literal["separate", "entangled"]
RetrainMethod = Literal["short", "paper"]
# Those of timm that keep all their state by parameter, as tensors: a checkpoint holds no other.
Optimizer = Literal["adamw", "lion", "nadamw", "rmsproptf", "sgd"]

HYPERNETWORK = "hypernetwork"
_SAID_EARLIER = ("probes", "every", "learning_rate")

# Held-out images that paths of the hypernetwork are compared on: fewer, and batch norm over them
# would be noise.
SHARED_IMAGES = 128


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
    """How the matching network learns who teaches whom (`training.hypernetwork.matching`).

    How often and how fast follows from the number of steps.

    Attributes:
        images: Training images held out for it; paths are compared on the first 128 of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(default=1000, ge=SHARED_IMAGES)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, given: object) -> object:
        """What follows from the number of steps now was said then."""
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if key not in _SAID_EARLIER}


class TeachingSettings(BaseModel):
    """How paths teach each other; see `pipeline.training.hypernetwork.cream`.

    Attributes:
        board_size: Prioritized paths at each input size (K in the paper).
        start_share: Share of the steps before paths enter the board.
        temperature: Of the distillation loss.
        matching: How the teacher is chosen; None: the best of the board teaches, with half the
            weight.
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
            path teaches it. `sandwich`: the largest, the smallest and two random paths, taught by
            the largest.
        sharing: `entangled`: the operators of a slot share weights. `separate`: each has its own,
            as in the paper.
        operator_prior: Weights of operators when paths are drawn; 1 where not named. Depths stay
            equally likely.
        resolutions: Input sizes to train at besides that of the data; recipes name all of them in
            `space.resolution`.
        teaching: For `cream`, and the temperature for `sandwich` too.
        ema_decay: Of the moving average of the shared weights that is kept as the result; 0 keeps
            the weights themselves.
        sync_batch_norm: Whether batch norm sees the images of all processes (GPUs only).
        compile: Whether blocks are compiled before they are trained.
    """

    method: Method = "single-path"
    sharing: Sharing = "entangled"
    operator_prior: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    resolutions: tuple[int, ...] = ()
    teaching: TeachingSettings = TeachingSettings()
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    sync_batch_norm: bool = False
    compile: bool = False

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, given: object) -> object:
        """Hypernetworks whose operators grew out of the smallest had separate weights."""
        if not isinstance(given, dict) or "growth_share" not in given:
            return given
        rest = {key: value for key, value in given.items() if key != "growth_share"}
        return {"sharing": "separate", **rest}

    @property
    def matching_images(self) -> int:
        """Training images to hold out for the board and the matching network."""
        if self.method != "cream":
            return 0
        matching = self.teaching.matching
        return matching.images if matching else SHARED_IMAGES

    def sizes(self, resolution: int) -> tuple[int, ...]:
        """All input sizes, that of the data first.

        Raises:
            ArchitectureError: One is not a size the spaces are defined at.
        """
        for size in self.resolutions:
            check_resolution(size)
        return tuple(dict.fromkeys((resolution, *self.resolutions)))


class TeacherSettings(BaseModel):
    """Who teaches the chosen network while it is trained (`training.retraining.teacher_network`).

    Attributes:
        source: `hypernetwork`: its most accurate path that is larger than the network. Otherwise
            the name of a network of timm.
        weights: Checkpoint of the network of timm, trained on these classes; None: what timm
            publishes for it, which has to have as many classes.
        weight: Share of the loss that the teacher's outputs decide; the labels decide the rest.
        temperature: That both outputs are softened by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "hypernetwork"
    weights: str | None = None
    weight: float = Field(default=0.5, gt=0, le=1)
    temperature: float = Field(default=2.0, gt=0)

    @model_validator(mode="after")
    def _weights_of_timm(self) -> TeacherSettings:
        if self.weights and self.source == HYPERNETWORK:
            raise ValueError("the hypernetwork has its own weights; leave `weights` out")
        return self


class RetrainSettings(FitSettings):
    """How the chosen network is trained; see `FitSettings`.

    What is left out has the value of the method.

    Attributes:
        method: `short`: for a small budget: AdamW, one cycle, light augmentation. `paper`: that of
            *Cream of the Crop*: RMSProp, RandAugment, random erasing, a slow moving average; its
            learning rate is that of the paper for 1024 images a step, and follows `batch_size`.
        optimizer: One of timm's, by its name there.
        warmup_share: Share of the steps in which the learning rate rises.
        accumulate: Parts that a batch is computed in, one after the other, for want of memory;
            batch norm sees a part at a time.
        dropout: Share of the classifier's inputs dropped.
        ema_decay: Of the moving average of weights and statistics that is kept as the result; the
            decay rises to it. 0 keeps the weights themselves.
        rand_augment: timm's description of RandAugment, e.g. `rand-m9-mstd0.5`; None for none.
        random_erasing: Probability that a rectangle of an image is replaced by noise.
        mixup: Alpha of mixing two images; 0 for none.
        cutmix: Alpha of pasting a part of one image into another; 0 for none.
        warm_start: Whether to start from the hypernetwork's weights instead of random ones.
        teacher: Who teaches besides the labels; None for nobody.
        sync_batch_norm: Whether batch norm sees the images of all processes (GPUs only).
    """

    method: RetrainMethod = "short"
    optimizer: Optimizer = "adamw"
    warmup_share: float = Field(default=0.2, ge=0, lt=1)
    accumulate: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    rand_augment: str | None = Field(default=None, pattern=r"^rand(-[a-z]+[0-9.]*)*$")
    random_erasing: float = Field(default=0.0, ge=0, le=1)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    warm_start: bool = False
    teacher: TeacherSettings | None = None
    sync_batch_norm: bool = False

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: object) -> object:
        if not isinstance(given, dict) or given.get("method") != "paper":
            return given
        filled = {**_PAPER, **given}
        if "learning_rate" not in given and isinstance(filled["batch_size"], int):
            filled["learning_rate"] = _PAPER_LEARNING_RATE * filled["batch_size"]
        return filled

    @model_validator(mode="after")
    def _parts(self) -> RetrainSettings:
        images = 2 if self.mixup or self.cutmix else 1
        if self.batch_size % (self.accumulate * images):
            pairs = ", each of pairs to mix" if images == 2 else ""
            raise ValueError(
                f"batch_size {self.batch_size} does not divide into accumulate = "
                f"{self.accumulate} equal parts{pairs}"
            )
        return self

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, and their labels with them."""
        return self.mixup > 0 or self.cutmix > 0


# As in the released configuration of the paper.
_PAPER: dict[str, object] = {
    "epochs": 500,
    "batch_size": 1024,
    "optimizer": "rmsproptf",
    "weight_decay": 1e-5,
    "warmup_share": 3 / 500,
    "dropout": 0.2,
    "ema_decay": 0.9999,
    "rand_augment": "rand-m9-mstd0.5",
    "random_erasing": 0.2,
}
_PAPER_LEARNING_RATE = 0.064 / 1024  # an image of the batch


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
