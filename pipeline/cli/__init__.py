"""The command line: one function a verb; parses, calls a stage, shows what it found.

In: words typed, and whether a person or a program reads.
Out: text, tables and plots on a terminal, or one JSON object; exit codes.
Door: `main`
Never: work: it calls the rooms below and shows what they return.
"""

from pipeline.cli.app import main as main
