"""MACs and parameters: the published figures, sums by hand, and the ends of the spaces.

That they are what PyTorch counts is tested with the operators.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import (
    architecture_cost,
    macs_batch,
    macs_range,
    operator_macs,
    operator_params,
    params_batch,
)
from pipeline.space.encoding import encode
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import get_space, space_names


@pytest.mark.parametrize(
    ("name", "mmacs", "mparams"),
    [
        ("cream-14", 13.19, 2.673),
        ("cream-43", 40.66, 4.399),
        ("cream-114", 109.62, 4.410),
        ("cream-287", 276.26, 6.044),
        ("cream-481", 460.40, 7.713),
        ("cream-604", 578.70, 9.696),
    ],
)
def test_the_published_models_have_their_size(name, mmacs, mparams):
    cost = architecture_cost(published(name))
    assert round(cost.macs / 1e6, 2) == mmacs
    assert round(cost.params / 1e6, 3) == mparams
    # The paper counts batch norm and pooling too: a few percent more.
    assert 1.0 < published_models()[name].published_mmacs / mmacs < 1.07


@pytest.mark.parametrize(
    ("spec", "macs", "params"),
    [
        # weights × output pixels; batch norm has a scale and a shift a channel, and no MACs
        (OperatorSpec("cn", 3, 2, 3, 16, 32), 3 * 16 * 9 * 16**2, 3 * 16 * 9 + 2 * 16),
        # depthwise 3×3, squeeze 16 → 8 → 16 with biases, pointwise
        (
            OperatorSpec("ds", 3, 1, 16, 16, 8, se_ratio=0.25),
            16 * 9 * 64 + 2 * 16 * 8 + 16 * 16 * 64,
            (16 * 9 + 32) + (16 * 8 + 8) + (8 * 16 + 16) + (16 * 16 + 32),
        ),
        # the expansion works on the input's pixels, the rest on the output's
        (
            OperatorSpec("ir", 5, 2, 8, 24, 8, expansion=4),
            8 * 32 * 64 + 32 * 25 * 16 + 32 * 24 * 16,
            (8 * 32 + 64) + (32 * 25 + 64) + (32 * 24 + 48),
        ),
        # inner width 32 / 4, no biases, a projection because the shape changes
        (
            OperatorSpec("res", 3, 2, 16, 32, 8),
            16 * 8 * 64 + 8 * 8 * 9 * 16 + 8 * 32 * 16 + 16 * 32 * 16,
            (16 * 8 + 16) + (8 * 8 * 9 + 16) + (8 * 32 + 64) + (16 * 32 + 64),
        ),
        (
            OperatorSpec("res", 3, 1, 32, 32, 4),
            (32 * 8 + 8 * 8 * 9 + 8 * 32) * 16,
            (32 * 8 + 16) + (8 * 8 * 9 + 16) + (8 * 32 + 64),
        ),
        # the hidden layer works on the pooled vector and has a bias but no batch norm
        (
            OperatorSpec("tail", 1, 1, 4, 6, 7, features=8, num_classes=10),
            4 * 6 * 49 + 6 * 8 + 8 * 10,
            (4 * 6 + 12) + (6 * 8 + 8) + (8 * 10 + 10),
        ),
    ],
)
def test_an_operator_by_hand(spec, macs, params):
    assert operator_macs(spec) == macs
    assert operator_params(spec) == params


@pytest.mark.parametrize("space", space_names())
@settings(max_examples=15)
@given(data=st.data())
def test_a_batch_costs_what_each_costs(architectures, space, data):
    one = data.draw(architectures(space))
    others = data.draw(st.lists(architectures(space), max_size=3))
    several = [one, *(o.model_copy(update={"num_classes": one.num_classes}) for o in others)]
    rows = encode(get_space(space), several)
    costs = [architecture_cost(architecture) for architecture in several]
    macs = macs_batch(get_space(space), rows, one.num_classes)
    params = params_batch(get_space(space), rows, one.num_classes)
    assert macs.tolist() == [cost.macs for cost in costs]
    assert params.tolist() == [cost.params for cost in costs]


def test_the_released_space_runs_from_76_to_832_million():
    smallest, largest = macs_range(get_space("cream"), 224)
    assert (round(smallest / 1e6), round(largest / 1e6)) == (76, 832)


def test_the_printed_strides_cannot_give_the_published_models():
    _, largest = macs_range(get_space("cream-table1"), 224)
    assert round(largest / 1e6) == 400


@settings(max_examples=40)
@given(st.data())
def test_every_network_is_between_the_ends_of_its_space(architectures, data):
    architecture = data.draw(architectures())
    smallest, largest = macs_range(
        get_space(architecture.space), architecture.resolution, architecture.num_classes
    )
    assert smallest <= architecture_cost(architecture).macs <= largest


@pytest.mark.parametrize("space", space_names())
def test_more_pixels_cost_more_and_weigh_the_same(space):
    stages = tuple((name,) for name in get_space(space).operators[:5])
    models = [
        architecture_cost(published("cream-14").model_copy(update=changes))
        for changes in (
            {"space": space, "stages": stages, "resolution": 64},
            {"space": space, "stages": stages, "resolution": 128},
        )
    ]
    assert models[0].macs < models[1].macs
    assert models[0].params == models[1].params


def test_counts_stay_exact_as_arrays():
    rows = encode(get_space("cream"), [published("cream-604")])
    macs = macs_batch(get_space("cream"), rows, 1000)
    assert macs.dtype == np.float64
    assert int(macs[0]) == architecture_cost(published("cream-604")).macs
