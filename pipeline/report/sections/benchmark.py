"""The benchmark: distribution of single runs, and every result in one table."""

from __future__ import annotations

from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult
from pipeline.report.blocks import Block, Cell, Section, Table, Text, columns
from pipeline.report.cells import NONE, error_cell, latency_cell, number_cell
from pipeline.report.formatting import count, milliseconds, percent, plural
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import benchmark_of
from pipeline.report.missing import missing
from pipeline.report.percentiles import CONFIDENCE, needed_words, percentiles
from pipeline.report.pictures.distribution import distribution
from pipeline.report.sections.targets import is_told_beside, target_blocks
from pipeline.report.summary import Summary

_MOST_HISTOGRAMS = 5


def distribution_section(inputs: ReportInputs, summary: Summary) -> Section:
    """Single runs of the chosen network and of what it is compared with."""
    return Section(
        "latency", "Latency, run by run", "Latency", tuple(_distribution(inputs, summary))
    )


def _distribution(inputs: ReportInputs, summary: Summary) -> list[Block]:
    if inputs.benchmark is None:
        return [missing(inputs, "benchmark")]
    chosen = _chosen(inputs, summary)
    timed = [r for r in inputs.benchmark.results if r.latency_ms and r.samples_ms]
    if not timed:
        return [Text("No network could be timed; the reasons stand in the table below.", "bad")]
    target = (chosen or timed[0]).target
    here = [r for r in timed if r.target == target]
    here.sort(key=lambda r: (r is not chosen, not r.is_reference))
    shown = here[:_MOST_HISTOGRAMS]
    blocks: list[Block] = [
        distribution(shown, summary.limit_ms if chosen and target == chosen.target else None)
    ]
    if chosen is None or chosen.latency_ms is None:
        blocks.insert(0, Text("The chosen network itself was not timed.", "warn"))
    if len(here) > len(shown):
        blocks.append(Text(f"{len(here) - len(shown)} more on this target are in the table below."))
    return blocks


def benchmark_section(inputs: ReportInputs, summary: Summary) -> Section:
    """Every result; one that failed is a row with its reason."""
    blocks: tuple[Block, ...]
    if inputs.benchmark is None:
        blocks = (missing(inputs, "benchmark"),)
    else:
        blocks = (
            Text(_words(inputs.benchmark)),
            *target_blocks(inputs, summary),
            _table(inputs, inputs.benchmark, summary),
        )
    return Section("benchmark", "Benchmark", "Benchmark", blocks)


def _chosen(inputs: ReportInputs, summary: Summary) -> BenchmarkResult | None:
    if summary.architecture is None or summary.target is None:
        return None
    return benchmark_of(inputs, summary.architecture, summary.target)


def _words(record: BenchmarkRecord) -> str:
    failed = sum(result.error is not None for result in record.results)
    words = (
        f"{plural(len(record.results), 'model')} timed in one campaign, taking turns, so that what"
        " disturbs the machine disturbs all of them."
    )
    if failed:
        words += f" {failed} failed; the reason stands beside its name."
    return words


def _table(inputs: ReportInputs, record: BenchmarkRecord, summary: Summary) -> Table:
    chosen = _chosen(inputs, summary)
    titles = columns("Model", "#Typical", "~Remark", "#Against the chosen", "#Predicted", "#Error",
                     "#Median", "#p90", "#p95", "#p99", "#Mean", "#Scatter (CoV)", "#Runs", "#MACs",
                     "#Parameters", "Target" if len(record.targets) == 1 else "Where",
                     "Computes in", "Weights")  # fmt: skip
    caption = (
        f"Latency of one call. “At most” is an upper bound at {CONFIDENCE}, of independent runs."
        f" Runs a percentile needs for one: {needed_words()}; with fewer there is none."
    )
    results = [it for it in record.results if not is_told_beside(it, record.results)]
    rows = tuple(_row(result, chosen) for result in results)
    marked = frozenset(i for i, result in enumerate(results) if result is chosen)
    return Table(caption, titles, rows, marked=marked)


def _row(result: BenchmarkResult, chosen: BenchmarkResult | None) -> tuple[Cell, ...]:
    stats, prediction = result.latency_ms, result.predicted_ms
    about = (
        number_cell(result.macs, count),
        number_cell(result.params, count),
        Cell(result.target, code=True),
        Cell(result.precision_as_built or "–"),
        Cell(result.weights),
    )
    if stats is None:
        head = (Cell(result.name), Cell("failed", tone="bad"), _remark(result, chosen))
        return (
            *head,
            NONE,
            latency_cell(prediction),
            *[NONE] * 7,
            Cell(str(result.n), result.n),
            *about,
        )
    return (
        Cell(result.name),
        latency_cell(stats),
        _remark(result, chosen),
        _ratio(result, chosen),
        latency_cell(prediction),
        error_cell(prediction, stats),
        *(percentile.cell for percentile in percentiles(stats)),
        Cell(milliseconds(stats.mean), stats.mean),
        Cell(percent(100 * stats.cov), stats.cov),
        Cell(str(result.n), result.n),
        *about,
    )


def _ratio(result: BenchmarkResult, chosen: BenchmarkResult | None) -> Cell:
    if not (chosen and chosen.latency_ms and result.latency_ms) or result.target != chosen.target:
        return NONE
    ratio = result.latency_ms.typical / chosen.latency_ms.typical
    return Cell("1" if result is chosen else f"{ratio:.2f} ×", ratio)


def _remark(result: BenchmarkResult, chosen: BenchmarkResult | None) -> Cell:
    if result.error is not None:
        return Cell(f"failed: {result.error}", tone="bad")
    if result is chosen:
        return Cell("chosen")
    return Cell("reference" if result.is_reference else "")
