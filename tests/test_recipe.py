"""Recipes are strict, say where they are wrong, and ship in working order."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, PipelineError, StorageError, UnknownNameError
from pipeline.recipe import LimitsSection, read_recipe, recipe_names
from pipeline.recipe_stages import resolve_limits
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
            ["latency_ms or latency_of_cream_14, not both"],
        ),
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


@pytest.mark.parametrize(
    ("given", "error"), [("dmo", UnknownNameError), ("no/such.yaml", StorageError)]
)
def test_a_recipe_that_is_not_there(workdir: Path, given: str, error: type[PipelineError]) -> None:
    with pytest.raises(error) as caught:
        read_recipe(given)
    assert "demo" in f"{caught.value.message} {caught.value.hint}"


def test_limits_resolve_to_milliseconds() -> None:
    profile = inputs().profile
    assert profile is not None
    limits = resolve_limits(LimitsSection(latency_of_cream_14=2.0), "host/x-fp32-b1", profile)
    assert limits.latency_ms == {"host/x-fp32-b1": 2.0 * profile.reference_latency_ms}
    assert resolve_limits(LimitsSection(macs=5), "host/x-fp32-b1", profile).latency_ms == {}
