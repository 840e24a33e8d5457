"""Scores of the hypernetwork's paths, the same to the bit alone, together and in any process.

In: a hypernetwork, architectures, images, `ScoreSettings`.
Out: log-losses on search-validation, in nats, and what error comparisons of them have.
Door: `score_workers`, `evaluation`, `network_score`, `recalibration`
Never: gradients, and whatever decides which paths are scored.
"""
