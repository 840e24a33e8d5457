"""Recipes are strict, say where they are wrong, and ship in working order."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, PipelineError, StorageError, UnknownNameError, UsageError
from pipeline.recipe.recipe import Recipe, read_recipe, recipe_names, save_recipe
from pipeline.recipe.request import resolve_limits
from pipeline.recipe.stages import stages
from pipeline.records.candidates import Limits
from pipeline.records.input_sizes import InputSizes
from pipeline.records.profile import ProfileRecord
from pipeline.training.settings import ScoreSettings
from tests.report.made_up import inputs

SMALL = """\
schema_version: 1
name: small
data: {dataset: digits}
space: {name: cream, resolution: 32}
train: {epochs: 1}
retrain: {epochs: 1}
"""


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_read_and_carry_their_file_name(name: str) -> None:
    assert read_recipe(name).name == name


def test_three_recipes_ship() -> None:
    assert set(recipe_names()) == {"demo", "fashion-mnist", "imagenet"}


def test_defaults_are_filled_in(workdir: Path) -> None:
    Path("small.yaml").write_text(SMALL)
    recipe = read_recipe("small.yaml")
    assert recipe.target == "host/onnxruntime-fp32-b1-t1"
    assert recipe.space.space().max_depth == 6


def test_overrides_win(workdir: Path) -> None:
    recipe = read_recipe("demo", ["retrain.epochs=3", "limits.macs=10e6"])
    assert recipe.retrain.epochs == 3
    assert recipe.limits.macs == 10e6


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("limts: {macs: 1}", ["small.yaml:7", "unknown key 'limts'", "did you mean 'limits'"]),
        ("limits:\n  latency: 6", ["small.yaml:8", "latency_ms"]),
        ("limits:\n  latency_ms: 6 s", ["small.yaml:8", "milliseconds", "6 s"]),
        ("limits:\n  latency_us: 6000", ["small.yaml:8", "latency_us", "latency_ms"]),
        ("limits:\n  macs: 300 M", ["small.yaml:8", "plain number", "300 M"]),
        ("limits: {latency_ms: -1}", ["small.yaml:7", "greater than 0"]),
        (
            "limits:\n  latency_ms: 1\n  latency_of_cream_14: 1",
            ["latency_ms or latency_of_cream_14 of a target, not both"],
        ),
        (
            "limits:\n  latency_ms: {h/x-fp32-b1: 1}\n  latency_of_cream_14: {h/x-fp32-b1: 1}",
            ["of a target, not both"],
        ),
        ("limits:\n  latency_ms: {gpu0: 1}", ["small.yaml:8", "DEVICE/RUNTIME"]),
        ("limits:\n  latency_ms: {host/x-fp32-b1: 6 s}", ["small.yaml:8", "milliseconds"]),
        ("limits: {confidence: 1.5}", ["small.yaml:7", "confidence"]),
        ("search: {generations: 4}", ["small.yaml:7", "unknown key 'search.generations'"]),
        ("target: gpu0", ["small.yaml:7", "DEVICE/RUNTIME"]),
        ("seed: x", ["small.yaml:7", "seed"]),
        ("search: {population: 0}", ["small.yaml:7", "population"]),
        ("name: again", ["small.yaml:7", "'name' stands twice"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(workdir: Path, added: str, words: list[str]) -> None:
    Path("small.yaml").write_text(SMALL + added + "\n")
    with pytest.raises(ConfigError) as caught:
        read_recipe("small.yaml")
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("{name: creme, resolution: 32}", "unknown search space 'creme'"),
        ("{name: cream, resolution: 100}", "32, 64, 96"),
        ("{name: cream, resolution: [64, 100]}", "32, 64, 96"),
        ("{name: cream, resolution: [64, 64]}", "several different ones"),
        ("{name: cream, resolution: []}", "several different ones"),
        ("{name: cream, resolution: 32 px}", "32, 64, 96"),
        ("{name: cream, resolution: 32, max_depth: 9}", "max_depth 9"),
    ],
)
def test_a_space_that_is_not_there_is_told_with_its_line(
    workdir: Path, space: str, words: str
) -> None:
    text = SMALL.replace("{name: cream, resolution: 32}", space)
    Path("small.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"small\.yaml:4") as caught:
        read_recipe("small.yaml")
    assert words in caught.value.message


def sized(space: str, train: str = "{epochs: 1}") -> Recipe:
    text = SMALL.replace("{name: cream, resolution: 32}", space).replace("{epochs: 1}", train, 1)
    Path("small.yaml").write_text(text)
    return read_recipe("small.yaml")


@pytest.mark.parametrize(
    ("resolution", "sizes"), [("64", (64,)), ("[64]", (64,)), ("[96, 32]", (96, 32)), ("null", ())]
)
def test_input_sizes(workdir: Path, resolution: str, sizes: tuple[int, ...]) -> None:
    recipe = sized(f"{{resolution: {resolution}}}")
    assert recipe.space.sizes == sizes
    save_recipe(recipe, Path("saved.yaml"))
    assert read_recipe("saved.yaml") == recipe


def test_sizes_where_recipes_once_had_them(workdir: Path) -> None:
    now = sized("{resolution: [64, 32, 96]}")
    assert sized("{resolution: 64}", "{epochs: 1, resolutions: [32, 64, 96]}") == now
    for name in ("profile", "train"):
        (stage,) = [stage for stage in stages() if stage.name == name]
        assert stage.settings(now)["space"]["resolution"] == 64
    assert stage.settings(now)["train"]["resolutions"] == [32, 96]


def test_other_sizes_than_one_that_is_not_there(workdir: Path) -> None:
    with pytest.raises(ConfigError, match=r"small\.yaml:5: train: .* name all input sizes"):
        sized("{name: cream}", "{epochs: 1, resolutions: [32]}")


@pytest.mark.parametrize(
    ("given", "error"), [("dmo", UnknownNameError), ("no/such.yaml", StorageError)]
)
def test_a_recipe_that_is_not_there(workdir: Path, given: str, error: type[PipelineError]) -> None:
    with pytest.raises(error) as caught:
        read_recipe(given)
    assert "demo" in f"{caught.value.message} {caught.value.hint}"


CPU, GPU = "host/x-fp32-b1", "orin/tensorrt-fp16-b1"
AT_32 = InputSizes(resolutions=(32,))


def a_recipe(limits: str) -> Recipe:
    Path("small.yaml").write_text(SMALL + f"target: {CPU}\nlimits: {limits}\n")
    return read_recipe("small.yaml")


def measured(target: str, reference_ms: float) -> ProfileRecord:
    profile = inputs().profile
    assert profile is not None
    changes = {"target": target, "resolution": 32, "reference_latency_ms": reference_ms}
    return profile.model_copy(update=changes)


def test_limits_resolve_to_milliseconds(workdir: Path) -> None:
    recipe = a_recipe("{latency_of_cream_14: 2.0, confidence: 0.9}")
    limits = resolve_limits(recipe.limits, recipe, AT_32, measured(CPU, 1.5))
    assert limits == Limits(latency_ms={CPU: 3.0}, confidence=0.9)
    recipe = a_recipe("{macs: 5}")
    assert resolve_limits(recipe.limits, recipe, AT_32, None) == Limits(macs=5, confidence=0.8)


def test_limits_on_several_targets(workdir: Path) -> None:
    recipe = a_recipe(
        f"{{latency_ms: {{{GPU}: 1.5}}, latency_of_cream_14: {{{CPU}: 2.0}}, macs: 3e8}}"
    )
    assert recipe.targets == (CPU, GPU)
    limits = resolve_limits(recipe.limits, recipe, AT_32, measured(CPU, 1.5))
    assert limits.latency_ms == {CPU: 3.0, GPU: 1.5}


def test_a_multiple_follows_the_target_it_was_measured_on(workdir: Path) -> None:
    recipe = a_recipe(f"{{latency_of_cream_14: {{{CPU}: 2.0, {GPU}: 3.0}}}}")
    profiled = measured(CPU, 1.5)
    with pytest.raises(UsageError, match=GPU) as caught:
        resolve_limits(recipe.limits, recipe, AT_32, profiled)
    assert "limits.latency_ms" in str(caught.value.hint)
    both = profiled.model_copy(update={"also": (measured(GPU, 0.5),)})
    assert resolve_limits(recipe.limits, recipe, AT_32, both).latency_ms == {CPU: 3.0, GPU: 1.5}


def test_the_number_of_workers_makes_no_other_search(workdir: Path) -> None:
    (search,) = [stage for stage in stages() if stage.name == "search"]
    recipe = a_recipe("{macs: 5}")
    one, two = (
        recipe.model_copy(update={"score": ScoreSettings(workers=workers)}) for workers in (1, 2)
    )
    assert search.settings(one) == search.settings(two)
    other = recipe.model_copy(update={"score": ScoreSettings(images=7)})
    assert search.settings(one) != search.settings(other)
