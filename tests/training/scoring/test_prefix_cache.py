"""Networks evaluated together: the same bits as alone, less work, and memory as agreed."""

import random
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.errors import ArchitectureError
from pipeline.images.image_data import ImageData
from pipeline.network.operators import imitate_training, seeded
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost, operator_macs
from pipeline.space.search_space import SearchSpace, get_space
from pipeline.training.scoring.prefix_cache import (
    PassBatches,
    evaluate_together,
    shared_macs_speedup,
    shares,
)
from pipeline.training.small_maps import SmallMaps

SPACE = get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
ENOUGH = 2**30


def generation(n: int, seed: int, space: SearchSpace = SPACE) -> list[Architecture]:
    """Random networks whose first stages are drawn from few, so that they share much."""
    draw = random.Random(seed)

    def stage() -> tuple[str, ...]:
        return tuple(draw.choices(space.operators, k=draw.randint(1, space.max_depth)))

    beginnings = [tuple(stage() for _ in range(3)) for _ in range(2)]
    found = []
    for _ in range(n):
        kept = draw.randint(0, 3)
        stages = (*draw.choice(beginnings)[:kept], *(stage() for _ in range(5 - kept)))
        found.append(Architecture(space="cream", resolution=32, num_classes=10, stages=stages))
    return found


@pytest.fixture(scope="module", params=["separate", "entangled"])
def supernet(request: pytest.FixtureRequest) -> Supernet:
    supernet = Supernet(SPACE, 10, seed=0, sharing=request.param)
    with seeded(0):
        imitate_training(supernet)
    return supernet.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def images(digits: ImageData) -> PassBatches:
    """Of two batches each, the last of another size."""
    return PassBatches(
        list(digits.sample("train", 12).split(8)),
        list(digits.sample("search-validation", 12).split(8)),
    )


def logits(
    supernet: Supernet,
    architectures: list[Architecture],
    images: PassBatches,
    most_bytes: int = ENOUGH,
) -> dict[Architecture, Tensor]:
    found: dict[Architecture, Tensor] = {}

    def put(architecture: Architecture, batches: list[Tensor]) -> None:
        assert architecture not in found
        found[architecture] = torch.cat(list(batches))

    evaluate_together(supernet, architectures, images, put, most_bytes=most_bytes)
    return found


def alone(
    supernet: Supernet, architectures: list[Architecture], images: PassBatches
) -> dict[Architecture, Tensor]:
    return {a: logits(supernet, [a], images)[a] for a in architectures}


def same(one: dict[Architecture, Tensor], other: dict[Architecture, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[a], other[a]) for a in one)


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    yield
    torch.set_num_threads(before)


@contextmanager
def block_calls(supernet: Supernet) -> Iterator[Counter[nn.Module]]:
    """Counts the batches that go through each block."""
    counted: Counter[nn.Module] = Counter()
    hooks = [
        block.register_forward_hook(lambda module, inputs, output: counted.update([module]))
        for block in _blocks(supernet)
    ]
    yield counted
    for hook in hooks:
        hook.remove()


def _blocks(supernet: Supernet) -> list[nn.Module]:
    chosen = [b for stage in supernet.blocks[1:] for slot in stage for b in slot.values()]
    return [supernet.conv_stem, supernet.blocks[0][0], *chosen, supernet.tail]


@pytest.mark.parametrize(
    ("seed", "num_threads"), [(0, 1), pytest.param(3, 2, marks=pytest.mark.slow)]
)
def test_together_and_alone_are_the_same_to_the_bit(
    supernet: Supernet, images: PassBatches, seed: int, num_threads: int
):
    with threads(num_threads):
        architectures = generation(8 // num_threads, seed)
        together = logits(supernet, architectures, images)
        assert same(together, alone(supernet, architectures, images))
    assert len({tuple(it.flatten().tolist()) for it in together.values()}) == len(together)


def test_alone_is_a_plain_pass_after_recalibration(supernet: Supernet, images: PassBatches):
    """Against torch's own way: statistics with a momentum of None, then evaluation mode."""
    (architecture,) = generation(1, seed=0)
    network = supernet.subnet(architecture).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.inference_mode(), SmallMaps():
        for batch in images.calibration:
            network(batch)
        network.eval()
        expected = torch.cat([network(batch) for batch in images.evaluation])
    assert torch.equal(logits(supernet, [architecture], images)[architecture], expected)


def test_the_order_given_and_repeats_change_nothing(supernet: Supernet, images: PassBatches):
    architectures = generation(6, seed=4)
    found = logits(supernet, architectures, images)
    assert same(found, logits(supernet, architectures[::-1] + architectures[:2], images))


def _distinct_prefixes(architectures: list[Architecture]) -> set[tuple[str, ...]]:
    """Blocks with all blocks before them, each once: by hand, from the choices alone."""
    found = set()
    for architecture in architectures:
        blocks = ["stem", "separable"]
        for stage, names in enumerate(architecture.stages):
            blocks += [f"{stage} {slot} {name}" for slot, name in enumerate(names)]
        blocks.append("tail")
        found |= {tuple(blocks[:end]) for end in range(1, len(blocks) + 1)}
    return found


def test_every_distinct_prefix_is_computed_once(supernet: Supernet, images: PassBatches):
    architectures = generation(8, seed=2)
    with block_calls(supernet) as calls:
        logits(supernet, architectures, images)
    batches = len(images.calibration) + len(images.evaluation)
    assert calls[supernet.conv_stem] == calls[supernet.blocks[0][0]] == batches
    assert calls[supernet.tail] == batches * len(set(architectures))
    assert calls.total() == batches * len(_distinct_prefixes(architectures))


class Alive:
    """Bytes of the blocks' outputs that are in memory, without logits, and the most there were."""

    def __init__(self, supernet: Supernet) -> None:
        self.now = self.most = self.largest = 0
        self._hooks = [block.register_forward_hook(self._born) for block in _blocks(supernet)[:-1]]

    def _born(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.now += output.nbytes
        self.most = max(self.most, self.now)
        self.largest = max(self.largest, output.nbytes)
        weakref.finalize(output, self._died, output.nbytes)

    def _died(self, nbytes: int) -> None:
        self.now -= nbytes

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def test_memory_stays_within_the_budget_and_results_do_not_change(
    supernet: Supernet, images: PassBatches
):
    architectures = generation(8, seed=1)

    def watched(most_bytes: int) -> tuple[Alive, dict[Architecture, Tensor], int]:
        alive = Alive(supernet)
        with block_calls(supernet) as calls:
            found = logits(supernet, architectures, images, most_bytes)
        alive.remove()
        return alive, found, calls.total()

    unlimited, expected, fewest = watched(ENOUGH)
    counted = []
    for share in (0, 0.01, 0.2, 0.5):
        most_bytes = int(share * unlimited.most)
        limited, found, calls = watched(most_bytes)
        # A block's input and output are there while it computes.
        assert limited.most <= most_bytes + 2 * unlimited.largest
        assert limited.now == 0
        assert same(found, expected)
        counted.append(calls)
    assert min(counted) > fewest
    assert max(counted[2:]) < counted[0]


def _state(supernet: Supernet) -> tuple[dict[str, Tensor], list[object]]:
    norms = [m.momentum for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)]
    modes = [module.training for module in supernet.modules()]
    return {name: t.clone() for name, t in supernet.state_dict().items()}, [norms, modes]


def _assert_as_before(supernet: Supernet, before: tuple[dict[str, Tensor], list[object]]) -> None:
    tensors, rest = _state(supernet)
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in tensors.items())
    assert rest == before[1]


