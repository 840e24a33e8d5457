"""Scored networks as a table: the front and what was verified first, then by accuracy."""

from __future__ import annotations

from pipeline.records import SearchRecord, VerifiedCandidate
from pipeline.report.blocks import Cell, Table, columns
from pipeline.report.formatting import count, integer, notation, percent, plus_minus
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import verified_of
from pipeline.report.summary import Summary


def candidates_table(
    inputs: ReportInputs, search: SearchRecord, summary: Summary, most_rows: int
) -> Table:
    """The networks a search scored.

    Args:
        inputs: The records.
        search: The search.
        summary: Its chosen network's row is marked.
        most_rows: Leaves out what is beyond; the caption says so.
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
    return Table(
        caption,
        columns("#No.", "#Top-1, %", f"#Predicted on {search.target}", "#Measured", "#MACs",
                "#Parameters", "Status", "Network"),
        tuple(_row(inputs, search, index) for index in rows),
        marked=frozenset(marked),
    )  # fmt: skip


def _by_importance(inputs: ReportInputs, search: SearchRecord) -> list[int]:
    verified = (
        {c.candidate.architecture for c in inputs.verify.candidates} if inputs.verify else set()
    )
    front = set(search.front)

    def importance(index: int) -> tuple[bool, float]:
        candidate = search.evaluated[index]
        listed = candidate.architecture in verified or index in front
        return (not listed, -(candidate.accuracy_percent or 0.0))

    return sorted(range(len(search.evaluated)), key=importance)


def _row(inputs: ReportInputs, search: SearchRecord, index: int) -> tuple[Cell, ...]:
    candidate = search.evaluated[index]
    prediction = candidate.latency_ms.get(search.target)
    verified = verified_of(inputs, candidate.architecture)
    measured = verified.measured_ms.get(search.target) if verified else None
    accuracy = candidate.accuracy_percent
    return (
        Cell(str(index + 1), index),
        Cell("–" if accuracy is None else percent(accuracy), accuracy),
        Cell(plus_minus(prediction.typical, prediction.std, "ms") if prediction else "–",
             prediction.typical if prediction else None),
        Cell(plus_minus(measured.typical, measured.std, "ms") if measured else "–",
             measured.typical if measured else None),
        Cell(count(candidate.macs), candidate.macs),
        Cell(count(candidate.params), candidate.params),
        Cell(_status(search, index, verified)),
        Cell(notation(candidate.architecture), code=True),
    )  # fmt: skip


def _status(search: SearchRecord, index: int, verified: VerifiedCandidate | None) -> str:
    words = []
    if index in search.front:
        words.append("on the front")
    if verified:
        words.append(f"verified, {verified.verdict}")
    if search.evaluated[index].violation > 0:
        words.append(f"{percent(100 * search.evaluated[index].violation)} over, predicted")
    return ", ".join(words) or "within, predicted"
