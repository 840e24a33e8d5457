"""Teachers: the hypernetwork's best larger path, and networks of timm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from pipeline.errors import CheckpointError, DataError, StageError, UnknownNameError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.retraining.teacher_network import (
    larger_path,
    path_as_teacher,
    timm_as_teacher,
)
from pipeline.training.settings import TeacherSettings
from tests.training.hypernetwork.scored_paths import scored

NAME = "mobilenetv3_small_050"


def with_first_stage(small: Architecture, *operators: str) -> Architecture:
    return small.model_copy(update={"stages": (operators, *small.stages[1:])})


def test_the_most_accurate_larger_path_teaches(small: Architecture):
    large = with_first_stage(small, "mb6_5x5")
    larger = with_first_stage(small, "mb6_5x5", "mb6_5x5")
    candidates = [scored(small, 99.0), scored(large, 80.0), scored(larger, 70.0)]
    assert larger_path(candidates, small) == large
    candidates = [scored(small, 60.0), scored(large, 70.0), scored(larger, 80.0)]
    assert larger_path(candidates, small) == larger
    assert larger_path([*candidates, scored(larger.model_copy(update={"resolution": 64}), 99.0)],
                       small) == larger  # fmt: skip


def test_where_no_path_is_larger_there_is_no_teacher(small: Architecture):
    large = with_first_stage(small, "mb6_5x5")
    with pytest.raises(StageError, match="no path that the search scored is larger"):
        larger_path([scored(small, 60.0), scored(large, 70.0)], large)
    with pytest.raises(StageError):
        larger_path([scored(small, 60.0), scored(large, None)], small)


def test_a_path_teaches_with_statistics_of_its_own(
    space: SearchSpace, small: Architecture, digits: ImageData
):
    """Statistics gathered over many paths fit none of them."""
    taught = path_as_teacher(Supernet(space, 10, seed=0), small, digits)
    assert taught.name == f"hypernetwork, {small.short}"
    teacher = taught.network
    assert not teacher.training
    first = teacher.get_submodule("bn1")
    assert not torch.allclose(first.running_mean, torch.zeros_like(first.running_mean))
    with torch.inference_mode():
        logits = teacher(digits.sample("train", 64))
    assert logits.shape == (64, 10)
    assert logits.std() > 0


def test_a_network_of_timm_sees_images_at_its_own_size_and_scale(digits: ImageData, tmp_path: Path):
    torch.manual_seed(0)
    network = timm.create_model(NAME, num_classes=10).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    settings = TeacherSettings(source=NAME, weights=str(tmp_path / "weights.pth"))
    teacher = timm_as_teacher(settings, digits).network
    images = digits.sample("train", 4)
    how = digits.record.preprocessing
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (how.mean, how.std))
    pixels = images * std + mean
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    scaled = torch.nn.functional.interpolate((pixels - mean) / std, (224, 224), mode="bilinear")
    with torch.inference_mode():
        torch.testing.assert_close(teacher(images), network(scaled), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"source": "mobilenetv3_smal_050"}, UnknownNameError, "mobilenetv3_smal"),
        ({"source": NAME, "weights": "nowhere.pth"}, CheckpointError, "nowhere.pth: is no file"),
        ({"source": NAME, "weights": "broken.pth"}, CheckpointError, "do not load"),
    ],
)
def test_a_teacher_that_is_not_there_is_told(
    settings: dict[str, str],
    error: type[Exception],
    words: str,
    digits: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(error, match=words):
        timm_as_teacher(TeacherSettings(**settings), digits)


def test_a_teacher_of_other_classes_is_refused(digits: ImageData, monkeypatch: pytest.MonkeyPatch):
    create: Callable[..., torch.nn.Module] = timm.create_model

    def published(name: str, *, pretrained: bool) -> torch.nn.Module:
        """As published: 1000 classes; the weights themselves are not needed here."""
        assert pretrained
        return create(name)

    monkeypatch.setattr(timm, "create_model", published)
    with pytest.raises(DataError, match="has 1000 classes; digits has 10") as caught:
        timm_as_teacher(TeacherSettings(source=NAME), digits)
    assert "weights: FILE" in (caught.value.hint or "")
