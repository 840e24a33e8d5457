"""Recipes: one YAML file says what a run of the pipeline does.

A recipe is strict: an unknown key, a wrong type or a wrong unit is an error that names the line.
What it leaves out has a default. Recipes that ship are found by name, others by path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from pipeline.device.target import Target
from pipeline.errors import PipelineError, StorageError, UnknownNameError
from pipeline.files.whole import write_atomic
from pipeline.files.yaml_file import read_yaml
from pipeline.measure.protocol import TimingProtocol
from pipeline.search.settings import SearchSettings
from pipeline.space.search_space import RESOLUTIONS, SearchSpace, get_space
from pipeline.training.settings import RetrainSettings, ScoreSettings, TrainSettings

_RECIPES = Path(__file__).parent / "recipes"

_Positive = Annotated[float, Field(gt=0)]


def _form(value: object) -> str:
    return "by_target" if isinstance(value, dict) else "number"


_Forms = Annotated[
    Annotated[_Positive, Tag("number")] | Annotated[dict[str, _Positive], Tag("by_target")],
    # Told by its form first, an error is about the one that was meant.
    Discriminator(_form),
]
Latency = _Forms | None
"""On the recipe's target, or by target."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSection(_Section):
    """Which images.

    Attributes:
        dataset: `fashion-mnist`, `digits`, a folder of images, or a timm data set's name.
        max_train: Use only that many training images.
    """

    dataset: str
    max_train: int | None = Field(default=None, ge=1)


