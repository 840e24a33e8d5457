"""Paths of a hypernetwork with the accuracy it is said to reach with them."""

from pipeline.records.candidates import Candidate
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost


def scored(architecture: Architecture, percent: float | None) -> Candidate:
    cost = architecture_cost(architecture)
    return Candidate(
        architecture=architecture,
        accuracy_percent=percent,
        macs=cost.macs,
        params=cost.params,
        latency_ms={},
        violation=0.0,
    )
