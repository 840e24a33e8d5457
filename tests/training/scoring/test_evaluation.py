"""Scores: recalibrated, repeatable, and without a trace in the hypernetwork."""

import pytest
import torch

from pipeline.errors import ArchitectureError, DataError, PipelineError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.scoring.evaluation import HypernetworkScorer, tally
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.recalibration import recalibrate_batch_norm
from pipeline.training.settings import ScoreSettings

SETTINGS = ScoreSettings(images=50, recalibration_images=32)


@pytest.fixture
def supernet(space: SearchSpace) -> Supernet:
    return Supernet(space, 10, seed=0)


def _first_class(images: torch.Tensor) -> torch.Tensor:
    return torch.eye(3)[torch.zeros(len(images), dtype=torch.int64)]


def _tensors(supernet: Supernet) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in supernet.state_dict().items()}


def _assert_same(supernet: Supernet, before: dict[str, torch.Tensor]) -> None:
    after = supernet.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_tally_counts_hits_by_class():
    batches = [(torch.zeros(2, 1), torch.tensor([0, 1])), (torch.zeros(2, 1), torch.tensor([0, 0]))]
    counted = tally(_first_class, batches, 3)
    assert counted.percent == 75.0
    assert counted.percent_by_class(["a", "b", "c"]) == {"a": 100.0, "b": 0.0}


def test_nothing_to_evaluate_on_is_an_error():
    with pytest.raises(DataError, match="no images"):
        tally(_first_class, [], 3)


@pytest.mark.parametrize("training", [True, False])
def test_scores_repeat_and_leave_no_trace(
    supernet: Supernet, small: Architecture, digits: ImageData, training: bool
):
    supernet.train(training)
    before = _tensors(supernet)
    score = HypernetworkScorer(supernet, digits, SETTINGS)
    other = small.model_copy(update={"stages": (("mb6_5x5",),) * 5})
    first = [score(small), score(other)]
    assert [score(small), score(other)] == first
    assert first[0] != first[1]
    assert all(0 <= it.accuracy_percent <= 100 for it in first)
    _assert_same(supernet, before)
    assert all(m.training == training for m in supernet.modules())


def test_a_score_is_what_the_recalibrated_network_does(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    scored = HypernetworkScorer(supernet, digits, SETTINGS)(small)
    recalibrate_batch_norm(supernet, small, [digits.sample("train", 32)])
    network = supernet.subnet(small).eval()
    batches = list(digits.batches("search-validation", 50))[:1]
    assert scored.images == 50
    assert scored.accuracy_percent == tally(network, batches, 10).percent
    images, labels = batches[0]
    with torch.inference_mode():
        losses = torch.nn.functional.cross_entropy(network(images), labels, reduction="none")
    assert scored.log_losses == pytest.approx(losses.tolist(), rel=1e-5)
    assert scored.log_loss_nats == pytest.approx(losses.mean().item(), rel=1e-5)


def test_outputs_that_are_no_numbers_are_an_error(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    with torch.no_grad():
        next(supernet.parameters()).fill_(float("nan"))
    with pytest.raises(PipelineError, match="are no numbers") as caught:
        HypernetworkScorer(supernet, digits, SETTINGS)(small)
    assert "train.learning_rate" in caught.value.hint


def test_a_failure_leaves_no_trace_either(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    score = HypernetworkScorer(supernet, digits, SETTINGS)
    before = _tensors(supernet)
    with pytest.raises(ArchitectureError):
        score(small.model_copy(update={"num_classes": 3}))
    _assert_same(supernet, before)


def _others(small: Architecture) -> list[Architecture]:
    """Networks that part from `small` one stage after the other."""
    return [
        small.model_copy(update={"stages": small.stages[:kept] + (("mb6_5x5",) * 2,) * (5 - kept)})
        for kept in range(1, 6, 2)
    ]


@pytest.mark.parametrize("most_kept_bytes", [0, 2 * 2**30])
def test_scores_together_are_those_alone(
    supernet: Supernet,
    small: Architecture,
    digits: ImageData,
    most_kept_bytes: int,
):
    score = HypernetworkScorer(supernet, digits, SETTINGS, most_kept_bytes=most_kept_bytes)
    asked, told = [*_others(small), small], []
    scores = score.scores(asked, lambda *it: told.append(it))
    assert scores == [score(architecture) for architecture in asked]
    assert len(told) == 3
    assert dict(told) == dict(zip(asked, scores, strict=True))
    assert score.scores([]) == []


def test_what_was_scored_before_an_error_was_told(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    supernet.train()
    before = _tensors(supernet)
    score, told = HypernetworkScorer(supernet, digits, SETTINGS), []

    def stop(architecture: Architecture, scored: NetworkScore) -> None:
        told.append((architecture, scored))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score.scores(_others(small), stop)
    _assert_same(supernet, before)
    assert all(module.training for module in supernet.modules())
    assert told == [(architecture, score(architecture)) for architecture, _ in told]


def test_each_network_is_scored_at_its_own_size(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    """Whatever size the data was opened at, and in whatever order sizes are asked for."""
    large = small.model_copy(update={"resolution": 64})
    other = small.model_copy(update={"stages": (("mb6_5x5",),) * 5})
    score = HypernetworkScorer(supernet, digits.at(96), SETTINGS, resolutions=(32, 64))
    asked, told = [large, small, other, large], []
    scores = score.scores(asked, lambda *it: told.append(it))
    expected = [HypernetworkScorer(supernet, digits.at(it.resolution), SETTINGS) for it in asked]
    assert scores == [alone(it) for alone, it in zip(expected, asked, strict=True)]
    assert dict(told) == dict(zip(asked, scores, strict=True))
    assert len(told) == 3


def test_images_of_a_size_are_loaded_when_asked_for(
    supernet: Supernet, small: Architecture, digits: ImageData, monkeypatch: pytest.MonkeyPatch
):
    opened: list[int] = []
    at = type(digits).at
    monkeypatch.setattr(
        type(digits), "at", lambda self, size: opened.append(size) or at(self, size)
    )
    score = HypernetworkScorer(supernet, digits, SETTINGS, resolutions=(32, 64))
    assert opened == []
    score(small)
    score(small.model_copy(update={"resolution": 64}))
    score(small)
    assert opened == [32, 64]


@pytest.mark.parametrize(
    ("resolutions", "expected"), [(None, "trained at: 32$"), ((32, 96), "trained at: 32, 96$")]
)
def test_a_size_it_was_not_trained_at_is_refused(
    supernet: Supernet,
    small: Architecture,
    digits: ImageData,
    resolutions: tuple[int, ...] | None,
    expected: str,
):
    score, told = HypernetworkScorer(supernet, digits, SETTINGS, resolutions=resolutions), []
    asked = [small, small.model_copy(update={"resolution": 64})]
    with pytest.raises(ArchitectureError, match=f"images of 64 pixels.*{expected}") as caught:
        score.scores(asked, lambda *it: told.append(it))
    assert caught.value.hint == "add 64 to space.resolution, and train again"
    assert told == []


def test_one_calibration_image_beyond_full_batches_is_no_batch_of_its_own(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    """At 32 pixels the last maps are single pixels, and one of them has no variance."""
    settings = ScoreSettings(images=10, recalibration_images=257)
    assert HypernetworkScorer(supernet, digits, settings)(small).images == 10
