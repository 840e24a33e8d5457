"""Learned transforms of kernels begin as the centre, and are trained with what they are part of."""

import torch

from benchmarks.ranking.kernel_transform import TransformedPart, transformed_kernels
from pipeline.network.supernet import Supernet, load_supernet, save_supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space

SPACE = get_space("cream").narrowed(max_depth=1)
SMALL = Architecture(
    space="cream", resolution=32, num_classes=3, stages=tuple([("mb4_3x3",)] * len(SPACE.stages))
)


def hypernetwork() -> Supernet:
    with transformed_kernels():
        return Supernet(SPACE, 3, seed=0, sharing="entangled")


def test_they_begin_as_the_centre() -> None:
    plain, transformed = Supernet(SPACE, 3, seed=0, sharing="entangled"), hypernetwork()
    x = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(transformed(x, SMALL), plain(x, SMALL))


def test_a_step_moves_them_and_a_network_takes_them_along(tmp_path) -> None:
    model = hypernetwork()
    moved = [it for it in model.parameters_of(SMALL) if it.shape in ((9, 9), (25, 25))]
    assert len(moved) == 2 * len(SPACE.stages)
    with torch.no_grad():
        for step in moved:
            step += 0.1 * torch.randn_like(step)
    x = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.subnet(SMALL)(x), model(x, SMALL))
    save_supernet(model, tmp_path / "weights")
    with transformed_kernels():
        read = load_supernet(tmp_path / "weights")
    assert isinstance(read.path(SMALL)[2], TransformedPart)
    with torch.inference_mode():
        assert torch.equal(read.eval()(x, SMALL), model.eval()(x, SMALL))
