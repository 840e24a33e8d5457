"""The search spaces: operators, networks, and what these cost in MACs and parameters.

In: `spaces/*.yaml`: the layout and operators of a space.
Out: `SearchSpace`, `Architecture` with its one walk `operators()`, rows of choices for vector
    work, costs.
Door: `operator_spec`, `search_space`, `architecture`, `architecture_file`, `encoding`, `cost`,
    `path_counts`
Never: torch, latency, a device.
"""
