"""Networks tried for real: candidates verified, the exported model benchmarked.

In: candidates of a search, exported models, limits.
Out: measured latency on every target, verdicts, what engines answer.
Door: `verification`, `benchmark`, `engine_answers`
Never: predictions that decide where a measurement can.
"""
