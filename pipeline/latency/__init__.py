"""Latency tables: measured, read, calibrated, checked, and used to predict.

In: operators and calibration networks, measured by `pipeline.measure`.
Out: `<target>.jsonl`, its `LatencyModel`, predictions in milliseconds with their uncertainty.
Door: `profiling`, `checking`, `model`, `prediction`, `table`, `table_export`, `table_files`,
    `honesty`
Never: accuracy, training.
"""
