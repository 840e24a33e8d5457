"""What the stages hand to each other and to the report: a record a stage.

In: what a stage found.
Out: strict, frozen, versioned JSON that another machine reads on another day.
Door: `calibration`, `profile`, `input_sizes`, `dataset`, `dataset_remarks`, `scores`,
    `score_remarks`, `train`, `candidates`, `search`, `verify`, `trial`,
    `retrain`, `export`, `benchmark`
Never: torch; anything that computes a result.
"""
