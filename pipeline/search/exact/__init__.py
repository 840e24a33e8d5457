"""What is proved with a surrogate: fronts and optima by dynamic and integer programming.

In: a `Problem` and an additive surrogate of quality.
Out: the whole front of a network without latency coupling, or bounds of how far off it may be.
Door: `exact_search`, `exact_front`, `integer_program`, `linear`, `relaxation`, `stage_options`,
    `dominance`
Never: scores that are not additive.
"""
