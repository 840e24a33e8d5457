"""A network tried out for a while goes on, to the bit, as if it had been trained at once."""

from pathlib import Path

import pytest
import torch

from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.network import build_network
from pipeline.network.supernet import Supernet
from pipeline.network.timm_networks import TimmNetwork
from pipeline.network.weights import read_weights
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.checkpoint import checkpoint_file
from pipeline.training.finished import take_up
from pipeline.training.retraining.alone import AnyNetwork, Hypernetwork
from pipeline.training.retraining.retraining import CHECKPOINT, retrain, retrain_off_the_shelf
from pipeline.training.retraining.trying import try_out
from pipeline.training.scoring.evaluation import network_score
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.settings import RetrainSettings
from pipeline.work.progress import silent

SHELF = TimmNetwork("lcnet_035", 32, 10)
STABLE = 0.6


@pytest.fixture(scope="module")
def few() -> ImageData:
    """48 training images: three steps an epoch."""
    return open_dataset("digits", resolution=32, seed=0, max_train=48)


def settings(**changes: object) -> RetrainSettings:
    given = {"epochs": 4, "batch_size": 16, "warmup_share": 0.1, "ema_decay": 0.9}
    return RetrainSettings.model_validate({**given, **changes})


def tried(
    network: AnyNetwork,
    data: ImageData,
    share: float,
    folder: Path,
    how: RetrainSettings,
    supernet: Supernet | None = None,
) -> NetworkScore:
    return try_out(
        network,
        data,
        how,
        hypernetwork=Hypernetwork(supernet),
        share=share,
        stable_share=STABLE,
        folder=folder,
        seed=0,
        progress=silent,
    )


def trained(
    network: AnyNetwork,
    data: ImageData,
    folder: Path,
    how: RetrainSettings,
    supernet: Supernet | None = None,
) -> dict[str, torch.Tensor]:
    common = {"folder": folder, "seed": 0, "progress": silent, "stable_share": STABLE}
    if isinstance(network, TimmNetwork):
        retrain_off_the_shelf(network, data, how, **common)
    else:
        retrain(network, data, how, supernet=supernet, **common)
    return read_weights(folder / CHECKPOINT)[0]


@pytest.mark.parametrize("which", ["architecture", "warm start", "timm"])
def test_what_is_tried_is_the_beginning_of_the_whole(
    which: str, space: SearchSpace, small: Architecture, few: ImageData, tmp_path: Path
) -> None:
    network: AnyNetwork = SHELF if which == "timm" else small
    supernet = Supernet(space, 10, seed=3) if which == "warm start" else None
    how = settings(warm_start=supernet is not None)
    whole = trained(network, few, tmp_path / "whole", how, supernet)
    # In the middle of an epoch, at the end of one, and once more where nothing is left to do.
    scores = [tried(network, few, s, tmp_path / "tried", how, supernet) for s in (0.125, 0.5, 0.5)]
    assert scores[1] == scores[2] != scores[0]
    assert scores[0].images == few.record.num_search_validation
    in_parts = trained(network, few, tmp_path / "tried", how, supernet)
    assert whole.keys() == in_parts.keys()
    assert all(torch.equal(whole[name], in_parts[name]) for name in whole)


def test_it_goes_on_in_another_folder_unless_that_has_begun(
    small: Architecture, few: ImageData, tmp_path: Path
) -> None:
    whole = trained(small, few, tmp_path / "whole", settings())
    tried(small, few, 0.5, tmp_path / "tried", settings())
    take_up(tmp_path / "tried", tmp_path / "chosen")
    taken = checkpoint_file(tmp_path / "chosen").read_bytes()
    assert taken == checkpoint_file(tmp_path / "tried").read_bytes()
    in_parts = trained(small, few, tmp_path / "chosen", settings())
    assert all(torch.equal(whole[name], in_parts[name]) for name in whole)
    # It is finished, and another one has a checkpoint of its own.
    take_up(tmp_path / "tried", tmp_path / "chosen")
    assert not checkpoint_file(tmp_path / "chosen").exists()
    tried(small, few, 0.75, tmp_path / "further", settings())
    further = checkpoint_file(tmp_path / "further").read_bytes()
    take_up(tmp_path / "tried", tmp_path / "further")
    assert checkpoint_file(tmp_path / "further").read_bytes() == further != taken


def test_the_average_is_scored_and_the_weights_stay(
    small: Architecture, few: ImageData, tmp_path: Path
) -> None:
    averaged = tried(small, few, 0.5, tmp_path / "averaged", settings())
    plain = tried(small, few, 0.5, tmp_path / "plain", settings(ema_decay=0))
    assert averaged != plain
    first, _ = read_weights(tmp_path / "averaged" / "checkpoint" / "run.safetensors")
    second, _ = read_weights(tmp_path / "plain" / "checkpoint" / "run.safetensors")
    names = [name for name in second if name.startswith("model/")]
    assert names
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_a_score_is_of_every_image(small: Architecture, few: ImageData) -> None:
    network = build_network(small, seed=0).eval()
    score = network_score(network, few.batches("search-validation", 7), "some network")
    with torch.inference_mode():
        images, labels = few.labelled_sample("search-validation", 10**6)
        expected = torch.nn.functional.cross_entropy(network(images), labels)
    assert score.log_loss_nats == pytest.approx(float(expected), rel=1e-4)
