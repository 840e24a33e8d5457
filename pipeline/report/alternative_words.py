"""Whether the chosen network is better than what everybody could take, in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.records.retrain import OffTheShelfRecord, RetrainRecord
from pipeline.records.trial import Entrant, RungScore, TrialRecord
from pipeline.report.formatting import NBSP, milliseconds, nats, percent, plural, plus_minus
from pipeline.report.inputs import ReportInputs
from pipeline.report.sampling import sampling_std_percent
from pipeline.report.search_words import points

_SURE = 2.0
"""Standard errors from which on a difference is told as one."""


def alternative_words(inputs: ReportInputs) -> str:
    """The chosen network beside the best of timm within the limits; empty where there was none.

    After whole trainings accuracies on test are compared, else what both reached in the trials.
    """
    trial = inputs.trial
    if trial is None or trial.winner is None:
        return ""
    if trial.off_the_shelf is None:
        return _none_within(trial)
    ours, theirs = trial.entrants[trial.winner], trial.entrants[trial.off_the_shelf]
    retrained = inputs.retrain
    if retrained and retrained.architecture == ours.architecture and retrained.off_the_shelf:
        return _to_the_end(ours, theirs, retrained, retrained.off_the_shelf, inputs)
    return _tried(ours, theirs, trial, inputs)


@dataclass(frozen=True)
class _Side:
    words: str
    latency_ms: float | None

    @property
    def at(self) -> str:
        return "" if self.latency_ms is None else f" at {milliseconds(self.latency_ms)}"


def _to_the_end(
    ours: Entrant,
    theirs: Entrant,
    retrained: RetrainRecord,
    control: OffTheShelfRecord,
    inputs: ReportInputs,
) -> str:
    mine, other = retrained.test_accuracy_percent, control.test_accuracy_percent
    images = retrained.dataset.num_test
    stds = [sampling_std_percent(accuracy, images) or 0.0 for accuracy in (mine, other)]
    chosen = _Side(f"{plus_minus(mine, stds[0], '%')} on test", _ms(ours, inputs))
    shelf = _Side(percent(other), _ms(theirs, inputs))
    how = "same data, same recipe"
    if ours.warm_start:
        how += ", but begun from nothing"
    gain, std = mine - other, math.hypot(*stds)
    if gain < -_SURE * std:
        return (
            f"Take {theirs.label}: {plus_minus(other, stds[1], '%')} on test{shelf.at},"
            f" {points(-gain)} above the chosen network ({percent(mine)}{chosen.at}; {how})."
        )
    lead = f"{chosen.words}{chosen.at}"
    best = f"the best off-the-shelf network within the limits ({theirs.label}, {shelf.words}"
    best += f"{shelf.at}; {how})"
    if gain > _SURE * std:
        return f"{lead}: {points(gain)} above {best}."
    return f"{lead}: as accurate as {best}, as far as {points(std)} of error tell." + _faster(
        chosen, shelf, theirs.label
    )


def _tried(ours: Entrant, theirs: Entrant, trial: TrialRecord, inputs: ReportInputs) -> str:
    """By the last scores that both have."""
    both = list(zip(ours.rungs, theirs.rungs, strict=False))
    if not both:
        return ""
    mine, other = both[-1]
    chosen = _Side(percent(mine.accuracy_percent), _ms(ours, inputs))
    shelf = _Side(percent(other.accuracy_percent), _ms(theirs, inputs))
    gain, std = other.log_loss_nats - mine.log_loss_nats, _error(mine, other)
    words = (
        f"After {mine.share * trial.epochs:.2g} of {plural(trial.epochs, 'epoch')} the chosen"
        f" network had {chosen.words} of search-validation right{chosen.at}, and {theirs.label},"
        f" the best off-the-shelf network within the limits, {shelf.words}{shelf.at}"
    )
    if ours.warm_start:
        words += " (begun from nothing)"
    if abs(gain) <= _SURE * std:
        return f"{words}: they cannot be told apart yet." + _faster(chosen, shelf, theirs.label)
    if gain < 0:
        return (
            f"{words}: by log-loss {theirs.label} was better, by {nats(-gain)} ±"
            f" {nats(std)}{NBSP}nats; train both to the end before you choose"
            " (trial.train_best_control)."
        )
    return f"{words}; its log-loss was lower by {nats(gain)} ± {nats(std)}{NBSP}nats."


def _faster(chosen: _Side, shelf: _Side, label: str) -> str:
    if not chosen.latency_ms or not shelf.latency_ms:
        return ""
    ratio = shelf.latency_ms / chosen.latency_ms
    faster, of = ("The chosen network", ratio) if ratio >= 1 else (label, 1 / ratio)
    return f" {faster} is {of:.2f} times as fast."


def _none_within(trial: TrialRecord) -> str:
    names = [it.timm for it in trial.entrants if it.timm]
    if not names:
        return ""
    return (
        f"None of {plural(len(names), 'off-the-shelf network')} ({', '.join(names)}) is within the"
        " limits at any input size."
    )


def _error(mine: RungScore, other: RungScore) -> float:
    return math.hypot(mine.error_nats or 0.0, other.error_nats or 0.0)


def _ms(entrant: Entrant, inputs: ReportInputs) -> float | None:
    target = inputs.search.target if inputs.search else None
    measured = entrant.measured_ms.get(target) if target else None
    return measured.typical if measured else None
