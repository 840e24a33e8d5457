from __future__ import annotations

import argparse
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import CheckpointError, StorageError
from pipeline.network.network import Network, build_network, load_checkpoint, save_checkpoint
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published

SMALL = Architecture(
    space="cream",
    resolution=32,
    num_classes=5,
    stages=(("mb4_3x3",), ("mb4_3x3", "mb4_5x5"), ("mb4_3x3",), ("mb4_3x3",), ("mb4_3x3",)),
)


@pytest.fixture
def network() -> Network:
    return build_network(SMALL, seed=1)


@pytest.fixture
def other() -> Network:
    return build_network(SMALL, seed=2)


def same_weights(first: Network, second: Network) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def official(network: Network, path: Path, **more: object) -> Path:
    """A checkpoint as the released training script leaves it."""
    content = {
        "epoch": 499,
        "arch": "Childnet",
        "args": argparse.Namespace(lr=0.064, model="Childnet", resume=None),
        "state_dict": prefixed(network.state_dict()),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "params": [0, 1]}]},
        "version": 2,
    }
    torch.save(content | more, path)
    return path


def prefixed(state: dict[str, Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


def test_parameters_are_called_what_the_released_checkpoints_call_them() -> None:
    names = set(build_network(published("cream-14"), seed=0).state_dict())
    block = {f"blocks.2.1.{part}.weight" for part in ("conv_pw", "bn1", "conv_dw", "bn2")}
    block |= {f"blocks.2.1.{part}.weight" for part in ("se.conv_reduce", "se.conv_expand")}
    block |= {f"blocks.2.1.{part}.weight" for part in ("conv_pwl", "bn3")}
    separable = {f"blocks.0.0.{part}.weight" for part in ("conv_dw", "bn1", "conv_pw", "bn2")}
    ends = {"conv_stem.weight", "bn1.running_var", "blocks.6.0.conv.weight", "blocks.6.0.bn1.bias"}
    ends |= {"conv_head.weight", "conv_head.bias", "classifier.weight", "classifier.bias"}
    assert block | separable | ends <= names
    tops = {name.split(".")[0] for name in names}
    assert tops == {"conv_stem", "bn1", "blocks", "conv_head", "classifier"}
    assert "conv_stem.bias" not in names
    assert not any(name.startswith("blocks.2.2.") for name in names)


def test_a_network_gives_one_logit_a_class(network: Network) -> None:
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert network.architecture is SMALL


def test_the_same_seed_gives_the_same_network(network: Network, other: Network) -> None:
    assert same_weights(network, build_network(SMALL, seed=1))
    assert not same_weights(network, other)


def test_dropout_acts_in_training_only() -> None:
    network = build_network(SMALL, seed=0, dropout=0.5).eval()
    features = torch.ones(1, 1280)
    assert torch.equal(network.dropout(features), features)
    dropped = network.train().dropout(features)
    assert 0.3 < (dropped == 0).float().mean().item() < 0.7


def test_channels_last_gives_the_same_logits(network: Network) -> None:
    x = torch.randn(2, 3, 32, 32)
    network.eval()
    expected = network(x)
    found = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_saved_network_loads_bit_for_bit(
    network: Network, other: Network, tmp_path: Path
) -> None:
    path = tmp_path / "sub" / "weights.safetensors"
    save_checkpoint(network.to(memory_format=torch.channels_last), path)
    assert load_checkpoint(other, path) == "safetensors"
    assert same_weights(network, other)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_weights_serve_another_input_size_but_not_another_space(
    network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    save_checkpoint(network, path)
    larger = build_network(SMALL.model_copy(update={"resolution": 64}), seed=0)
    load_checkpoint(larger, path)
    assert same_weights(network, larger)
    # The printed strides: every shape is the same, the network is not.
    printed = build_network(SMALL.model_copy(update={"space": "cream-table1"}), seed=0)
    with pytest.raises(CheckpointError, match="holds weights of cream@32"):
        load_checkpoint(printed, path)


def test_an_official_checkpoint_loads(network: Network, other: Network, tmp_path: Path) -> None:
    path = official(network, tmp_path / "cream.pth.tar")
    assert load_checkpoint(other, path) == "state_dict"
    assert same_weights(network, other)


def test_the_moving_average_is_preferred(network: Network, other: Network, tmp_path: Path) -> None:
    average = prefixed(build_network(SMALL, seed=3).state_dict())
    path = official(network, tmp_path / "cream.pth.tar", state_dict_ema=average)
    assert load_checkpoint(other, path) == "state_dict_ema"
    assert same_weights(other, build_network(SMALL, seed=3))


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_alone_load(network: Network, other: Network, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert load_checkpoint(other, path) == "weights"
    assert same_weights(network, other)


def test_a_checkpoint_from_before_batch_norm_counted_batches_loads(
    network: Network, other: Network, tmp_path: Path
) -> None:
    path = tmp_path / "old.pth"
    state = network.state_dict()
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    load_checkpoint(other, path)
    assert same_weights(network, other)


@pytest.mark.parametrize("place", ["args", "state_dict", "alone", "plain pickle"])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(
    network: Network, tmp_path: Path, place: str
) -> None:
    sign, path = tmp_path / "exploded", tmp_path / "bomb.pth.tar"
    before = build_network(SMALL, seed=1)
    bomb = Bomb(sign)
    if place == "plain pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif place == "alone":
        torch.save(bomb, path)
    else:
        official(network, path, **{place: bomb})
    with pytest.raises(CheckpointError, match=r"bomb\.pth\.tar: holds code .* not loaded"):
        load_checkpoint(network, path)
    assert not sign.exists()
    assert same_weights(network, before)


def test_the_bomb_of_these_tests_is_a_real_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(
    network: Network, tmp_path: Path, share: float, zipped: bool
) -> None:
    path = tmp_path / "cut.pth.tar"
    torch.save({"state_dict": network.state_dict()}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"cut\.pth\.tar: is not a whole checkpoint"):
        load_checkpoint(network, path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9])
def test_a_truncated_safetensors_file_is_refused(
    network: Network, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.safetensors"
    save_checkpoint(network, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        load_checkpoint(network, path)


@pytest.mark.parametrize("content", [b"not weights at all\n", b"\x00" * 4096, b"PK\x03\x04 hm"])
def test_a_file_of_something_else_is_refused(
    network: Network, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "photo.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a whole checkpoint"):
        load_checkpoint(network, path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "holds list; expected a checkpoint"),
        ({}, "holds no weights"),
        ({"state_dict": 3}, "holds no weights"),
        ({"epoch": 3}, "'epoch' is int; expected names and tensors only"),
    ],
)
def test_a_checkpoint_without_weights_is_refused(
    network: Network, tmp_path: Path, content: object, problem: str
) -> None:
    path = tmp_path / "empty.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=problem):
        load_checkpoint(network, path)


def test_misfits_are_counted_and_the_first_ones_named(network: Network, tmp_path: Path) -> None:
    deeper = SMALL.model_copy(update={"stages": (("mb4_3x3", "mb4_3x3"), *SMALL.stages[1:])})
    state = build_network(deeper, seed=0).state_dict()
    state.pop("conv_head.bias")
    state["classifier.bias"] = torch.zeros(9)
    path = tmp_path / "other.pth"
    torch.save({"state_dict": state}, path)
    before = build_network(SMALL, seed=1)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(network, path)
    message = caught.value.message
    assert "1 missing (conv_head.bias)" in message
    assert "1 of another shape (classifier.bias (9,) where (5,) is expected)" in message
    unexpected = sum(name.startswith("blocks.1.1.") for name in state)
    assert f"{unexpected} unexpected (blocks.1.1.conv_pw.weight, " in message
    assert message.count("blocks.1.1.") == 5
    assert same_weights(network, before)


def test_wrong_classes_are_told_with_both_numbers(network: Network, tmp_path: Path) -> None:
    thousand = build_network(SMALL.model_copy(update={"num_classes": 1000}), seed=0)
    path = official(thousand, tmp_path / "imagenet.pth.tar")
    expected = r"classifier.weight \(1000, 1280\) where \(5, 1280\) is expected"
    with pytest.raises(CheckpointError, match=expected) as caught:
        load_checkpoint(network, path)
    assert "num_classes" in (caught.value.hint or "")


def test_safetensors_written_elsewhere_load_by_name(
    network: Network, other: Network, tmp_path: Path
) -> None:
    path = tmp_path / "plain.safetensors"
    save_file(network.state_dict(), path)
    load_checkpoint(other, path)
    assert same_weights(network, other)


def test_a_missing_file_and_a_folder_are_told_apart(network: Network, tmp_path: Path) -> None:
    for name in ("gone.pth.tar", "gone.safetensors"):
        with pytest.raises(StorageError, match="does not exist"):
            load_checkpoint(network, tmp_path / name)
    with pytest.raises(StorageError, match="is a folder"):
        load_checkpoint(network, tmp_path)
