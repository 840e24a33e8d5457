"""What changed between two measurements, or two runs, beyond noise.

In: records and latency tables of two sides.
Out: comparisons as records: changes with their 95 % intervals, verdicts, findings; and as words
    and tables for people.
Door: `runs`, `sides`, `targets`, `measurements`, `accuracies`, `levels`; to be shown `runs_shown`,
    `measurements_shown`, `showing`
Never: torch, a new measurement, calling a change what noise explains.
"""
