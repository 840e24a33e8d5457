"""The Markdown: short, whole, and without surprises from names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import ReportInputs, summarise
from pipeline.report.markdown import code, escape, render_markdown
from tests.report import made_up


def render(inputs: ReportInputs) -> str:
    text = render_markdown(inputs, summarise(inputs))
    return text.replace("\u00a0", " ").replace("\u202f", " ")


PHRASES = (
    "**✓ Limits met**",
    "0.349 ± 0.002 ms on host/onnxruntime-fp32-b1-t1 (limit 0.36 ms)",
    "- Accuracy on test: **92.4 ± 0.3 %**",
    "failed: node Conv\\_3 is not supported",
    "✕ dropped",
    "`python run_pipeline.py run --recipe made-up`",
    "Made-up CPU",
    "## Predicted against measured",
    "errs by 1.2 % on average; a line fitted to MACs alone by 7.2 %",
    "held-out error 1.23 %",
    "| 83.3 % | Of two networks within 10 %",
    "| 0.405, at most 0.425 ms |",
    "“at most” is an upper bound at 99 % confidence",
    "| verify | the time was up, without agreeing | 11 | 1.90 % |",
)


def test_it_says_what_the_page_says() -> None:
    text = render(made_up.inputs())
    assert text.startswith("# made-up: deployment report\n\n## Does the model meet the limits?")
    assert [phrase for phrase in PHRASES if phrase not in text] == []


def test_every_figure_of_the_honesty_block_has_a_row() -> None:
    text = render(made_up.inputs())
    figures = {cell.strip() for cell in re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)}
    assert {
        "networks",
        "within 5 %",
        "within 10 %",
        "bias",
        "inside the 80 % interval",
        "measured truth, split-half",
        "MACs alone: rank correlation",
        "cost",
    } <= figures


def test_a_table_of_another_machine_is_named_once() -> None:
    text = render(made_up.changed(made_up.inputs(), "search", foreign=("cores was 2, is 4",)))
    assert text.count("measured on another machine") == 1
    assert "cores was 2, is 4" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for table in re.findall(r"(?:^\|.*\|$\n?)+", render(made_up.inputs()), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_a_limit_not_met_and_what_is_missing_are_told() -> None:
    text = render(made_up.inputs(winner_ms=0.41))
    assert "**✕ Limits not met**" in text
    empty = render(ReportInputs(name="new", recipe={"name": "demo"}))
    assert "> The search stage has not run. `python run_pipeline.py search --recipe demo`" in empty


def test_hostile_names_stay_text() -> None:
    text = render(
        made_up.inputs().model_copy(update={"name": "<script>x</script> | [a](b) `c` **d**\n# e"})
    )
    first = text.splitlines()[0]
    assert first == (
        r"# &lt;script&gt;x&lt;/script&gt; \| \[a\](b) \`c\` \*\*d\*\* \# e: deployment report"
    )


@given(st.text(max_size=60))
def test_escaped_text_is_one_line_without_tags(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert re.search(r"(?<!\\)(?:\\\\)*[`*|\[]", shown) is None


@given(st.text(alphabet="a` b", min_size=1, max_size=20))
def test_a_code_span_closes_where_it_should(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    inner = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inner)
