"""The command line: one function a verb; parses, calls a stage, shows what it found."""

from pipeline.cli.app import main as main