@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_is_left_as_it_was(supernet: Supernet, images: PassBatches, training: bool):
    supernet.train(training)
    before = _state(supernet)
    logits(supernet, generation(4, seed=2), images)
    _assert_as_before(supernet, before)


@pytest.mark.parametrize("call", [2, 19])
def test_an_error_in_the_middle_leaves_the_supernet_as_it_was(
    supernet: Supernet, images: PassBatches, call: int
):
    supernet.train()
    before, calls = _state(supernet), Counter[str]()

    def fail(*_: object) -> None:
        calls["tail"] += 1
        if calls["tail"] == call:
            raise ZeroDivisionError

    hook = supernet.tail.conv.conv.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        logits(supernet, generation(6, seed=2), images)
    hook.remove()
    _assert_as_before(supernet, before)


def test_nothing_is_evaluated_where_one_is_not_of_the_supernet(
    supernet: Supernet, images: PassBatches
):
    architectures = generation(3, seed=2)
    architectures.append(architectures[0].model_copy(update={"num_classes": 3}))
    with pytest.raises(ArchitectureError, match="10 classes"):
        evaluate_together(
            supernet,
            architectures,
            images,
            lambda *_: pytest.fail("one was evaluated"),
            most_bytes=ENOUGH,
        )


@settings(max_examples=40)
@given(n=st.integers(1, 12), seed=st.integers(0, 10_000))
def test_the_macs_allow_what_counting_blocks_by_hand_allows(n: int, seed: int):
    architectures = generation(n, seed, get_space("cream"))
    nodes: dict[tuple[str, ...], int] = {}
    alone_macs = 0
    for architecture in set(architectures):
        prefix: tuple[str, ...] = ()
        for placed in architecture.operators():
            choice = placed.choice.name if placed.choice else ""
            prefix = (*prefix, placed.place + choice)
            nodes[prefix] = operator_macs(placed.spec)
            alone_macs += nodes[prefix]
    assert shared_macs_speedup(architectures) == alone_macs / sum(nodes.values())
    assert (n == 1) <= (shared_macs_speedup(architectures) == 1)


@pytest.mark.parametrize("others", [[], [{}], [{"resolution": 64}]])
def test_one_network_alone_twice_or_at_two_sizes_shares_nothing(others: list[dict[str, int]]):
    (one,) = generation(1, seed=0)
    assert shared_macs_speedup([one, *(one.model_copy(update=it) for it in others)]) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_shares_hold_each_network_once_and_keep_those_alike_together(count: int):
    architectures = generation(24, seed=3)
    divided = shares([*architectures, *architectures[:3]], count)
    assert 0 < len(divided) <= count
    assert all(divided)
    together = [architecture for share in divided for architecture in share]
    assert len(together) == len(set(together))
    assert set(together) == set(architectures)
    # At a border a beginning may be computed twice, and no network has more than 12 blocks.
    computed = sum(len(_distinct_prefixes(share)) for share in divided)
    assert computed <= len(_distinct_prefixes(together)) + 12 * (len(divided) - 1)


def test_shares_are_as_much_work():
    architectures = generation(60, seed=5)
    architectures += [it.model_copy(update={"resolution": 64}) for it in architectures[:20]]
    macs = [
        sum(architecture_cost(it).macs for it in share) / shared_macs_speedup(share)
        for share in shares(architectures, 3)
    ]
    assert len(macs) == 3
    assert max(macs) < 1.2 * min(macs)
    assert shares([], 3) == []
