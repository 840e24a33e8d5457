"""The pictures of the report, as SVG elements within the page.

In: numbers and words, gathered by a section.
Out: `Markup` of a picture that says itself in words, and with some the whole `Figure`.
Door: every module, for the sections alone
Never: colours, which the style sheet has; a picture from a file; decisions on what is told.
"""
