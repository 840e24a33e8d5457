"""Scores of the hypernetwork's paths, the same to the bit alone, together and in any process.

In: a hypernetwork, architectures, images, `ScoreSettings`.
Out: top-1 accuracies on search-validation, in percent.
Door: `score_workers`, `evaluation`, `recalibration`
Never: gradients, and whatever decides which paths are scored.
"""
