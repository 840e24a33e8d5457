"""The side that decides what is measured: when, how often, and whether it can be trusted.

In: models as folders, targets, a timing protocol.
Out: journalled visits and the statistics over them; `LatencyStats.typical` means the same
    everywhere.
Door: `protocol`, `statistics`, `steadiness`, `journal`, `campaign`, `bench`, `conditions`,
    `engines`, `measuring_process`, `device_profile`
Never: torch and engines: those are met in the measuring child of `pipeline.device` only.
"""
