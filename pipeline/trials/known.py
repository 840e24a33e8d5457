"""What is known of a network before it is trained, as the inputs of `pipeline.trials.fusion`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.device.target import usable_cores
from pipeline.files.json_lines import JsonLines
from pipeline.images.image_data import ImageData
from pipeline.network.network import build_network
from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import parse_choice
from pipeline.training.scoring.zero_cost import ZeroCost, zero_cost
from pipeline.trials.trial import Training
from pipeline.work.progress import Progress
from pipeline.work.workers import pool_of

_IMAGES = 64


def inputs_of(
    networks: Sequence[Architecture],
    candidates: Mapping[Architecture, Candidate],
    untrained: Mapping[Architecture, ZeroCost],
) -> dict[str, list[float]]:
    """Each input's values, in the order of the networks.

    Args:
        networks: Of one space.
        candidates: Those that the hypernetwork scored; others have the mean of these.
        untrained: What weights as they are drawn tell of each.
    """
    columns: dict[str, list[float]] = {}
    for network in networks:
        candidate = candidates.get(network)
        quality = candidate.quality if candidate else None
        values = {
            **_shape(network),
            "hypernetwork's log-loss": math.nan if quality is None else -quality,
            **untrained[network]._asdict(),
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return {name: _filled(values) for name, values in columns.items()}


def _shape(network: Architecture) -> dict[str, float]:
    choices = [parse_choice(name) for stage in network.stages for name in stage]
    depths = {f"depth of stage {i}": float(len(s)) for i, s in enumerate(network.stages, start=1)}
    return {
        **depths,
        "share of 5×5 kernels": float(np.mean([it.kernel == 5 for it in choices])),
        "share of 7×7 kernels": float(np.mean([it.kernel == 7 for it in choices])),
        "mean expansion": float(np.mean([it.expansion for it in choices])),
        "log MACs": math.log(architecture_cost(network).macs),
        "log input size": math.log(network.resolution),
    }


def _filled(values: Sequence[float]) -> list[float]:
    there = [value for value in values if math.isfinite(value)]
    mean = float(np.mean(there)) if there else 0.0
    return [value if math.isfinite(value) else mean for value in values]


def untrained_scores(
    networks: Sequence[Architecture], training: Training, journal: Path, progress: Progress
) -> dict[Architecture, ZeroCost]:
    """Scores of weights as they are drawn, several networks at once.

    Args:
        networks: Which; may repeat.
        training: Whose images are looked at, and whose seed draws the weights.
        journal: Keeps them as they are made.
        progress: Told after each.

    Raises:
        StorageError: The journal cannot be read or written.
        DataError: An image cannot be read.
    """
    lines = JsonLines(journal)
    try:
        known = {str(it["network"]): ZeroCost(*map(float, it["scores"])) for it in lines.known}
    except (KeyError, TypeError, ValueError):
        raise lines.damaged() from None
    missing = [it for it in dict.fromkeys(networks) if it.short not in known]
    if missing:
        with pool_of(min(len(missing), usable_cores()), partial(torch.set_num_threads, 1)) as pool:
            running = {pool.submit(_scored, it, training): it for it in missing}
            for done, future in enumerate(as_completed(running), start=1):
                short = running[future].short
                known[short] = future.result()
                lines.append({"network": short, "scores": list(known[short])})
                progress(done, len(missing), "untrained weights")
    return {it: known[it.short] for it in networks}


def _scored(network: Architecture, training: Training) -> ZeroCost:
    data: ImageData = training.data_of().at(network.resolution)
    images, labels = data.labelled_sample("train", _IMAGES)
    even = len(images) // 2 * 2
    built = build_network(network, seed=training.seed)
    return zero_cost(built, images[:even].cpu(), labels[:even].cpu())
