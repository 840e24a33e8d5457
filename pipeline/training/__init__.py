"""Training of the hypernetwork, scores of its paths, and retraining of what the search chose.

In: a `SearchSpace` and limits, or an `Architecture`; images; settings, a folder and a seed.
Out: `supernet.safetensors` with a `TrainRecord`, scores, `model.safetensors` with a
    `RetrainRecord`.
Door: `settings`, `hypernetwork.hypernetwork`, `hypernetwork.path_sampling`,
    `scoring.score_workers`, `scoring.network_score`, `scoring.zero_cost`, `retraining.retraining`,
    `retraining.alone`, `retraining.trying`, `compute`,
    `context`, `finished`
Never: recipes, engines, measured latency: what predicts it comes in as a callable.
"""
