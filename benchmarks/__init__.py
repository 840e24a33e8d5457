"""Studies of what the documents say; a study is run in the checkout, as a module.

python -m benchmarks.changes --check
"""
