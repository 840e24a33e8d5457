"""The released code's defects, each with a test that would have caught it.

The fifth, a resume without board and matching network, is the matter of `test_resume`.
"""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.cli import app as cli
from pipeline.network.operators import build_operator
from pipeline.network.supernet import Supernet
from pipeline.space.architecture_file import published
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace, get_space
from pipeline.training.compute import compute_here
from pipeline.training.hypernetwork.board import Board, BoardEntry
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.matching import Matching
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.processes import Processes
from tests.training.tiny import CREAM, SINGLE_PATH, train

SHORT = CREAM.model_copy(update={"epochs": 1})


def test_1_the_sampling_prior_is_not_ignored(space: SearchSpace):
    """`np.random.choice(n, k, prob)` takes the prior for `replace`."""
    prior = (("mb4_3x3", 3.0), ("mb6_5x5", 1.0))
    sampler = PathSampler(space, 10, seed=0, operator_prior=prior)
    paths = [sampler.path(step, 32) for step in range(1000)]
    names = Counter(name for path in paths for stage in path.stages for name in stage)
    assert abs(names["mb4_3x3"] / names.total() - 0.75) < 0.02


def test_1_the_prior_of_a_recipe_reaches_the_paths(space: SearchSpace, tmp_path: Path):
    settings = SHORT.model_copy(update={"operator_prior": {"mb6_5x5": 0.0}})
    record = train(tmp_path, settings=settings, space=space)
    assert record.board
    names = {n for entry in record.board for stage in entry.architecture.stages for n in stage}
    assert names == {"mb4_3x3"}


def test_2_the_weight_is_that_of_the_best_entry_and_not_of_the_last(space: SearchSpace):
    matching = Matching.of(
        Supernet(space, 10, seed=0),
        HeldOut({}),
        compute=compute_here(),
        processes=Processes(),
        steps=100,
        seed=0,
    )
    torch.manual_seed(3)
    nn.init.normal_(matching.network.linear.weight)
    nn.init.normal_(matching.network.linear.bias)
    sampler = PathSampler(space, 10, seed=0)
    teachers = [sampler.draw(32, "teacher", number) for number in range(4)]
    board = Board(4)
    for _ in range(6):
        profiles, taught = torch.randn(4, 5), torch.randn(5)
        worths = matching.worth(profiles).tolist()
        board.entries = [
            BoardEntry(
                architecture=path, macs=1, latency_ms=None, log_losses=(1,), correct=1, worth=worth
            )
            for path, worth in zip(teachers, worths, strict=True)
        ]
        weights = matching.weight(taught - profiles)
        chosen = board.teacher_of(sampler.draw(32, "student", 0))
        assert chosen == teachers[int(weights.argmax())]


def test_3_no_random_path_decides_which_weights_are_kept(tmp_path: Path):
    """What is told after an epoch is a mean over fixed paths, and the last weights are kept."""
    settings = SINGLE_PATH.model_copy(update={"epochs": 2})
    record = train(tmp_path / "truly", settings=settings)
    weights = (tmp_path / "truly" / record.checkpoint).read_bytes()
    # Told other accuracies, the run ends with the same weights: those of its last step.
    falling = iter((99.0, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pipeline.training.hypernetwork.hypernetwork.statistics.fmean",
            lambda values: len(list(values)) and next(falling),
        )
        misled = train(tmp_path / "misled", settings=settings)
    assert [e.accuracy_percent for e in misled.epochs] == [99.0, 1.0]
    assert (tmp_path / "misled" / record.checkpoint).read_bytes() == weights


def test_4_depth_is_not_capped_below_the_published_models():
    networks = [published(name, num_classes=10) for name in ("cream-287", "cream-604")]
    space = get_space("cream")
    stages = [stage for network in networks for stage in network.stages]
    deepest = max(map(len, stages))
    assert space.max_depth >= deepest
    used = [name for name in space.operators if any(name in stage for stage in stages)]
    supernet = Supernet(space.narrowed(max_depth=deepest, operators=used), 10, seed=0).eval()
    for network in networks:
        with torch.no_grad():
            assert supernet(torch.zeros(1, 3, 32, 32), network).shape == (1, 10)
    sampler = PathSampler(space, 10, seed=0)
    assert 6 in {len(stage) for step in range(20) for stage in sampler.path(step, 32).stages}


def test_6_missing_data_is_an_error_and_the_classifier_is_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(["profile", "--recipe", "demo", "--set", "data.dataset=no/such/images"])
    assert left.value.code == 1
    assert "no/such/images" in capsys.readouterr().err
    ten, thousand = (
        architecture_cost(published("cream-14", num_classes=classes)).macs for classes in (10, 1000)
    )
    assert thousand - ten == 990 * 1280


@pytest.mark.parametrize(("into", "stride"), [(64, 1), (32, 1), (32, 2)])
def test_7_the_resblock_has_no_bias_before_batch_norm(into: int, stride: int):
    block = build_operator(OperatorSpec("res", 3, stride, into, 64, 8))
    convolutions = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    assert all(convolution.bias is None for convolution in convolutions)
    assert {c.out_channels for c in convolutions if c.kernel_size == (3, 3)} == {64 // 4}
    has_projection = any(
        c.kernel_size == (1, 1) and c.in_channels == into == 32 for c in convolutions
    )
    assert has_projection or into == 64


def test_8_latency_limits_what_is_trained_and_is_on_the_board(space: SearchSpace, tmp_path: Path):
    def predict_ms(space, rows, num_classes):
        return (rows[:, 1:] > 0).sum(1) / 10.0

    limits = PathLimits(latency_ms=0.7, predict_ms=predict_ms)
    record = train(tmp_path, settings=SHORT, space=space, limits=limits)
    assert record.board
    for entry in record.board:
        assert entry.latency_ms == pytest.approx(entry.architecture.depth / 10)
        assert entry.latency_ms is not None
        assert entry.latency_ms <= 0.7
        assert math.isfinite(entry.accuracy_percent)
