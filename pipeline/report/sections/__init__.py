"""The sections of the report, a module a section or a part of one that stands by itself.

In: `ReportInputs` and their `Summary`.
Out: a `Section`: text, tables and figures in the order they are read.
Door: `accuracy`, `benchmark`, `front`, `method`, `model`, `overview`, `prediction`, `search`,
    `timing`, all for the page and the Markdown alone
Never: HTML, Markdown, verdicts: those are of the template, `markdown` and `summary`.
"""
