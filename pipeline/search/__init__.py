"""The search under limits: exact fronts, evolution, and what the limits leave.

In: a `Problem`: costs as tables, limits, a function that scores architectures.
Out: the `SearchRecord`: candidates, front, winners, what is proved, and why.
Door: `problem`, `constraints`, `cost_tables`, `settings`, `scoring`, `score_journal`,
    `searching`, `explaining`, `explanation`
Never: torch, images, latency tables: it sees callables and arrays.
"""
