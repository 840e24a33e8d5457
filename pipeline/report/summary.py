"""The short answer: does the chosen network meet the limits, measured?

Everything a section states about the chosen network comes from here, so that the page, the
Markdown and the JSON cannot disagree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipeline.files.record import Record
from pipeline.files.workspace import run_dir
from pipeline.records.calibration import Honesty, Method, MethodError
from pipeline.records.candidates import LatencyPrediction, Limits
from pipeline.records.export import Parity
from pipeline.report.alternative_words import alternative_words
from pipeline.report.foreign import foreign_differences
from pipeline.report.formatting import (
    count,
    percent,
    tiny,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import LimitCheck, candidate_of, check_limits, limit_words, verified_of
from pipeline.report.sampling import sampling_std_percent
from pipeline.space.architecture import Architecture
from pipeline.space.cost import Cost, architecture_cost

Verdict = Literal["met", "not met", "infeasible", "not measured", "no limits"]


class FileEntry(Record):
    """A file of the run.

    Attributes:
        role: What it is, in words.
        path: From the working directory of the run.
    """

    role: str
    path: str
    sha256: str | None = None
    size_bytes: int | None = None


class Summary(Record):
    """What a reader takes away.

    Attributes:
        verdict: Whether every limit is met, as measured.
        sentence: The verdict in words.
        name: What the chosen network is called.
        architecture: The chosen network; None while no stage has chosen one.
        target: Where the latencies below hold: the target the search was for.
        limit_ms: Most milliseconds asked for on `target`.
        predicted_ms: What the latency table said.
        foreign: In what the machine of that table differs from where it was used; empty where the
            table holds there.
        honesty: How far off the table's predictions are, on networks that no fit had seen; None
            where the profile stage has not run.
        method: How the table's operators' times were had.
        methods: Held-out error of each method that could be tried.
        measured_ms: Typical latency as measured last.
        measured_std_ms: Its standard uncertainty.
        shared_weights_accuracy_percent: Top-1 on search-validation with the hypernetwork's weights.
        search_validation_accuracy_percent: The same, retrained.
        test_accuracy_percent: Top-1 on the test split, retrained; never used to decide.
        test_accuracy_std_percent: Its sampling uncertainty, from the number of test images.
    """

    verdict: Verdict
    sentence: str
    name: str | None
    architecture: Architecture | None
    target: str | None
    limit_ms: float | None
    predicted_ms: LatencyPrediction | None
    foreign: tuple[str, ...]
    honesty: Honesty | None
    method: Method | None
    methods: tuple[MethodError, ...]
    measured_ms: float | None
    measured_std_ms: float | None
    limits: tuple[LimitCheck, ...]
    macs: int | None
    params: int | None
    shared_weights_accuracy_percent: float | None
    search_validation_accuracy_percent: float | None
    test_accuracy_percent: float | None
    test_accuracy_std_percent: float | None
    parity: Parity | None
    files: tuple[FileEntry, ...]

    @property
    def main_check(self) -> LimitCheck | None:
        """The latency limit on the target of the search."""
        return next((c for c in self.limits if c.target and c.target == self.target), None)

    @property
    def measured_in_part(self) -> bool:
        """Whether at least one latency was measured that has a limit."""
        return _measured_in_part(self.limits)


def summarise(inputs: ReportInputs) -> Summary:
    """Reduces the records to the summary."""
    chosen = chosen_architecture(inputs)
    cost = architecture_cost(chosen) if chosen else None
    limits = _limits(inputs)
    checks = check_limits(inputs, limits, chosen, cost) if limits else ()
    target = _target(inputs, checks)
    main = next((check for check in checks if check.target and check.target == target), None)
    candidate = candidate_of(inputs, chosen) if chosen else None
    verified = verified_of(inputs, chosen) if chosen else None
    scored = candidate or (verified.candidate if verified else None)
    retrained = inputs.retrain if inputs.retrain and inputs.retrain.architecture == chosen else None
    exported = inputs.export.models[0] if inputs.export and inputs.export.models else None
    parity = exported.parity if exported else None
    calibration = inputs.profile.calibration if inputs.profile else None
    verdict = _verdict(inputs, checks, limits)
    test_percent = retrained.test_accuracy_percent if retrained else None
    name = (exported.name if exported else None) or (chosen.name if chosen else None)
    return Summary(
        verdict=verdict,
        sentence=_sentence(inputs, verdict, checks, cost, test_percent, parity),
        name=name,
        architecture=chosen,
        target=target,
        limit_ms=main.limit if main else None,
        predicted_ms=main.predicted if main else None,
        foreign=foreign_differences(inputs),
        honesty=calibration.honesty if calibration else None,
        method=calibration.method if calibration else None,
        methods=calibration.methods if calibration else (),
        measured_ms=main.value if main else None,
        measured_std_ms=main.value_std if main else None,
        limits=checks,
        macs=cost.macs if cost else None,
        params=cost.params if cost else None,
        shared_weights_accuracy_percent=scored.accuracy_percent if scored else None,
        search_validation_accuracy_percent=retrained.accuracy_percent if retrained else None,
        test_accuracy_percent=test_percent,
        test_accuracy_std_percent=(
            sampling_std_percent(test_percent, retrained.dataset.num_test)
            if retrained and test_percent is not None
            else None
        ),
        parity=parity,
        files=_files(inputs),
    )


def chosen_architecture(inputs: ReportInputs) -> Architecture | None:
    """The network the report is about: what was exported, else what will be."""
    if inputs.export and inputs.export.models:
        return inputs.export.models[0].architecture
    if inputs.retrain:
        return inputs.retrain.architecture
    if inputs.trial or inputs.verify:
        return won(inputs)
    if inputs.search and inputs.search.ranking:
        return inputs.search.evaluated[inputs.search.ranking[0]].architecture
    return None


def won(inputs: ReportInputs) -> Architecture | None:
    """The network that won the trials, or verification where there were none."""
    if inputs.trial and inputs.trial.winner is not None:
        return inputs.trial.entrants[inputs.trial.winner].architecture
    if inputs.verify and 0 <= inputs.verify.winner < len(inputs.verify.candidates):
        return inputs.verify.candidates[inputs.verify.winner].candidate.architecture
    return None


def winner_index(inputs: ReportInputs) -> int | None:
    """Index of the verified candidate that won; None where none did."""
    winner, verified = won(inputs), inputs.verify.candidates if inputs.verify else ()
    found = (i for i, it in enumerate(verified) if it.candidate.architecture == winner)
    return next(found, None)


def _limits(inputs: ReportInputs) -> Limits | None:
    record = inputs.verify or inputs.search
    return record.limits if record else None


def _target(inputs: ReportInputs, checks: tuple[LimitCheck, ...]) -> str | None:
    if inputs.search:
        return inputs.search.target
    limited = next((check.target for check in checks if check.target), None)
    return limited or (inputs.profile.target if inputs.profile else None)


def _verdict(
    inputs: ReportInputs, checks: tuple[LimitCheck, ...], limits: Limits | None
) -> Verdict:
    if inputs.search and not inputs.search.success:
        return "infeasible"
    if limits is None:
        return "not measured"
    verdicts = {check.verdict for check in checks}
    if "not met" in verdicts:
        return "not met"
    if "not measured" in verdicts:
        return "not measured"
    return "met" if checks else "no limits"


def _sentence(
    inputs: ReportInputs,
    verdict: Verdict,
    checks: tuple[LimitCheck, ...],
    cost: Cost | None,
    test_percent: float | None,
    parity: Parity | None,
) -> str:
    beside = alternative_words(inputs)
    if verdict == "infeasible" and inputs.search:
        return f"No network of the space meets the limits: {inputs.search.message}"
    parts = [limit_words(check) for check in checks]
    if cost and not any(check.quantity == "macs" for check in checks):
        parts.append(f"{count(cost.macs)} MACs")
    if test_percent is not None:
        parts.append(f"{percent(test_percent)} accuracy on test")
    if parity is not None:
        parts.append(f"exported file within {tiny(parity.max_abs)} of the trained network")
    lead = {
        "met": "The chosen network meets every limit, measured",
        "not met": "The chosen network does not meet the limits, measured",
        "not measured": "Whether the limits are met is not measured yet",
        "no limits": "No limit was asked for",
        "infeasible": "No network of the space meets the limits",
    }[verdict]
    if verdict == "not measured" and _measured_in_part(checks):
        lead = "The chosen network meets the limits that could be measured, not all of them were"
    words = f"{lead}: {'; '.join(parts)}." if parts else f"{lead}."
    return f"{beside} {words}" if beside else words


def _measured_in_part(checks: tuple[LimitCheck, ...]) -> bool:
    return any(check.target is not None and check.value is not None for check in checks)


def _files(inputs: ReportInputs) -> tuple[FileEntry, ...]:
    def made(stage: str, file: str) -> str:
        return str(run_dir(inputs.name) / stage / file)

    files = []
    if inputs.profile:
        files.append(FileEntry(role="latency table", path=inputs.profile.table))
    if inputs.train:
        files.append(
            FileEntry(role="hypernetwork weights", path=made("train", inputs.train.checkpoint))
        )
    if inputs.retrain:
        files.append(
            FileEntry(role="retrained weights", path=made("retrain", inputs.retrain.checkpoint))
        )
    for model in inputs.export.models if inputs.export else ():
        files.append(
            FileEntry(
                role=f"exported model {model.name} ({model.precision})",
                path=made("export", model.onnx),
                sha256=model.sha256,
                size_bytes=model.size_bytes,
            )
        )
        beside = Path(model.onnx).parent
        files += [
            FileEntry(
                role=f"{model.name}: {file.title}",
                path=made("export", (beside / file.file).as_posix()),
                sha256=file.sha256,
                size_bytes=file.size_bytes,
            )
            for file in model.files
            if file.file != Path(model.onnx).name
        ]
    return tuple(files)
