"""The methods that the study of retraining compares, and which of them is the default."""

from __future__ import annotations

from typing import Any

from pipeline.training.settings import RetrainSettings

_TAUGHT = {"source": "hypernetwork"}

# Those compared, then what was tried besides.
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {},
    "warm start": {"warm_start": True},
    "warm start, taught": {"warm_start": True, "teacher": _TAUGHT},
}
VARIATIONS: dict[str, dict[str, Any]] = {
    "scratch, taught": {"teacher": _TAUGHT},
    "scratch, averaged": {"ema_decay": 0.999},
    "scratch, erased": {"random_erasing": 0.2},
    "scratch, mixed": {"mixup": 0.2},
}
KNOWN = {**METHODS, **VARIATIONS}
DEFAULT = "scratch"


def settings_of(name: str, epochs: int) -> RetrainSettings:
    """How a method trains for so many epochs; what it does not name is the default."""
    return RetrainSettings.model_validate({"epochs": epochs, **KNOWN[name]})


def needs_hypernetwork(name: str) -> bool:
    """Whether a method starts from a hypernetwork or is taught by one."""
    return bool(KNOWN[name].keys() & {"warm_start", "teacher"})
