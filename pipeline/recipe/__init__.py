"""A recipe and its run: what each stage does, in which order, and what is done already.

In: a recipe (`recipes/*.yaml` or a file), settings laid over it.
Out: the folder `runs/<name>` with a record a stage.
Door: `recipe`, `data`, `resume`, `stages`, `search_stage`, `report_stage`
Never: the terminal: stages tell progress and records, `pipeline.cli` shows them.
"""
