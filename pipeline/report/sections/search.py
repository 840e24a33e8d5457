"""The search, what is proved of it, and which of its best candidates survived being measured."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.records.search import SearchRecord
from pipeline.report.blocks import Block, Heading, Row, Section, Text
from pipeline.report.inputs import ReportInputs
from pipeline.report.missing import missing
from pipeline.report.pictures.curves import search_curve
from pipeline.report.room_words import room_words
from pipeline.report.search_tables import (
    facts_table,
    nearest_table,
    sizes_table,
    targets_table,
)
from pipeline.report.search_words import (
    best_single_words,
    exact_texts,
    luck_words,
    nearest_words,
    sharing_words,
)
from pipeline.report.sections.data import remark_blocks
from pipeline.report.sections.verified import verification_blocks
from pipeline.report.summary import Summary
from pipeline.space.architecture import Architecture


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """What was found and proved, progress, comparisons, and the drop-outs of verification."""
    blocks: list[Block] = []
    if inputs.search is None:
        blocks.append(missing(inputs, "search"))
    else:
        blocks += _search(inputs.search)
        if room := room_words(inputs.search, summary.architecture, _over(inputs)):
            blocks.append(Text(room))
    blocks.append(Heading("Verification: candidates that were built and timed"))
    if inputs.verify is None:
        blocks.append(missing(inputs, "verify"))
    else:
        blocks += verification_blocks(inputs, inputs.verify, summary)
    return Section("search", "Search and verification", "Search", tuple(blocks))


def _over(inputs: ReportInputs) -> list[Architecture]:
    tried = inputs.verify.candidates if inputs.verify else ()
    return [it.candidate.architecture for it in tried if it.verdict == "over"]


def _search(search: SearchRecord) -> Iterator[Block]:
    yield Text(search.message, "" if search.success else "bad")
    yield from remark_blocks(search.remarks)
    if luck := luck_words(search):
        yield Text(luck)
    if search.exact:
        yield from exact_texts(search.exact)
    facts = facts_table(search)
    yield Row((search_curve(search.hypervolume), facts)) if search.hypervolume else facts
    if search.nearest:
        yield Heading("The nearest architecture")
        yield Text(nearest_words(search.nearest))
        yield nearest_table(search.limits, search.nearest)
    if search.resolutions:
        yield Heading("Input sizes")
        yield Text(best_single_words(search))
        yield sizes_table(search)
    if search.per_target:
        yield Heading("A network for each target")
        sharing = sharing_words(search)
        if sharing:
            yield Text(sharing)
        yield targets_table(search)
