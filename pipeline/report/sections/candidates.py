"""Networks as tables: what was scored, the surrogate's front, published models."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.records.candidates import Candidate
from pipeline.records.search import ExactSearch, SearchRecord
from pipeline.records.verify import VerifiedCandidate
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.cells import (
    accuracy_cell,
    expected_cell,
    measured_cell,
    number_cell,
    predicted_cell,
)
from pipeline.report.formatting import (
    count,
    integer,
    milliseconds,
    nats,
    notation,
    percent,
    target_labels,
)
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import verified_of
from pipeline.report.summary import Summary

_MOST_EXACT = 400
_SCORED = ("#~Log-loss, nats", "#~Expected top-1")


def candidates_table(
    inputs: ReportInputs,
    search: SearchRecord,
    summary: Summary,
    most_rows: int,
    targets: Sequence[str],
) -> Table:
    """The networks a search scored: the front and what was verified first, then the best.

    Args:
        inputs: The records.
        search: The search.
        summary: Its chosen network's row is marked.
        most_rows: Leaves out what is beyond; the caption says so.
        targets: A column each, and one where something was measured.
    """
    order = _by_importance(inputs, search)
    rows = order[:most_rows]
    left_out = len(order) - len(rows)
    caption = "Networks scored by the search; blocks as (expansion, kernel), stages apart."
    if left_out:
        caption += f" The {integer(left_out)} least accurate are in report.json only."
    marked = {
        place
        for place, index in enumerate(rows)
        if search.evaluated[index].architecture == summary.architecture
    }
    timed = _timed(inputs, targets)
    labels = target_labels(targets)
    measured = [f"#~Measured on {labels[target]}" for target in timed]
    return Table(
        caption,
        columns("#No.", "#Top-1, %", *(_SCORED if search.scale else ()),
                *_predicted_titles(targets),
                *(measured if len(targets) > 1 else ["#Measured"]),
                "#MACs", "#Parameters", "#Input, px", "Status", "Network"),
        tuple(_row(inputs, search, index, targets, timed) for index in rows),
        marked=frozenset(marked),
    )  # fmt: skip


def _predicted_titles(targets: Sequence[str]) -> list[str]:
    return [f"#~Predicted on {label}" for label in target_labels(targets).values()]


def _by_importance(inputs: ReportInputs, search: SearchRecord) -> list[int]:
    verified = (
        {c.candidate.architecture for c in inputs.verify.candidates} if inputs.verify else set()
    )
    front = set(search.front)

    def importance(index: int) -> tuple[bool, float]:
        candidate = search.evaluated[index]
        listed = candidate.architecture in verified or index in front
        return (not listed, -(search.expected_percent(candidate) or 0.0))

    return sorted(range(len(search.evaluated)), key=importance)


def _timed(inputs: ReportInputs, targets: Sequence[str]) -> Sequence[str]:
    """Targets on which candidates were measured; the first where none was on any."""
    verified = inputs.verify.candidates if inputs.verify else ()
    timed = {target for candidate in verified for target in candidate.measured_ms}
    return [target for target in targets if target in timed] or targets[:1]


def _row(
    inputs: ReportInputs,
    search: SearchRecord,
    index: int,
    targets: Sequence[str],
    timed: Sequence[str],
) -> tuple[Cell, ...]:
    candidate = search.evaluated[index]
    verified = verified_of(inputs, candidate.architecture)
    return (
        Cell(str(index + 1), index),
        accuracy_cell(candidate),
        *(_score_cells(search, candidate) if search.scale else ()),
        *(predicted_cell(candidate, target) for target in targets),
        *(measured_cell(verified, target) for target in timed),
        Cell(count(candidate.macs), candidate.macs),
        Cell(count(candidate.params), candidate.params),
        _size_cell(candidate.architecture.resolution),
        Cell(_status(search, index, verified)),
        Cell(notation(candidate.architecture), code=True),
    )


def _score_cells(search: SearchRecord, candidate: Candidate) -> tuple[Cell, Cell]:
    return number_cell(candidate.log_loss_nats, nats), expected_cell(search, candidate)


def _size_cell(resolution: int) -> Cell:
    return Cell(str(resolution), resolution)


def _status(search: SearchRecord, index: int, verified: VerifiedCandidate | None) -> str:
    words = []
    if index in search.front:
        words.append("on the front")
    if verified:
        words.append(f"verified, {verified.verdict}")
    if search.evaluated[index].violation > 0:
        words.append(f"{percent(100 * search.evaluated[index].violation)} over, predicted")
    return ", ".join(words) or "within, predicted"


def published_table(search: SearchRecord, targets: Sequence[str]) -> Table:
    """The published models that the plot compares with."""
    rows = tuple(
        (
            Cell(model.architecture.label),
            accuracy_cell(model, "not in the hypernetwork"),
            *(predicted_cell(model, target) for target in targets),
            Cell(count(model.macs), model.macs),
            Cell(count(model.params), model.params),
            _size_cell(model.architecture.resolution),
            Cell("within" if model.violation <= 0 else f"{percent(100 * model.violation)} over"),
            Cell(notation(model.architecture), code=True),
        )
        for model in search.published
    )
    return Table(
        "Published Cream models: with the hypernetwork's weights, which are not the published ones",
        columns("Model", "#Top-1, %", *_predicted_titles(targets), "#MACs", "#Parameters",
                "#Input, px", "Limits, predicted", "Network"),
        rows,
    )  # fmt: skip


def exact_table(search: SearchRecord, exact: ExactSearch) -> Table:
    """The surrogate's front, thinned where it is long."""
    step = -(-len(exact.front) // _MOST_EXACT) or 1
    shown = exact.front[::step]
    thinned = f"; {integer(len(shown))} of {integer(exact.front_points)} networks"
    rows = tuple(
        (
            Cell(percent(point.surrogate_percent, 2), point.surrogate_percent),
            Cell(milliseconds(point.latency_ms), point.latency_ms),
            Cell(count(point.macs), point.macs),
            _size_cell(point.architecture.resolution),
            Cell(notation(point.architecture), code=True),
        )
        for point in shown
    )
    return Table(
        "Exact front of the surrogate: within the limits none is better in its accuracy and in"
        f" latency at once{thinned if len(shown) < exact.front_points else ''}.",
        columns("#Surrogate, %", f"#~Predicted on {search.target}", "#MACs", "#Input, px",
                "Network"),
        rows,
    )  # fmt: skip
