"""Networks tried for real: candidates verified and trained beside others, the model benchmarked.

In: candidates of a search, exported models, limits.
Out: measured latency on every target, verdicts, who is worth a whole training, what engines
    answer.
Door: `verification`, `field`, `trial`, `further`, `benchmark`, `engine_answers`
Never: predictions that decide where a measurement can.
"""
