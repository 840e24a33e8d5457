"""Strict YAML: every mistake is named with its line."""

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import ConfigError, StorageError
from pipeline.files.yaml_file import parse_yaml, read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Train(_Strict):
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = 0.1


class Step(_Strict):
    name: str


class Recipe(_Strict):
    name: str
    resolution: int = 32
    train: Train = Train()
    extra: Train | None = None
    steps: tuple[Step, ...] = ()


def parse(text, *overrides):
    return parse_yaml(text, Recipe, source="recipe.yaml", overrides=overrides)


GOOD = """\
# a comment
name: demo
train:
  epochs: 4
steps:
  - {name: one}
  - name: two
"""


def test_a_good_file():
    recipe = parse(GOOD)
    assert recipe == Recipe(
        name="demo", train=Train(epochs=4), steps=(Step(name="one"), Step(name="two"))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nresolutoin: 64\n", "recipe.yaml:2: unknown key 'resolutoin'; did you mean "
         "'resolution'?"),
        ("name: x\ntrain:\n  epochs: 3\n  epoch: 4\n", "recipe.yaml:4: unknown key 'train.epoch'; "
         "did you mean 'epochs'?"),
        ("name: x\nextra:\n  epoch: 4\n", "recipe.yaml:3: unknown key 'extra.epoch'; did you mean "
         "'epochs'?"),
        ("name: x\nxyzzy: 1\n", "recipe.yaml:2: unknown key 'xyzzy' known: "),
        ("resolution: 32\n", "key 'name' is missing"),
        ("name: x\nsteps:\n  - name: one\n  - {}\n", "recipe.yaml:4: key 'steps.1.name'"),
        ("name: x\nname: y\n", "recipe.yaml:2: key 'name' stands twice"),
        ("name: x\ntrain: {epochs: 1, epochs: 2}\n", "recipe.yaml:2: key 'epochs' stands twice"),
        ("name: x\n\nresolution: big\n", "recipe.yaml:3: resolution: "),
        ("name: x\nresolution: 6 ms\n", "given '6 ms'"),
        ("name: x\ntrain: 3\n", "recipe.yaml:2: train: "),
        ("name: x\ntrain:\n  epochs: 0\n", "recipe.yaml:3: train.epochs: "),
        ("name: x\ntrain: [\n", "recipe.yaml:3: "),
        ("name: x\n\tresolution: 3\n", "recipe.yaml:2: "),
        ("name: 'x\n", "recipe.yaml:"),
        ("- a\n- b\n", "recipe.yaml: expected keys and values, found list"),
        ("just words\n", "recipe.yaml: expected keys and values, found str"),
        ("", "recipe.yaml: expected keys and values, found NoneType"),
        ("name: \x00\n", "recipe.yaml"),
        ("name: !!python/object/apply:os.getcwd []\n", "recipe.yaml:1: "),
        ("name: x\nresolution: 2024-13-45\n", "recipe.yaml: "),
        ("name: x\nresolution: " + "9" * 5000 + "\n", "recipe.yaml: "),
        ("name: " + "[" * 3000 + "\n", "recipe.yaml"),
        ("name: x\nsteps: &loop\n  - *loop\n", "recipe.yaml"),
        ("name: x\n? [a]\n: 3\n", "recipe.yaml:2: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert message in caught.value.message


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse("resolution: x\ntrain: {epochs: 0, lr: 1}\n")
    assert len(caught.value.message.splitlines()) == 4


@pytest.mark.parametrize(
    ("override", "recipe"),
    [
        ("resolution=64", Recipe(name="x", resolution=64)),
        ("train.epochs=9", Recipe(name="x", train=Train(epochs=9))),
        (" train.learning_rate = 1.5", Recipe(name="x", train=Train(learning_rate=1.5))),
        ("train={epochs: 7}", Recipe(name="x", train=Train(epochs=7))),
        ("name='with = sign'", Recipe(name="with = sign")),
        ("steps=[{name: one}]", Recipe(name="x", steps=(Step(name="one"),))),
    ],
)
def test_an_override_is_laid_over_the_file(override, recipe):
    assert parse("name: x\n", override) == recipe


def test_the_last_override_wins():
    assert parse(GOOD, "train.epochs=5", "train.epochs=6").train.epochs == 6


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("resolution", "expected key=value"),
        ("=3", "expected key=value"),
        ("", "expected key=value"),
        ("resolution=[", "the value is not YAML"),
        ("resolution=2024-13-45", "the value is not YAML"),
        ("name.first=x", "'name' holds a value, not keys"),
        ("train.epoch=3", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("train.epochs=x", "train.epochs: "),
        ("trian.epochs=3", "unknown key 'trian'; did you mean 'train'?"),
    ],
)
def test_a_wrong_override_is_refused(override, words):
    with pytest.raises(ConfigError) as caught:
        parse("name: x\n", override)
    assert words in caught.value.message


def test_a_file_reads_and_a_missing_one_does_not(tmp_path):
    path = tmp_path / "recipe.yaml"
    with pytest.raises(StorageError, match=r"recipe\.yaml: cannot be read: No such file"):
        read_yaml(path, Recipe)
    path.write_text(GOOD)
    assert read_yaml(path, Recipe, ["name=other"]).name == "other"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(StorageError, match="cannot be read"):
        read_yaml(path, Recipe)
