"""What is searched: the full space `cream` at 224 pixels, and made-up log-losses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipeline.device.target import Target
from pipeline.latency.model import LatencyModel
from pipeline.recipe.recipe import LimitsSection, Recipe
from pipeline.recipe.request import read_problem
from pipeline.records.candidates import Limits
from pipeline.search.constraints import latency_key
from pipeline.search.problem import Problem
from pipeline.search.seeds import seed_rows
from pipeline.search.settings import SearchSettings
from pipeline.search.surrogate import fit_surrogate
from pipeline.space.cost import macs_batch
from pipeline.space.encoding import Floats, Rows, SlotTable

RESOLUTION = 224
NUM_CLASSES = 1000
ONNXRUNTIME = "intel-xeon-processor-2c/onnxruntime-fp32-b1-t1"
OPENVINO = "intel-xeon-processor-2c/openvino-fp32-b1-t1"
SCALED = "scaled-copy/onnxruntime-fp32-b1-t1"
"""No device: the first table, times `_SCALE`."""
_SCALE = 1.5
_SAMPLED = 20_000

# Made-up log-losses: about the range that networks of the space span on ImageNet with a
# hypernetwork's weights, and noise as of 2,000 images seen by all networks.
_MOST_NATS, _GAIN_NATS, _SATURATES_AT_MACS = 2.5, 1.25, 0.2e9
_SPREAD_NATS, _NOISE_NATS = 0.015, 0.025


def problem_on(*targets: str) -> Problem:
    """The space without limits; the first target is the one searched."""
    recipe = Recipe.model_validate(
        {
            "schema_version": 1,
            "name": "search-speed",
            "data": {"dataset": "digits"},
            "space": {"name": "cream", "resolution": RESOLUTION},
            "train": {"epochs": 1},
            "retrain": {"epochs": 1},
            "target": targets[0],
        }
    )
    models = {target: _models()[target] for target in targets}
    return read_problem(recipe, models, Limits(), (RESOLUTION,), NUM_CLASSES)


def with_one_limit() -> Problem:
    """Latency at most in the median of random networks, as predicted."""
    problem = problem_on(ONNXRUNTIME)
    limits = Limits(latency_ms=_median_latencies(problem))
    return problem.within(limits, problem.target)


def with_three_limits() -> Problem:
    """MACs and both targets' latencies at most in their medians, with a recipe's margin."""
    problem = problem_on(ONNXRUNTIME, OPENVINO)
    rows = _random_rows(problem)
    limits = Limits(
        macs=float(np.median(macs_batch(problem.space, rows, NUM_CLASSES))),
        latency_ms=_median_latencies(problem),
        confidence=LimitsSection().confidence,
    )
    return problem.within(limits, problem.target)


def fitted_surrogate(problem: Problem, seed: int) -> SlotTable:
    """A surrogate as a search has it by default after its first scores, which are made up.

    Args:
        problem: The request; what is scored is within its limits.
        seed: Of networks and scores.
    """
    settings, rng = SearchSettings(), np.random.default_rng(seed)
    rows = seed_rows(problem, round(settings.surrogate_share * settings.candidates), rng)
    return fit_surrogate(problem.space, rows, _made_up_quality(problem, rows, rng)).tables[
        RESOLUTION
    ]


def _made_up_quality(problem: Problem, rows: Rows, rng: np.random.Generator) -> Floats:
    """Quality that saturates with MACs, with effects of operators in stages, and noise."""
    variation = problem.variation
    macs = macs_batch(problem.space, rows, NUM_CLASSES)
    saturating = 1 - np.exp(-macs / _SATURATES_AT_MACS)
    effects = rng.normal(0.0, _SPREAD_NATS, (variation.stages, 1 + variation.operators))
    effects[:, 0] = 0.0
    slots = np.arange(variation.slots)
    of_blocks = effects[slots // variation.max_depth, rows[:, 1:]].sum(axis=1)
    noise = rng.normal(0.0, _NOISE_NATS, len(rows))
    quality: Floats = -_MOST_NATS + _GAIN_NATS * saturating + of_blocks + noise
    return quality


def _median_latencies(problem: Problem) -> dict[str, float]:
    costs = problem.tables(_random_rows(problem))
    targets = [key.partition("/")[2] for key in costs if key.startswith(latency_key(""))]
    return {target: float(np.median(costs[latency_key(target)])) for target in targets}


def _random_rows(problem: Problem) -> Rows:
    return problem.variation.random(_SAMPLED, np.random.default_rng(0))


@lru_cache(maxsize=1)
def _models() -> dict[str, LatencyModel]:
    models = {
        target: LatencyModel.read(Target.parse(target), allow_foreign=True)
        for target in (ONNXRUNTIME, OPENVINO)
    }
    copied = models[ONNXRUNTIME]
    models[SCALED] = LatencyModel(copied.table, copied.calibrations, scale=_SCALE)
    return models