class SpaceSection(_Section):
    """Which networks.

    Attributes:
        name: Search space.
        resolution: Input side in pixels; or several in a list, which are searched as one. Left
            out, three that fit the images (`pipeline.recipe.sizes`).
        max_depth: Most blocks a stage, if fewer than the space allows.
    """

    name: str = "cream"
    resolution: int | tuple[int, ...] | None = None
    max_depth: int | None = None

    @field_validator("resolution", mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        sizes = given if isinstance(given, list | tuple) else [given]
        known = all(size in RESOLUTIONS for size in sizes)
        if given is not None and (not sizes or not known or len(set(sizes)) < len(sizes)):
            raise ValueError(
                f"expected one of {', '.join(map(str, RESOLUTIONS))}, or several different ones in "
                "a list"
            )
        return sizes[0] if len(sizes) == 1 else given

    @model_validator(mode="after")
    def _exists(self) -> SpaceSection:
        try:
            self.space()
        except PipelineError as error:
            raise ValueError(error.message) from None
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """The input sizes that are named, in pixels; none where the images decide."""
        given = self.resolution
        return (given,) if isinstance(given, int) else given or ()

    def space(self) -> SearchSpace:
        """The space, narrowed to the depth asked for."""
        return get_space(self.name).narrowed(max_depth=self.max_depth)


class LimitsSection(_Section):
    """What the network may cost; every limit given holds at once.

    Attributes:
        macs: Most multiply-accumulates for one image.
        macs_min: Fewest multiply-accumulates.
        params: Most parameters.
        latency_ms: Most milliseconds on the target; or on several, each by its name.
        latency_of_cream_14: The same, as a multiple of what the published cream-14 takes on the
            target, measured while profiling: a limit that travels. It takes that at the space's
            resolution, of several at the first; of three that fit the images, at the middle one.
        confidence: Probability with which a latency limit is to hold as predicted: the margin that
            is kept for the uncertainty of predictions. 0.5 keeps none.
    """

    macs: float | None = Field(default=None, gt=0)
    macs_min: float | None = Field(default=None, gt=0)
    params: float | None = Field(default=None, gt=0)
    latency_ms: Latency = None
    latency_of_cream_14: Latency = None
    confidence: float = Field(default=0.8, ge=0.5, lt=1)

    @field_validator("*", mode="before")
    @classmethod
    def _plain_number(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: cls._plain_number(each) for name, each in value.items()}
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                raise ValueError(
                    "a plain number is expected (macs and params count units, latency_ms counts "
                    "milliseconds), without a unit behind it"
                ) from None
        return value

    @field_validator("latency_ms", "latency_of_cream_14")
    @classmethod
    def _targets(cls, value: Latency) -> Latency:
        for name in value if isinstance(value, dict) else ():
            _check_target(name)
        return value

    @model_validator(mode="after")
    def _one_latency(self) -> LimitsSection:
        both = self.latencies_ms("").keys() & self.multiples("").keys()
        if both:
            raise ValueError("give latency_ms or latency_of_cream_14 of a target, not both")
        return self

    def latencies_ms(self, target: str) -> dict[str, float]:
        """Limits in milliseconds by target; a plain number is for the given one."""
        return _by_target(self.latency_ms, target)

    def multiples(self, target: str) -> dict[str, float]:
        """Limits as multiples of the reference by target; a plain number is for the given one."""
        return _by_target(self.latency_of_cream_14, target)


def _by_target(value: Latency, target: str) -> dict[str, float]:
    if value is None:
        return {}
    return value if isinstance(value, dict) else {target: value}


def _check_target(name: str) -> str:
    try:
        Target.parse(name)
    except PipelineError as error:
        raise ValueError(error.message) from None
    return name


class ProfileSection(_Section):
    """How the latency table is measured."""

    calibration_networks: int = Field(default=24, ge=8)
    protocol: TimingProtocol = TimingProtocol()


class VerifySection(_Section):
    """How many of the best candidates are built and timed at once, and how."""

    top_k: int = Field(default=5, ge=1)
    protocol: TimingProtocol = TimingProtocol()


OF_THE_SPACE = ("largest", "published", "random")


class TrialSection(_Section):
    """Which networks are trained for a while beside each other before one is trained to the end.

    Attributes:
        candidates: The best of the search that are within the limits as measured; 0: no trials, and
            the best of them is trained.
        controls: What stands beside them: networks of timm, each at the largest input size at which
            it is within the limits as measured; `published`, the nearest published Cream model,
            likewise; `largest`, the network with the most MACs within the limits; and `random`.
        budget: How many more are tried after the first rung, chosen by what it told of all
            candidates (`pipeline.trials.fusion`).
        train_best_control: Whether the best of those of timm is trained to the end as well.
    """

    candidates: int = Field(default=8, ge=0)
    controls: tuple[str, ...] = (
        *OF_THE_SPACE,
        "mobilenetv3_small_100",
        "mobilenetv3_large_100",
        "efficientnet_lite0",
        "mobilenetv4_conv_small",
        "lcnet_100",
    )
    budget: int = Field(default=0, ge=0)
    train_best_control: bool = True


class ExportSection(_Section):
    """How the model leaves.

    Attributes:
        batch: Fixed batch size; left out, the batch is dynamic.
        parity_images: Real images on which the exported model is compared with its source.
        precisions: What the model leaves in besides fp32, which it always does: fp16, int8. What a
            target of the benchmark reads is written in any case.
        calibration_images: Training images that int8 takes the ranges of activations from.
        accuracy_images: Images of search-validation, and of test, on which each file is run; left
            out, all.
        max_accuracy_drop_percent: Most percentage points of accuracy on search-validation that a
            file may be behind fp32.
    """

    batch: int | None = Field(default=None, ge=1)
    parity_images: int = Field(default=256, ge=1)
    precisions: tuple[Literal["fp32", "fp16", "int8"], ...] = ("fp32",)
    calibration_images: int = Field(default=256, ge=1)
    accuracy_images: int | None = Field(default=None, ge=1)
    max_accuracy_drop_percent: float = Field(default=1.0, ge=0)


class BenchmarkSection(_Section):
    """What is timed beside the model, and how.

    Attributes:
        references: timm networks and published Cream models to compare with, on the recipe's own
            target; the published Cream model nearest in MACs is always one.
        targets: Where the model is timed besides the recipe's own target, interleaved; of this
            machine.
    """

    references: tuple[str, ...] = ("mobilenetv3_small_100",)
    targets: tuple[str, ...] = ()
    protocol: TimingProtocol = TimingProtocol(min_sweeps=12, runs=56, max_runs=56)

    @field_validator("targets")
    @classmethod
    def _readable(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for name in targets:
            _check_target(name)
        return targets


class Recipe(_Section):
    """A whole run.

    Attributes:
        train_limits: What a path may cost to be trained; left out, `limits`. Wider ones let one
            hypernetwork serve several searches.
    """

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    seed: int = 0
    data: DataSection
    space: SpaceSection
    train: TrainSettings
    retrain: RetrainSettings
    target: str = "host/onnxruntime-fp32-b1-t1"
    allow_foreign: bool = False
    limits: LimitsSection = LimitsSection()
    train_limits: LimitsSection | None = None
    profile: ProfileSection = ProfileSection()
    score: ScoreSettings = ScoreSettings()
    search: SearchSettings = SearchSettings()
    verify: VerifySection = VerifySection()
    trial: TrialSection = TrialSection()
    export: ExportSection = ExportSection()
    benchmark: BenchmarkSection = BenchmarkSection()

    @model_validator(mode="before")
    @classmethod
    def _with_sizes_of_training(cls, given: Any) -> Any:
        """Recipes once had the space's other sizes in `train.resolutions`: these still read."""
        match given:
            case {"space": {"resolution": first}, "train": {"resolutions": [_, *_] as others}}:
                sizes = dict.fromkeys([*(first if isinstance(first, list) else [first]), *others])
                space = {**given["space"], "resolution": list(sizes)}
                return {**given, "space": space, "train": {**given["train"], "resolutions": []}}
        return given

    @field_validator("train")
    @classmethod
    def _sizes_in_one_place(cls, train: TrainSettings) -> TrainSettings:
        if train.resolutions:
            raise ValueError(
                "resolutions adds to a space.resolution that is not given; name all input sizes "
                "in space.resolution, or leave both out for three that fit the images"
            )
        return train

    @field_validator("target")
    @classmethod
    def _readable(cls, name: str) -> str:
        return _check_target(name)

    @property
    def targets(self) -> tuple[str, ...]:
        """Its target, then the others that have a limit."""
        limited = (self.limits.latencies_ms(self.target), self.limits.multiples(self.target))
        return tuple(dict.fromkeys([self.target, *limited[0], *limited[1]]))

    @property
    def benchmark_targets(self) -> tuple[str, ...]:
        """Where the exported model is timed, its own target first."""
        return tuple(dict.fromkeys([self.target, *self.benchmark.targets]))


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that ship."""
    return tuple(sorted(path.stem for path in _RECIPES.glob("*.yaml")))


def read_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name_or_path: A shipped recipe's name, or a YAML file.
        overrides: `dotted.key=value` assignments laid over it.

    Raises:
        UnknownNameError: No recipe has that name.
        StorageError: The file is missing or cannot be read.
        ConfigError: It is no recipe; names line and key.
    """
    if name_or_path in recipe_names():
        return read_yaml(_RECIPES / f"{name_or_path}.yaml", Recipe, overrides)
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or "/" in name_or_path:
        if not path.is_file():
            raise StorageError(
                f"recipe {name_or_path} is no file",
                hint=f"recipes that ship: {', '.join(recipe_names())}",
            )
        return read_yaml(path, Recipe, overrides)
    raise UnknownNameError.of("recipe", name_or_path, recipe_names())


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Writes a recipe with every default filled in."""
    write_atomic(path, yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
