from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import ArchitectureError, CheckpointError, StorageError
from pipeline.network.network import Network
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.supernet import Sharing, Supernet, load_supernet, save_supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space

SPACE = get_space("cream-table3-released").narrowed(
    max_depth=2, operators=("mb4_3x3", "mb6_5x5", "res_3x3", "conv_1x1")
)
CLASSES = 4


def architecture(*stages: tuple[str, ...], resolution: int = 32) -> Architecture:
    whole = stages + (("mb4_3x3",),) * (len(SPACE.stages) - len(stages))
    return Architecture(space=SPACE.name, resolution=resolution, num_classes=CLASSES, stages=whole)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    stage = st.lists(st.sampled_from(SPACE.operators), min_size=1, max_size=SPACE.max_depth)
    stages = [tuple(draw(stage)) for _ in SPACE.stages]
    return architecture(*stages, resolution=draw(st.sampled_from((32, 64))))


@pytest.fixture(scope="module", params=["separate", "entangled"])
def supernet(request: pytest.FixtureRequest) -> Supernet:
    """As after some training: batch-norm statistics are not those of the start."""
    supernet = Supernet(SPACE, CLASSES, seed=0, sharing=request.param)
    with seeded(1):
        imitate_training(supernet)
    return supernet.eval()


def images(resolution: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))


@settings(max_examples=8)
@given(architectures())
@torch.inference_mode()
def test_a_subnet_equals_its_path_bit_for_bit(
    supernet: Supernet, architecture: Architecture
) -> None:
    x = images(architecture.resolution)
    subnet = supernet.subnet(architecture)
    assert isinstance(subnet, Network)
    assert torch.equal(subnet(x), supernet(x, architecture))


@settings(max_examples=8)
@given(architectures())
def test_a_path_holds_one_module_an_operator(
    supernet: Supernet, architecture: Architecture
) -> None:
    path = supernet.path(architecture)
    assert len(path) == len(architecture.operators()) == architecture.depth + 3
    assert len(set(map(id, path))) == len(path)


def test_weights_are_shared_by_stage_slot_and_operator() -> None:
    supernet = Supernet(SPACE, CLASSES, seed=0)
    first = supernet.path(architecture(("mb4_3x3", "mb6_5x5"), ("res_3x3",)))
    second = supernet.path(architecture(("res_3x3", "mb6_5x5"), ("res_3x3",)))
    assert [a is b for a, b in zip(first, second, strict=True)][:5] == [
        True,  # stem
        True,  # separable block
        False,  # another operator in the same slot
        True,  # the same one
        True,
    ]
    assert first[3] is supernet.get_submodule("blocks.1.1.mb6_5x5")
    assert supernet.path(architecture(("mb4_3x3", "mb4_3x3")))[2:4] == [
        supernet.get_submodule("blocks.1.0.mb4_3x3"),
        supernet.get_submodule("blocks.1.1.mb4_3x3"),
    ]


@pytest.mark.parametrize("sharing", ["separate", "entangled"])
def test_only_the_path_gets_gradients(sharing: Sharing) -> None:
    supernet = Supernet(SPACE, CLASSES, seed=0, sharing=sharing)
    chosen = architecture(("mb4_3x3", "res_3x3"))
    supernet(images(), chosen).sum().backward()
    touched = {id(p) for p in supernet.parameters() if p.grad is not None}
    expected = supernet.parameters_of(chosen)
    assert touched == set(map(id, expected))
    assert len(touched) == len(expected) < len(list(supernet.parameters()))


def test_a_subnet_is_a_copy_in_the_supernets_mode(supernet: Supernet) -> None:
    chosen = architecture(("mb6_5x5",))
    subnet = supernet.subnet(chosen, dropout=0.3)
    assert not subnet.training
    assert subnet.dropout.p == 0.3
    norm = next(m for m in supernet.path(chosen)[2].modules() if isinstance(m, nn.BatchNorm2d))
    assert torch.equal(subnet.blocks[1][0].bn1.running_mean, norm.running_mean)
    before = supernet(images(), chosen)
    with torch.no_grad():
        for tensor in subnet.state_dict().values():
            tensor.zero_()
    assert torch.equal(supernet(images(), chosen), before)


def test_the_same_seed_gives_the_same_supernet() -> None:
    space = SPACE.narrowed(max_depth=1)
    first, again, other = (Supernet(space, CLASSES, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv_stem.conv.weight"], other["conv_stem.conv.weight"])


@pytest.mark.parametrize(
    ("stages", "changes", "problem"),
    [
        ((("mb4_3x3",) * 3,), {}, "outside the supernet: max_depth 2"),
        ((("mb4_7x7",),), {}, "outside the supernet: .* operators mb4_3x3"),
        ((), {"num_classes": 10}, "given to a supernet of space cream-table3-released with 4"),
        ((), {"space": "cream"}, "given to a supernet of space cream-table3-released"),
    ],
)
def test_an_architecture_of_another_space_is_refused(
    supernet: Supernet, stages: tuple[tuple[str, ...], ...], changes: dict, problem: str
) -> None:
    stranger = architecture(*stages).model_copy(update=changes)
    with pytest.raises(ArchitectureError, match=problem):
        supernet(images(), stranger)


def test_a_saved_supernet_loads_bit_for_bit(supernet: Supernet, tmp_path: Path) -> None:
    path = tmp_path / "supernet.safetensors"
    save_supernet(supernet, path)
    loaded = load_supernet(path).eval()
    assert loaded.space == supernet.space
    assert (loaded.num_classes, loaded.sharing) == (CLASSES, supernet.sharing)
    assert list(loaded.state_dict()) == list(supernet.state_dict())
    pairs = zip(loaded.state_dict().values(), supernet.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    first = path.read_bytes()
    save_supernet(loaded, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (None, "holds no supernet"),
        ({"supernet": "{"}, "its description does not read"),
        ({"supernet": json.dumps({"space": "cream"})}, "its description does not read"),
        (
            {"supernet": json.dumps({"space": "moon", "max_depth": 1, "operators": []})},
            "unknown search space 'moon'",
        ),
        (
            {
                "supernet": json.dumps(
                    {"space": "cream", "max_depth": 1, "operators": ["mb4_3x3"], "num_classes": 2}
                )
            },
            "does not fit the network: .* missing",
        ),
    ],
)
def test_a_file_without_a_supernet_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None, problem: str
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=problem):
        load_supernet(path)


def test_a_missing_supernet_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        load_supernet(tmp_path / "gone.safetensors")


def test_many_paths_at_once_give_what_each_gives() -> None:
    supernet = Supernet(SPACE, CLASSES, seed=0).eval()
    starts = ((("mb4_3x3",),), (("mb6_5x5", "res_3x3"),))
    ends = (("mb4_3x3",), ("conv_1x1", "mb4_3x3"))
    paths = [architecture(*start, end) for start in starts for end in ends]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    hooks = [m.register_forward_hook(count) for m in (supernet.conv_stem, supernet.tail)]
    with torch.no_grad():
        together = supernet.forward_all(images(), [*paths, paths[0]])
        assert calls == 1 + len(paths)
        for hook in hooks:
            hook.remove()
        for path, logits in zip(paths, together, strict=False):
            assert torch.equal(logits, supernet(images(), path))
    assert torch.equal(together[-1], together[0])
